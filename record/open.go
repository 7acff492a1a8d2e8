// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"math"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// An Opener opens the records of one direction: in the clear until it has keys,
// protected then. It serves one goroutine at a time.
type Opener struct {
	keys  *suite.Keys
	seq   uint64
	limit int // of content, its type and padding, in a protected record
	gone  bool
	nonce [suite.NonceLen]byte

	refusals bool // PlainRefusals, and no protected record has been opened yet
}

// NewOpener returns an Opener without keys.
func NewOpener() *Opener { return &Opener{limit: MaxPlaintext + 1} }

// SetKeys makes keys those of all records to come: the Opener owns them, wipes
// those before, and counts from zero.
func (o *Opener) SetKeys(keys *suite.Keys) {
	if o.gone {
		keys.Wipe()
		return
	}
	o.keys.Wipe()
	o.keys, o.seq = keys, 0
	clear(o.nonce[:]) // it gives away the IV
}

// Continue is SetKeys for keys under which others have opened seq records, after those
// of the handshake.
func (o *Opener) Continue(keys *suite.Keys, seq uint64) {
	if o.SetKeys(keys); !o.gone {
		o.seq, o.refusals = seq, false
	}
}

// Limit returns what SetLimit has set.
func (o *Opener) Limit() int { return o.limit }

// SetLimit sets how much a protected record may hold: content, its type and
// padding, as our record_size_limit said (RFC 8449, Section 4).
func (o *Opener) SetLimit(n int) { o.limit = min(max(n, 64), MaxPlaintext+1) }

// PlainRefusals is for a server. A client may refuse what follows our ServerHello before
// it changes to the keys of the handshake, and says so in the clear: RFC 9846, Appendix
// A.1. So an alert in the clear that ends the connection is taken as what it is until
// the first protected record was opened. Others are not: nobody vouches for them, and
// an end of data must be vouched for.
func (o *Opener) PlainRefusals() { o.refusals = true }

// Protected reports whether there are keys.
func (o *Opener) Protected() bool { return o.keys != nil }

// Records returns how many records were opened under the present keys.
func (o *Opener) Records() uint64 { return o.seq }

// Open opens one whole record, in place, and returns its type and its content,
// which is a part of record. A change_cipher_spec record is returned as it is,
// whether there are keys or not: the caller judges it. The error carries its
// alert; after a failure the sequence number is what it was, and the record's
// bytes are lost.
func (o *Opener) Open(record []byte) (t ContentType, content []byte, err error) {
	return o.OpenTo(nil, record)
}

// OpenTo is Open, but opens a protected record into dst where that has room for all
// that the record holds: the content, its type, and padding. The content begins dst
// then. dst and record must not overlap; what lies behind the content in dst is lost.
func (o *Opener) OpenTo(dst, record []byte) (t ContentType, content []byte, err error) {
	t, n, err := ParseHeader(record)
	if err != nil {
		return 0, nil, err
	}
	fragment := record[HeaderLen:]
	switch {
	case n != len(fragment):
		return 0, nil, alert.New(alert.InternalError, "a record that is not whole")
	case o.gone:
		return 0, nil, alert.Wrap(alert.InternalError, "a record after the end", errGone)
	case t == ChangeCipherSpec:
		return t, fragment, nil
	case o.keys == nil:
		return openPlain(t, fragment)
	case t == Alert && o.refusals && isRefusal(fragment):
		return t, fragment, nil
	case t != ApplicationData:
		return 0, nil, alert.New(alert.UnexpectedMessage, "a record in the clear where protected ones must come")
	}
	if len(dst) < n-tagLen {
		dst = fragment
	}
	plain, err := decrypt(o.keys, &o.nonce, o.seq, dst, record)
	if err != nil {
		return 0, nil, err
	}
	if t, content, err = unpad(plain, o.limit); err != nil {
		return 0, nil, err
	}
	o.seq++
	o.refusals = false
	return t, content, nil
}

// isRefusal reports whether an alert ends the connection by an error.
func isRefusal(fragment []byte) bool {
	if len(fragment) != 2 {
		return false
	}
	code := alert.Code(fragment[1])
	return code != alert.CloseNotify && code != alert.UserCanceled
}

// openPlain checks a TLSPlaintext (RFC 9846, Section 5.1).
func openPlain(t ContentType, fragment []byte) (ContentType, []byte, error) {
	switch {
	case len(fragment) > MaxPlaintext:
		return 0, nil, alert.New(alert.RecordOverflow, "a record that is too long")
	case t == ApplicationData:
		return 0, nil, alert.New(alert.UnexpectedMessage, "application data in the clear")
	case len(fragment) == 0:
		return 0, nil, alert.New(alert.UnexpectedMessage, "an empty record of handshake or alert")
	}
	return t, fragment, nil
}

// decrypt is AEAD-Decrypt (RFC 9846, Section 5.2) of a whole record into dst, which
// has room for it.
func decrypt(keys *suite.Keys, nonce *[suite.NonceLen]byte, seq uint64, dst, record []byte) ([]byte, error) {
	if seq == math.MaxUint64 {
		return nil, alert.Wrap(alert.InternalError, "the peer did not change its keys in time", ErrLimit)
	}
	var plain []byte
	var err error
	volatile.DoPinned(func() { // AEADs keep the key on the stack while they work
		keys.Nonce(nonce, seq)
		plain, err = keys.AEAD.Open(dst[:0:len(dst)], nonce[:], record[HeaderLen:], record[:HeaderLen])
	})
	if err != nil {
		// One alert and one text for everything that does not open.
		return nil, alert.New(alert.BadRecordMAC, "a record that does not open")
	}
	return plain, nil
}

// unpad finds the content and its type in a TLSInnerPlaintext (RFC 9846, Section
// 5.4), and wipes it if there is none.
func unpad(plain []byte, limit int) (t ContentType, content []byte, err error) {
	defer func() {
		if err != nil {
			clear(plain)
		}
	}()
	if len(plain) > limit {
		return 0, nil, alert.New(alert.RecordOverflow, "a record that holds more than it may")
	}
	i := len(plain) - 1
	for i >= 0 && plain[i] == 0 {
		i--
	}
	if i < 0 {
		return 0, nil, alert.New(alert.UnexpectedMessage, "a record of nothing but padding")
	}
	t, content = ContentType(plain[i]), plain[:i:i]
	plain[i] = 0
	switch {
	case t != Alert && t != Handshake && t != ApplicationData:
		return 0, nil, alert.New(alert.UnexpectedMessage, "a protected record of a type that has no place in one")
	case len(content) == 0 && t != ApplicationData:
		return 0, nil, alert.New(alert.UnexpectedMessage, "an empty record of handshake or alert")
	}
	return t, content, nil
}

// Wipe destroys the keys: nothing is opened after it. It may be called again.
func (o *Opener) Wipe() {
	o.keys.Wipe()
	o.keys, o.gone = nil, true
	clear(o.nonce[:])
}
