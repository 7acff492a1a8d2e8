// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"slices"

	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A SealBatch seals content in pieces of one record each. Several goroutines may run
// pieces at the same time, in any order. It can be used again after Close.
type SealBatch struct {
	keys    *suite.Keys // the Sealer's
	seq     uint64      // of the first piece
	t       ContentType
	max     int // content of a piece
	content []byte
	sealed  []byte
	nonces  [][suite.NonceLen]byte // one for each piece
}

// Split prepares b to append to dst what Seal would append: records of type t for p. It
// assigns their sequence numbers, and returns the number of pieces and dst extended by
// the records, or Seal's error. The caller runs all pieces and closes b before it uses
// the records or the Sealer. Split returns no pieces where the caller has to use Seal:
// without keys, and with a padding policy, which is not safe for concurrent use.
func (s *Sealer) Split(b *SealBatch, dst []byte, t ContentType, p []byte) (pieces int, sealed []byte, err error) {
	if err := s.mayHold(t, p); err != nil {
		return 0, dst, err
	}
	n := s.RecordsFor(len(p))
	switch {
	case s.keys == nil || s.padding != nil:
		return 0, dst, nil
	case s.Remaining() < uint64(n):
		return 0, dst, ErrLimit
	}
	start, room := len(dst), s.SealedLen(len(p))
	sealed = slices.Grow(dst, room)[:start+room]
	b.keys, b.seq, b.t, b.max, b.content, b.sealed = s.keys, s.seq, t, s.fragment(), p, sealed[start:]
	b.nonces = slices.Grow(b.nonces[:0], n)[:n]
	s.seq += uint64(n)
	return n, sealed, nil
}

// Run seals piece i. The caller runs each piece once.
func (b *SealBatch) Run(i int) {
	const overhead = HeaderLen + 1 + tagLen
	content := b.content[i*b.max : min((i+1)*b.max, len(b.content))]
	slot := b.sealed[i*(b.max+overhead):][: 0 : len(content)+overhead]
	volatile.DoPinned(func() {
		encrypt(b.keys, &b.nonces[i], b.seq+uint64(i), slot, b.t, content, 0)
	})
}

// Close drops the content and wipes the nonces.
func (b *SealBatch) Close() {
	clear(b.nonces)
	*b = SealBatch{nonces: b.nonces[:0]}
}
