// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// Reserve is how many records of a key's limit are kept for a KeyUpdate, and for
// the alerts that end a connection.
const Reserve = 16

// The values of legacy_record_version (RFC 9846, Section 5.1).
const (
	firstVersion  = 0x0301 // of an initial ClientHello
	legacyVersion = 0x0303
)

// A Sealer makes the records of one direction: in the clear until it has keys,
// protected then. It serves one goroutine at a time.
type Sealer struct {
	keys    *suite.Keys
	seq     uint64
	limit   int // of content and its type, in a protected record
	most    int // of content in any record, by our own wish
	padding Padding
	began   bool // the first record in the clear was made
	gone    bool
	nonce   [suite.NonceLen]byte
}

// NewSealer returns a Sealer without keys.
func NewSealer() *Sealer { return &Sealer{limit: MaxPlaintext + 1, most: MaxPlaintext} }

// SetKeys makes keys those of all records to come: the Sealer owns them, wipes
// those before, and counts from zero.
func (s *Sealer) SetKeys(keys *suite.Keys) {
	if s.gone {
		keys.Wipe()
		return
	}
	s.keys.Wipe()
	s.keys, s.seq = keys, 0
	clear(s.nonce[:]) // it gives away the IV
}

// Continue is SetKeys for keys under which others have sealed seq records, which will
// seal no more.
func (s *Sealer) Continue(keys *suite.Keys, seq uint64) {
	if s.SetKeys(keys); !s.gone {
		s.seq = seq
	}
}

// Limit returns what SetLimit has set.
func (s *Sealer) Limit() int { return s.limit }

// SetLimit sets how much a protected record may hold: content, its type and
// padding, as the peer's record_size_limit counts them (RFC 8449, Section 4).
func (s *Sealer) SetLimit(n int) { s.limit = min(max(n, 64), MaxPlaintext+1) }

// SetMaxFragment sets how much content this side puts into a record, where the peer
// would take more.
func (s *Sealer) SetMaxFragment(n int) { s.most = min(max(n, 64), MaxPlaintext) }

// SetPadding sets the policy of padding; nil pads nothing.
func (s *Sealer) SetPadding(p Padding) { s.padding = p }

// Records returns how many records the present keys have protected.
func (s *Sealer) Records() uint64 { return s.seq }

// Remaining returns how many records Seal may still make under the present keys.
func (s *Sealer) Remaining() uint64 {
	if s.keys == nil {
		return math.MaxUint64
	}
	if limit := s.keys.Suite.Limit - Reserve; s.seq < limit {
		return limit - s.seq
	}
	return 0
}

// Seal appends to dst as many records of type t as p needs, at least one, and
// returns dst. dst and p must not overlap; nothing is allocated where dst has
// room (see SealedLen). Where the key's limit would be passed it returns ErrLimit,
// and for what must not be sent an error too, and dst as it was.
func (s *Sealer) Seal(dst []byte, t ContentType, p []byte) ([]byte, error) {
	if err := s.mayHold(t, p); err != nil {
		return dst, err
	}
	if s.Remaining() < uint64(s.RecordsFor(len(p))) {
		return dst, ErrLimit
	}
	return s.seal(dst, t, p), nil
}

// SealReserved is Seal for the KeyUpdate and the alerts that the limit's reserve is
// kept for.
func (s *Sealer) SealReserved(dst []byte, t ContentType, p []byte) ([]byte, error) {
	if err := s.mayHold(t, p); err != nil {
		return dst, err
	}
	if s.keys != nil && (s.seq >= s.keys.Suite.Limit || s.keys.Suite.Limit-s.seq < uint64(s.RecordsFor(len(p)))) {
		return dst, ErrLimit
	}
	return s.seal(dst, t, p), nil
}

// mayHold refuses what no record may hold (RFC 9846, Section 5.1): application data
// in the clear, nothing but application data that is empty, an alert that is split,
// an unknown type. Handshake messages may be split.
func (s *Sealer) mayHold(t ContentType, p []byte) error {
	ok := false
	switch t {
	case ApplicationData:
		ok = s.keys != nil
	case Handshake:
		ok = len(p) > 0
	case Alert, ChangeCipherSpec:
		ok = len(p) > 0 && len(p) <= s.fragment()
	}
	switch {
	case s.gone:
		return errGone
	case !ok:
		return errContent
	}
	return nil
}

// SealedLen returns the most bytes that Seal makes of n bytes of content.
func (s *Sealer) SealedLen(n int) int {
	over := HeaderLen
	if s.keys != nil {
		over += 1 + tagLen
		if s.padding != nil {
			return s.RecordsFor(n) * (HeaderLen + tagLen + s.limit)
		}
	}
	return n + s.RecordsFor(n)*over
}

// RecordsFor returns how many records Seal makes of n bytes of content.
func (s *Sealer) RecordsFor(n int) int {
	m := s.fragment()
	return max(1, (n+m-1)/m)
}

// fragment is the most content in one record.
func (s *Sealer) fragment() int {
	if s.keys == nil {
		return s.most
	}
	return min(s.limit-1, s.most)
}

// recordsPerPin is how many records are sealed under one pin. The garbage collector waits
// for all of them, and each pin costs a system call (volatile.DoPinned).
const recordsPerPin = 4

// seal appends the records of p. The padding policy is the application's, which may block:
// it is asked outside of the pins.
func (s *Sealer) seal(dst []byte, t ContentType, p []byte) []byte {
	if s.keys == nil || t == ChangeCipherSpec {
		return s.sealPlain(dst, t, p)
	}
	for {
		var paddings [recordsPerPin]int
		records, room := 0, 0
		for rest := p; records < recordsPerPin && (records == 0 || len(rest) > 0); records++ {
			n := min(len(rest), s.fragment())
			if s.padding != nil {
				paddings[records] = min(max(s.padding(n), 0), s.limit-1-n)
			}
			room += HeaderLen + n + 1 + paddings[records] + tagLen
			rest = rest[n:]
		}
		// All the room at once: a buffer that is left for a larger one holds ciphertext.
		dst = slices.Grow(dst, room)
		volatile.DoPinned(func() {
			for _, padding := range paddings[:records] {
				n := min(len(p), s.fragment())
				dst = s.sealRecord(dst, t, p[:n], padding)
				p = p[n:]
			}
		})
		if len(p) == 0 {
			return dst
		}
	}
}

// sealPlain makes TLSPlaintext records (RFC 9846, Section 5.1). The dummy
// change_cipher_spec is one whenever it is sent.
func (s *Sealer) sealPlain(dst []byte, t ContentType, p []byte) []byte {
	for {
		version := uint16(legacyVersion)
		if t == Handshake && !s.began && len(p) > 0 && p[0] == 1 {
			version = firstVersion
		}
		s.began = true
		n := min(len(p), s.fragment())
		dst = append(appendHeader(dst, t, version, n), p[:n]...)
		if p = p[n:]; len(p) == 0 {
			return dst
		}
	}
}

// sealRecord makes a TLSCiphertext (RFC 9846, Section 5.2): content, type and
// padding are put where the ciphertext goes, and sealed in place. dst has room for it.
func (s *Sealer) sealRecord(dst []byte, t ContentType, content []byte, padding int) []byte {
	dst = encrypt(s.keys, &s.nonce, s.seq, dst, t, content, padding)
	s.seq++
	return dst
}

// encrypt appends a record to dst, which has room for it.
func encrypt(keys *suite.Keys, nonce *[suite.NonceLen]byte, seq uint64, dst []byte, t ContentType, content []byte, padding int) []byte {
	inner := len(content) + 1 + padding
	start := len(dst)
	dst = appendHeader(dst, ApplicationData, legacyVersion, inner+tagLen)
	header, plain := dst[start:], dst[len(dst):len(dst)+inner]
	copy(plain, content)
	plain[len(content)] = byte(t)
	clear(plain[len(content)+1:])
	keys.Nonce(nonce, seq)
	sealed := keys.AEAD.Seal(plain[:0], nonce[:], plain, header)
	return dst[:len(dst)+len(sealed)]
}

func appendHeader(dst []byte, t ContentType, version uint16, n int) []byte {
	dst = append(dst, byte(t))
	dst = binary.BigEndian.AppendUint16(dst, version)
	return binary.BigEndian.AppendUint16(dst, uint16(n))
}

// Wipe destroys the keys: nothing is sealed after it. It may be called again.
func (s *Sealer) Wipe() {
	s.keys.Wipe()
	s.keys, s.gone = nil, true
	clear(s.nonce[:])
}
