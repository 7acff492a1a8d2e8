// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"io"
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
		var w workers
		want := min(runtime.GOMAXPROCS(0), n)
		var mu sync.Mutex
		var done []int
		inside, entered := 0, 0
		all := make(chan bool)
		w.run(n, func(pieces iter.Seq[int]) {
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
	var w workers
	most := int32(runtime.GOMAXPROCS(0) - 1)
	for range 1000 {
		var done [64]atomic.Int32
		w.run(len(done), func(pieces iter.Seq[int]) {
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

// TestWriteParallel writes and reads more than several cores share, with keys that change
// in the middle of it, and closes a connection whose Write is stuck.
func TestWriteParallel(t *testing.T) {
	t.Parallel()
	for _, policy := range []RekeyPolicy{{}, {Records: 11, MinInterval: -1}} {
		sender, receiver := hostilePair(t)
		sender.out.rekey.policy = policy.withDefaults()
		data := make([]byte, 5<<20+12345)
		for i := range data {
			data[i] = byte(i >> 8)
		}
		go func() {
			for part := range slices.Chunk(data, 1<<20) {
				if _, err := sender.Write(part); err != nil {
					t.Error(err)
					return
				}
			}
			_ = sender.CloseWrite()
		}()
		var got []byte
		for p := make([]byte, 1<<20); ; {
			n, err := receiver.Read(p)
			if got = append(got, p[:n]...); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, data) {
			t.Fatalf("%d bytes arrived, which are not the %d that were written", len(got), len(data))
		}
	}
	stuck, peer := hostilePair(t)
	done := make(chan error)
	go func() {
		n, err := stuck.Write(make([]byte, 3*parallelChunk))
		if n != parallelChunk {
			t.Errorf("%d bytes were sealed, want %d", n, parallelChunk)
		}
		done <- err
	}()
	if _, err := io.ReadFull(peer.inner, make([]byte, 1)); err != nil { // the Write is under way
		t.Fatal(err)
	}
	_ = stuck.Close()
	if err := <-done; err == nil {
		t.Error("a Write that the peer did not read succeeded")
	}
	if !wiped(stuck.parts) {
		t.Error("keys are left")
	}
}
