// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"slices"

	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A Sealing is a Seal of much content, cut into pieces of one record each that may be
// done in any order, and by several goroutines at the same time: records are
// independent of each other once their sequence numbers are given out. It can be used
// again.
type Sealing struct {
	keys    *suite.Keys // the Sealer's
	seq     uint64      // of the first piece
	t       ContentType
	max     int // of content in a piece
	content []byte
	sealed  []byte
	nonces  [][suite.NonceLen]byte // one each: nobody shares one
}

// Divide begins to append to dst records of type t for p, as Seal does, and gives out
// their sequence numbers. It returns the pieces of which w consists from now on, and
// dst with their room, or Seal's error. All of them must be done, then w closed,
// before dst is used or anything else asked of the Sealer. No pieces and no error are
// returned where Seal has to be used: without keys, and with padding, whose policy one
// goroutine at a time may ask.
func (s *Sealer) Divide(w *Sealing, dst []byte, t ContentType, p []byte) (pieces int, sealed []byte, err error) {
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
	w.keys, w.seq, w.t, w.max, w.content, w.sealed = s.keys, s.seq, t, s.fragment(), p, sealed[start:]
	w.nonces = slices.Grow(w.nonces[:0], n)[:n]
	s.seq += uint64(n)
	return n, sealed, nil
}

// Do seals the piece i. Each is done once.
func (w *Sealing) Do(i int) {
	const over = HeaderLen + 1 + tagLen
	content := w.content[i*w.max : min((i+1)*w.max, len(w.content))]
	slot := w.sealed[i*(w.max+over):][: 0 : len(content)+over]
	volatile.DoOften(func() {
		encrypt(w.keys, &w.nonces[i], w.seq+uint64(i), slot, w.t, content, 0)
	})
}

// Close forgets all that w was about.
func (w *Sealing) Close() {
	clear(w.nonces)
	*w = Sealing{nonces: w.nonces[:0]}
}
