// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// An Opening opens many records ahead of their turn, cut into pieces of one record
// each that may be done in any order, and by several goroutines at the same time. The
// records themselves stay as they are: what comes after a change of keys is not for
// these keys, and is opened again. It can be used again.
type Opening struct {
	keys   *suite.Keys // the Opener's
	seq    uint64      // of the first piece
	limit  int
	dst    []byte
	pieces []piece
}

// A piece is one record and what became of it.
type piece struct {
	record  []byte
	at      int // of dst, where the content goes
	nonce   [suite.NonceLen]byte
	t       ContentType
	content []byte
	err     error
}

// Foresee begins to open records into dst, one behind the other, as many as fit and
// are protected, and returns the pieces of which w consists from now on. They must be
// done before anything else is asked of the Opener, then handed in, in order, and w
// closed. dst must not overlap a record.
func (o *Opener) Foresee(w *Opening, dst []byte, records [][]byte) (pieces int) {
	w.keys, w.seq, w.limit, w.dst, w.pieces = o.keys, o.seq, o.limit, dst, w.pieces[:0]
	at := 0
	for _, record := range records {
		t, n, err := ParseHeader(record)
		room := n - tagLen - 1
		if o.keys == nil || err != nil || t != ApplicationData || n != len(record)-HeaderLen || room < 0 || at+room > len(dst) {
			break
		}
		w.pieces = append(w.pieces, piece{record: record, at: at})
		at += room
	}
	if at > 0 {
		w.dst = dst[:at]
	}
	return len(w.pieces)
}

// Do opens the piece i. Each is done once. scratch is lent by the goroutine, at least
// MaxCiphertext long, and may hold plaintext afterwards.
func (w *Opening) Do(i int, scratch []byte) {
	p := &w.pieces[i]
	plain, err := decrypt(w.keys, &p.nonce, w.seq+uint64(i), scratch, p.record)
	if err == nil {
		p.t, p.content, err = unpad(plain, w.limit)
	}
	if p.err = err; err == nil {
		n := volatile.Move(w.dst[p.at:], p.content)
		p.content = w.dst[p.at : p.at+n]
	}
}

// Turn returns what Open would have of the record of piece i, whose turn it is, where
// the Opener's keys are those for which it was opened: otherwise ok is false, and it
// is to be opened again.
func (o *Opener) Turn(w *Opening, i int) (t ContentType, content []byte, ok bool, err error) {
	if o.gone || o.keys != w.keys || o.seq != w.seq+uint64(i) {
		return 0, nil, false, nil
	}
	p := &w.pieces[i]
	if p.err != nil {
		return 0, nil, true, p.err
	}
	o.seq++
	return p.t, p.content, true, nil
}

// Close forgets all that w was about, and wipes dst as far as it was used, but for the
// first n bytes.
func (w *Opening) Close(n int) {
	volatile.Wipe(w.dst[min(n, len(w.dst)):])
	clear(w.pieces)
	*w = Opening{pieces: w.pieces[:0]}
}
