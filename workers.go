// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"iter"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/record"
)

// A job is work in n independent pieces, each of which the caller or a worker takes.
type job struct {
	n      int
	do     func(pieces iter.Seq[int])
	next   atomic.Int64 // the first piece that is not taken
	inside sync.RWMutex // a worker that takes part holds it for reading
}

// runParallel has the caller and at most GOMAXPROCS-1 workers do n pieces. Each calls do
// once, with the pieces that it takes. When runParallel returns, all pieces are done and
// no worker is within do, nor will be.
func runParallel(n int, do func(pieces iter.Seq[int])) {
	j := &job{n: n, do: do}
	for range min(runtime.GOMAXPROCS(0), n) - 1 {
		go j.work()
	}
	// The scheduler runs the newest goroutine on this core, and lets another core take
	// it only after a sleep: have that be a goroutine that does nothing.
	go func() {}()
	do(j.pieces)
	j.join()
}

// work takes part in the job. A worker that starts when all pieces are taken, as no core
// was idle, touches nothing.
func (j *job) work() {
	j.inside.RLock()
	defer j.inside.RUnlock()
	if int(j.next.Load()) < j.n {
		j.do(j.pieces)
	}
}

// pieces takes one piece after the other, as long as there are any.
func (j *job) pieces(yield func(int) bool) {
	for {
		i := int(j.next.Add(1)) - 1
		if i >= j.n || !yield(i) {
			return
		}
	}
}

// join waits for the workers that take part, once all pieces are taken.
func (j *job) join() {
	for range maxJoinSpins {
		if j.inside.TryLock() {
			j.inside.Unlock()
			return
		}
	}
	j.inside.Lock()
	defer j.inside.Unlock()
}

// What jobs need besides their buffers.
var (
	sealBatches = sync.Pool{New: func() any { return new(record.SealBatch) }}
	backlogs    = sync.Pool{New: func() any { return new(backlog) }}
)

// seal appends records of p to b, on several cores where p is large. c.out.mu is held.
func (out *writeHalf) seal(b, p []byte) ([]byte, error) {
	if len(p) < minParallel || runtime.GOMAXPROCS(0) == 1 {
		return out.sealer.Seal(b, record.ApplicationData, p)
	}
	batch := sealBatches.Get().(*record.SealBatch)
	defer sealBatches.Put(batch)
	n, sealed, err := out.sealer.Split(batch, b, record.ApplicationData, p)
	if err != nil {
		return b, err
	} else if n == 0 {
		return out.sealer.Seal(b, record.ApplicationData, p)
	}
	defer batch.Close()
	runParallel(n, func(pieces iter.Seq[int]) {
		for i := range pieces {
			batch.Run(i)
		}
	})
	return sealed, nil
}

// A backlog is whole records that are buffered.
type backlog struct {
	records [parallelChunk / record.MaxPlaintext][]byte
	batch   record.OpenBatch
}

// openParallel is nextRecord for many buffered records whose content fits p, on several
// cores. It returns the length of that content, 0 if nextRecord has to open the next
// record, and the error of the record that follows. c.in.mu is held.
func (c *Conn) openParallel(p []byte) (n int, err error) {
	in := c.in
	if len(p) < minParallel || in.w-in.r < minParallel || !c.done.Load() || in.skip > 0 || runtime.GOMAXPROCS(0) == 1 {
		return 0, nil
	}
	b := backlogs.Get().(*backlog)
	defer backlogs.Put(b)
	defer clear(b.records[:])
	records, size := in.whole(b.records[:0])
	if size < minParallel {
		return 0, nil
	}
	pieces := in.opener.OpenAhead(&b.batch, p, records)
	defer func() { b.batch.Close(n) }()
	runParallel(pieces, func(pieces iter.Seq[int]) {
		scratch := getBuffer(record.MaxCiphertext)
		defer putBuffer(scratch)
		defer volatile.Wipe(*scratch)
		for i := range pieces {
			b.batch.Run(i, *scratch)
		}
	})
	defer in.release()
	for i := range pieces {
		t, content, ok, err := in.opener.Commit(&b.batch, i)
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
		// Padding may have left a gap before this content.
		n += copy(p[n:], in.plain)
		in.plain = nil
	}
	return n, nil
}
