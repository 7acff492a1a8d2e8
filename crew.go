// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"iter"
	"runtime"
	"sync"
	"time"
)

// A crew shares the large jobs of one half of a connection with the cores that are
// idle. It has no goroutine of its own: helpers are started with a job and end with it.
//
// Nobody can say beforehand whether a core is idle: others may be at it, in this process
// or beside it, or it may be the other half of the same core. So the crew compares.
// One job is done alone, the next with helpers, and they are asked on only while that is
// faster. Where it is not, so many jobs are done the plain way before the next
// comparison, twice as many each time: a busy machine is left in peace.
//
// The half's lock is held whenever a crew is used.
type crew struct {
	plain int           // how many more jobs to do the plain way
	pause int           // how many they were the last time
	turn  int           // how many jobs ago one was done alone; 0: the next one is
	usual time.Duration // what a piece takes when it is done alone
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
	j := &job{n: pieces}
	j.left.L = &j.mu
	for range helpers {
		go j.help(do)
	}
	do(j.pieces)
	j.wait()
	w.judge(helpers, time.Since(started)/time.Duration(pieces))
}

// judge learns from a job of which each piece took so long. Helpers have to be faster
// than the best that one core does: what is slow because somebody else is at work is no
// measure.
func (w *crew) judge(helpers int, each time.Duration) {
	switch {
	case helpers == 0:
		if w.usual == 0 || each < w.usual+w.usual/16 {
			w.usual = each
		} else {
			w.usual += w.usual / 16
		}
		w.turn = 1
	case each > w.usual-w.usual/4:
		w.pause = min(max(2*w.pause, 1), maxPause)
		w.plain, w.turn = w.pause, 0
	default:
		w.pause, w.turn = 0, (w.turn+1)%maxTurn
	}
}

// A job is something to do in n pieces.
type job struct {
	mu      sync.Mutex
	left    sync.Cond // a helper has left
	n, next int
	helping int // how many helpers are at it
}

// pieces goes through those that nobody else does.
func (j *job) pieces(yield func(int) bool) {
	for {
		j.mu.Lock()
		i := j.next
		j.next = min(i+1, j.n)
		j.mu.Unlock()
		if i == j.n || !yield(i) {
			return
		}
	}
}

// help is a helper's life. One that comes when all is done touches nothing.
func (j *job) help(do func(pieces iter.Seq[int])) {
	j.mu.Lock()
	late := j.next == j.n
	if !late {
		j.helping++
	}
	j.mu.Unlock()
	if late {
		return
	}
	defer func() {
		j.mu.Lock()
		j.helping--
		j.left.Signal()
		j.mu.Unlock()
	}()
	do(j.pieces)
}

// wait waits for the helpers, once all pieces are taken.
func (j *job) wait() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.helping > 0 {
		j.left.Wait()
	}
}
