// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package stream

import (
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// TestWorkersRun checks that the caller and GOMAXPROCS-1 workers, but no more than there
// are pieces, do each piece once, and that no worker is within the job afterwards.
func TestWorkersRun(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 30; n++ {
		var w Workers
		want := min(runtime.GOMAXPROCS(0), n)
		var mu sync.Mutex
		var done []int
		inside, entered := 0, 0
		all := make(chan bool)
		w.Run(n, func(pieces iter.Seq[int]) {
			mu.Lock()
			inside++
			if entered++; entered == want {
				close(all)
			}
			mu.Unlock()
			<-all
			for i := range pieces {
				mu.Lock()
				done = append(done, i)
				mu.Unlock()
				for range i * 100 { // the last piece takes longest, often a worker's
					runtime.Gosched()
				}
			}
			mu.Lock()
			inside--
			mu.Unlock()
		})
		mu.Lock()
		if inside != 0 || entered != want {
			t.Errorf("%d of %d are within the job of %d pieces, want 0 of %d", inside, entered, n, want)
		}
		slices.Sort(done)
		for i := range n {
			if len(done) != n || done[i] != i {
				t.Fatalf("the pieces %v of %d were done", done, n)
			}
		}
		mu.Unlock()
	}
}

// TestWorkersJoin checks that run does not return while a worker is at its
// piece, however long that takes.
func TestWorkersJoin(t *testing.T) {
	t.Parallel()
	j := &job{n: 2}
	taken, finish := make(chan bool), make(chan bool)
	worked := false
	j.do = func(pieces iter.Seq[int]) {
		for range pieces {
			taken <- true
			<-finish
			worked = true
			return
		}
	}
	go j.help()
	<-taken
	for range j.pieces {
	}
	joined := make(chan bool)
	go func() {
		j.join()
		close(joined)
	}()
	for range 1000 {
		runtime.Gosched()
	}
	select {
	case <-joined:
		t.Fatal("the caller did not wait for the worker")
	default:
	}
	close(finish)
	<-joined
	if !worked {
		t.Error("the caller returned before the worker did")
	}
}

// TestLateWorker checks that a worker which starts when all pieces are taken touches
// nothing.
func TestLateWorker(t *testing.T) {
	t.Parallel()
	j := &job{n: 2, do: func(iter.Seq[int]) { t.Error("a late worker called do") }}
	for range j.pieces {
	}
	j.join()
	j.help()
}

// TestWorkersStay checks that workers take the next job too, never more than were asked
// for, and end when none comes.
func TestWorkersStay(t *testing.T) {
	t.Parallel()
	var w Workers
	most := int32(runtime.GOMAXPROCS(0) - 1)
	for range 1000 {
		var done [64]atomic.Int32
		w.Run(len(done), func(pieces iter.Seq[int]) {
			for i := range pieces {
				done[i].Add(1)
			}
		})
		for i := range done {
			if n := done[i].Load(); n != 1 {
				t.Fatalf("piece %d was done %d times", i, n)
			}
		}
		if n := w.awake.Load(); n > most || n < 0 {
			t.Fatalf("%d workers are awake, want at most %d", n, most)
		}
	}
	for w.awake.Load() > 0 {
		runtime.Gosched()
	}
	first, second := &job{n: 1}, &job{n: 1, do: func(pieces iter.Seq[int]) {
		for range pieces {
		}
	}}
	for range first.pieces {
	}
	w.job.Store(second)
	w.awake.Add(1)
	w.work(first) // returns: there is no third job
	if second.next.Load() == 0 || w.awake.Load() != 0 {
		t.Error("a worker did not take the next job, or did not end after it")
	}
}
