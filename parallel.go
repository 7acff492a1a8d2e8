// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"iter"
	"sync"

	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/record"
)

// What work in pieces needs beside its buffers.
var (
	sealings  = sync.Pool{New: func() any { return new(record.Sealing) }}
	openings  = sync.Pool{New: func() any { return new(backlog) }}
	scratches = sync.Pool{New: func() any { b := make([]byte, record.MaxCiphertext); return &b }}
)

// seal appends records of p to b, by more than one core where p is large and cores are
// idle. c.out.mu is held.
func (out *writeHalf) seal(b, p []byte) ([]byte, error) {
	helpers, ok := 0, false
	if pieces := out.sealer.RecordsFor(len(p)); pieces >= minPieces && len(p)/pieces >= minPiece {
		helpers, ok = crewOf(&out.crew).helpers(pieces)
	}
	if !ok {
		return out.sealer.Seal(b, record.ApplicationData, p)
	}
	work := sealings.Get().(*record.Sealing)
	defer sealings.Put(work)
	pieces, sealed, err := out.sealer.Divide(work, b, record.ApplicationData, p)
	if err != nil {
		return b, err
	} else if pieces == 0 {
		return out.sealer.Seal(b, record.ApplicationData, p)
	}
	defer work.Close()
	out.crew.run(pieces, helpers, func(pieces iter.Seq[int]) {
		for i := range pieces {
			work.Do(i)
		}
	})
	return sealed, nil
}

// A backlog is records that wait to be opened by more than one core.
type backlog struct {
	records [crewChunk / record.MaxPlaintext][]byte
	work    record.Opening
}

// openMany is nextRecord for many records whose content fits p, by more than one core.
// It returns how much it put there, which is nothing where a core alone has to do it,
// and the error of the record that comes after that. c.in.mu is held.
func (c *Conn) openMany(p []byte) (n int, err error) {
	in := c.in
	if len(p) < minPieces*minPiece || in.w-in.r < minPieces*minPiece || !c.done.Load() || in.skip > 0 {
		return 0, nil
	}
	b := openings.Get().(*backlog)
	defer openings.Put(b)
	defer clear(b.records[:])
	records := in.large(b.records[:0])
	helpers, ok := crewOf(&in.crew).helpers(len(records))
	if !ok {
		return 0, nil
	}
	pieces := in.opener.Foresee(&b.work, p, records)
	defer func() { b.work.Close(n) }()
	if pieces == 0 {
		return 0, nil
	}
	in.crew.run(pieces, helpers, func(pieces iter.Seq[int]) {
		scratch := scratches.Get().(*[]byte)
		defer scratches.Put(scratch)
		defer volatile.Wipe(*scratch)
		for i := range pieces {
			b.work.Do(i, *scratch)
		}
	})
	defer in.release()
	for i := range pieces {
		t, content, ok, err := in.opener.Turn(&b.work, i)
		if !ok {
			return n, nil // the keys have changed
		}
		in.r += len(records[i])
		if err == nil {
			err = c.dispatch(t, content)
		}
		if err != nil {
			return n, err
		}
		// What comes before may have been shorter than it could have been.
		n += copy(p[n:], in.plain)
		in.plain = nil
	}
	return n, nil
}
