// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package stream

import (
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
)

// Workers do the large jobs of one direction of a connection. Run is not safe for
// concurrent use.
type Workers struct {
	job   atomic.Pointer[job] // nil: there is none
	awake atomic.Int32        // workers that are at a job, or look for the next one
}

// A job is work in n independent pieces, each of which the caller or a worker takes.
type job struct {
	n      int
	do     func(pieces iter.Seq[int])
	next   atomic.Int64 // the first piece that is not taken
	inside sync.RWMutex // a worker that takes part holds it for reading
}

// Run has the caller and at most GOMAXPROCS-1 workers do n pieces. Each calls do once,
// with the pieces that it takes. When Run returns, all pieces are done and no worker is
// within do, nor will be.
func (w *Workers) Run(n int, do func(pieces iter.Seq[int])) {
	j := &job{n: n, do: do}
	w.job.Store(j)
	if missing := int32(min(runtime.GOMAXPROCS(0), n)-1) - w.awake.Load(); missing > 0 {
		w.awake.Add(missing)
		for range missing {
			go w.work(j)
		}
		// The scheduler runs the newest goroutine on this core, and lets another core
		// take it only after a sleep: have that be a goroutine that does nothing.
		go func() {}()
	}
	do(j.pieces)
	j.join()
	w.job.Store(nil)
}

// work takes part in j, and in the jobs that follow soon: to wake a core that sleeps takes
// as long as a job.
func (w *Workers) work(j *job) {
	defer w.awake.Add(-1)
	j.help()
	for last, spins := j, 0; spins < maxWorkerSpins; spins++ {
		if j := w.job.Load(); j != nil && j != last {
			j.help()
			last, spins = j, 0
		}
	}
}

// help takes part in the job. A worker that comes when all pieces are taken touches
// nothing.
func (j *job) help() {
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
	for spins := 0; !j.inside.TryLock(); spins++ {
		if spins == maxJoinSpins {
			j.inside.Lock()
			break
		}
	}
	j.inside.Unlock()
}
