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
// Nobody can say beforehand whether a core is idle, and near enough: others may be at it,
// in this process or beside it, it may be the other half of the same core, or what it has
// touched may take long to come over. So the crew compares. A few jobs are done alone, a
// few with helpers, and these are asked on only while that is faster. Where it is not, a
// number of jobs are done the plain way before the next comparison, twice as many each
// time: a busy machine is left in peace.
//
// The half's lock is held whenever a crew is used.
type crew struct {
	plain    int       // how many more jobs to do the plain way
	pause    int       // how many they were the last time
	turn     int       // how many jobs were done since the comparison began
	alone    spell     // the first of them, by one core
	together spell     // the latest, with helpers
	ended    time.Time // the job before

	here   atomic.Int32        // helpers, at a job or waiting
	posted atomic.Pointer[job] // nil: there is none
}

// ready reports whether the next job, if it is large, is one for the crew, which may be
// nil: not there yet.
func (w *crew) ready() bool { return (w == nil || w.plain == 0) && runtime.GOMAXPROCS(0) > 1 }

// crewOf returns the crew of one half, for jobs that are large, and makes it for the
// first.
func crewOf(w **crew) *crew {
	if *w == nil {
		*w = new(crew)
	}
	return *w
}

// helpers says how many to ask for a job of so many pieces, and whether it is one for
// the crew.
func (w *crew) helpers(pieces int) (n int, ok bool) {
	switch {
	case pieces < minPieces:
		return 0, false
	case !w.ready():
		w.plain = max(w.plain-1, 0)
		return 0, false
	case w.turn < trial:
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
	ended := time.Now()
	took := ended.Sub(started)
	took += min(started.Sub(w.ended), maxBetween*took)
	w.ended = ended
	w.judge(helpers, took/time.Duration(pieces))
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

// judge learns from a job of which each piece took so long. What lies between two jobs is
// part of it, up to a bound, as a core that helps may cost the other one time then: it has
// the memory in its cache that is to be read or filled next.
func (w *crew) judge(helpers int, each time.Duration) {
	w.turn++
	if helpers == 0 {
		w.alone.add(each)
		return
	}
	if w.together.add(each); w.together.jobs < trial {
		return
	}
	alone, together := w.alone.usual(), w.together.usual()
	w.together = spell{}
	switch {
	case together > alone-alone/8:
		w.pause = min(max(2*w.pause, minPause), maxPause)
		w.plain = w.pause
	case w.turn < maxTurn:
		w.pause = 0
		return
	}
	w.turn, w.alone = 0, spell{}
}

// A spell is a few jobs in a row.
type spell struct {
	jobs         int
	spent, worst time.Duration // on a piece of each
}

func (s *spell) add(each time.Duration) {
	s.jobs, s.spent, s.worst = s.jobs+1, s.spent+each, max(s.worst, each)
}

// usual is the mean without the worst: the first job may have had to wake the helpers'
// cores, and somebody else may have come in between.
func (s *spell) usual() time.Duration { return (s.spent - s.worst) / time.Duration(max(s.jobs-1, 1)) }

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
