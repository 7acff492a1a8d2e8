// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// An OpenBatch opens records ahead of their turn, in pieces of one record each. Several
// goroutines may run pieces at the same time, in any order. The records stay as they are,
// so that those that follow a change of keys can be opened again. An OpenBatch can be
// used again after Close.
type OpenBatch struct {
	keys   *suite.Keys // the Opener's
	seq    uint64      // of the first piece
	limit  int
	dst    []byte
	pieces []piece
}

// A piece is one record and what was opened of it.
type piece struct {
	record  []byte
	at      int // of dst, where the content goes
	nonce   [suite.NonceLen]byte
	t       ContentType
	content []byte
	err     error
}

// OpenAhead prepares b to open records into dst, one behind the other, as many as fit and
// are protected, and returns the number of pieces. The caller runs all pieces before it
// uses the Opener, commits them in order, and closes b. dst must not overlap a record.
func (o *Opener) OpenAhead(b *OpenBatch, dst []byte, records [][]byte) (pieces int) {
	b.keys, b.seq, b.limit, b.pieces = o.keys, o.seq, o.limit, b.pieces[:0]
	at := 0
	for _, record := range records {
		t, n, err := ParseHeader(record)
		room := n - tagLen - 1
		if o.keys == nil || err != nil || t != ApplicationData || n != len(record)-HeaderLen || room < 0 || at+room > len(dst) {
			break
		}
		b.pieces = append(b.pieces, piece{record: record, at: at})
		at += room
	}
	b.dst = dst[:at]
	return len(b.pieces)
}

// Run opens piece i. The caller runs each piece once. Each goroutine has a scratch buffer
// of its own, of at least MaxCiphertext bytes, in which plaintext may remain.
func (b *OpenBatch) Run(i int, scratch []byte) {
	p := &b.pieces[i]
	plain, err := decrypt(b.keys, &p.nonce, b.seq+uint64(i), scratch, p.record)
	if err == nil {
		p.t, p.content, err = unpad(plain, b.limit)
	}
	if p.err = err; err == nil {
		n := volatile.Move(b.dst[p.at:], p.content)
		p.content = b.dst[p.at : p.at+n]
	}
}

// Commit returns what Open would return for the record of piece i, which must be the next
// one. ok is false if the Opener's keys have changed since OpenAhead: the record has to be
// opened again.
func (o *Opener) Commit(b *OpenBatch, i int) (t ContentType, content []byte, ok bool, err error) {
	if o.gone || o.keys != b.keys || o.seq != b.seq+uint64(i) {
		return 0, nil, false, nil
	}
	p := &b.pieces[i]
	if p.err != nil {
		return 0, nil, true, p.err
	}
	o.seq++
	return p.t, p.content, true, nil
}

// Close drops the records, and wipes what was opened into dst beyond its first n bytes.
func (b *OpenBatch) Close(n int) {
	volatile.Wipe(b.dst[min(n, len(b.dst)):])
	clear(b.pieces)
	*b = OpenBatch{pieces: b.pieces[:0]}
}
