// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"iter"
	"runtime"
	"sync/atomic"
	"time"
)

// A crew shares the large jobs of one half of a connection with the cores that are
// idle. Its helpers are started with a job, stay a moment for the next one, as starting
// them can take as long as a job, and end.
//
// Nobody can say beforehand whether a core is idle: others may be at it, in this process
// or beside it, or it may be the other half of the same core. So the crew compares.
// One job is done alone, the next ones with helpers, and they are asked on only while
// that is faster. Where it is not, so many jobs are done the plain way before the next
// comparison, twice as many each time: a busy machine is left in peace.
//
// The half's lock is held whenever a crew is used.
type crew struct {
	plain int           // how many more jobs to do the plain way
	pause int           // how many they were the last time
	turn  int           // how many jobs ago one was done alone; 0: the next one is
	usual time.Duration // what a piece takes when it is done alone
	spent time.Duration // on a piece of each job of the present trial
	worst time.Duration // of them

	here   atomic.Int32        // helpers, at a job or waiting
	posted atomic.Pointer[job] // nil: there is none
}

// ready reports whether the next job, if it is large, is one for the crew.
func (w *crew) ready() bool { return w.plain == 0 && runtime.GOMAXPROCS(0) > 1 }

// helpers says how many to ask for a job of so many pieces, and whether it is one for
// the crew.
func (w *crew) helpers(pieces int) (n int, ok bool) {
	switch {
	case pieces < minPieces:
		return 0, false
	case !w.ready():
		w.plain = max(w.plain-1, 0)
		return 0, false
	case w.turn == 0:
		return 0, true
	}
	return min(runtime.GOMAXPROCS(0)-1, pieces/2), true
}

// run has the caller and helpers do a job: each calls do once, which goes through the
// pieces that fall to it. When run returns all pieces are done, and nobody is within do.
func (w *crew) run(pieces, helpers int, do func(pieces iter.Seq[int])) {
	started := time.Now()
	j := newJob(pieces, do)
	w.post(j, helpers)
	do(j.pieces)
	j.wait()
	w.posted.Store(nil)
	w.judge(helpers, time.Since(started)/time.Duration(pieces))
}

// post offers a job to so many helpers, and starts those that are not there.
func (w *crew) post(j *job, helpers int) {
	if helpers == 0 {
		return
	}
	w.posted.Store(j)
	missing := helpers - int(w.here.Load())
	if missing <= 0 {
		return
	}
	w.here.Add(int32(missing))
	for range missing {
		go w.help(j)
	}
	// The scheduler keeps the newest goroutine for this thread, and other threads take
	// that one only after a sleep: it is none of the helpers.
	go func() {}()
}

// help is a helper's life.
func (w *crew) help(j *job) {
	defer w.here.Add(-1)
	for j != nil {
		j.help()
		j = w.another(j)
	}
}

// another waits a moment for a job after last, and returns nil if there is none.
func (w *crew) another(last *job) *job {
	for began := time.Now(); time.Since(began) < maxLinger; {
		if j := w.posted.Load(); j != nil && j != last {
			return j
		}
	}
	return nil
}

// judge learns from a job of which each piece took so long. Helpers have to be faster
// than the best that one core does: what is slow because somebody else is at work is no
// measure. A few jobs are a trial, in which the worst does not count: the first may have
// had to wake the helpers' cores.
func (w *crew) judge(helpers int, each time.Duration) {
	if helpers == 0 {
		if w.usual == 0 || each < w.usual+w.usual/16 {
			w.usual = each
		} else {
			w.usual += w.usual / 16
		}
		w.turn, w.spent, w.worst = 1, 0, 0
		return
	}
	w.spent, w.worst = w.spent+each, max(w.worst, each)
	if w.turn++; (w.turn-1)%trial != 0 {
		return
	}
	if each = (w.spent - w.worst) / (trial - 1); each > w.usual-w.usual/4 {
		w.pause = min(max(2*w.pause, 1), maxPause)
		w.plain, w.turn = w.pause, 0
	} else if w.pause = 0; w.turn > maxTurn {
		w.turn = 0
	}
	w.spent, w.worst = 0, 0
}

// A job is something to do in n pieces.
type job struct {
	n       int
	do      func(pieces iter.Seq[int])
	next    atomic.Int64  // the first piece that nobody does yet
	helping atomic.Int64  // how many helpers are at it, or come too late
	left    chan struct{} // nobody is, all pieces are done
}

func newJob(pieces int, do func(pieces iter.Seq[int])) *job {
	return &job{n: pieces, do: do, left: make(chan struct{}, 1)}
}

// pieces goes through those that nobody else does.
func (j *job) pieces(yield func(int) bool) {
	for {
		i := int(j.next.Add(1)) - 1
		if i >= j.n || !yield(i) {
			return
		}
	}
}

// help takes part in the job. Who comes when all is done touches nothing.
func (j *job) help() {
	j.helping.Add(1)
	defer j.leave()
	if int(j.next.Load()) < j.n {
		j.do(j.pieces)
	}
}

func (j *job) leave() {
	if j.helping.Add(-1) > 0 || int(j.next.Load()) < j.n {
		return
	}
	select {
	case j.left <- struct{}{}:
	default:
	}
}

// wait waits for the helpers, once all pieces are taken: for the last of them awake, as
// it comes sooner than one would fall asleep.
func (j *job) wait() {
	for began := time.Now(); j.helping.Load() > 0; {
		if time.Since(began) > maxLinger {
			<-j.left
		}
	}
}
