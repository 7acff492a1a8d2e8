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
	"time"
)

// TestCrew has a job done by as many as were asked: each piece once, and nobody is
// within it afterwards.
func TestCrew(t *testing.T) {
	t.Parallel()
	for _, helpers := range []int{0, 1, 3} {
		var w crew
		var mu sync.Mutex
		var done []int
		var inside, most int
		met := make(chan bool)
		w.run(20, helpers, func(pieces iter.Seq[int]) {
			mu.Lock()
			inside++
			if most = max(most, inside); most == helpers+1 {
				close(met)
			}
			mu.Unlock()
			<-met // all are there
			for i := range pieces {
				mu.Lock()
				done = append(done, i)
				mu.Unlock()
			}
			mu.Lock()
			inside--
			mu.Unlock()
		})
		if inside != 0 || most != helpers+1 {
			t.Errorf("%d are within the job, there were %d, want %d", inside, most, helpers+1)
		}
		slices.Sort(done)
		for i, piece := range done {
			if i != piece {
				t.Fatalf("the pieces %v were done", done)
			}
		}
	}
}

// TestCrewLate has a helper come when all is done: it touches nothing.
func TestCrewLate(t *testing.T) {
	t.Parallel()
	j := newJob(2, func(iter.Seq[int]) { t.Error("a late helper was at it") })
	for range j.pieces {
	}
	j.wait()
	j.help()
}

// TestCrewAgain has helpers take the next job, and leave where there is none.
func TestCrewAgain(t *testing.T) {
	t.Parallel()
	w, j := new(crew), newJob(1, nil)
	w.posted.Store(j)
	if next := w.another(newJob(1, nil)); next != j {
		t.Error("a helper does not see the next job")
	}
	if next := w.another(j); next != nil {
		t.Error("a helper goes back to the job that it comes from")
	}
	w.posted.Store(nil)
	if next := w.another(j); next != nil {
		t.Error("a helper was given a job where there is none")
	}
	for range 100 {
		var done [64]atomic.Int32
		w.run(len(done), 2, func(pieces iter.Seq[int]) {
			for i := range pieces {
				done[i].Add(1)
			}
		})
		for i := range done {
			if n := done[i].Load(); n != 1 {
				t.Fatalf("piece %d was done %d times", i, n)
			}
		}
		if here := w.here.Load(); here > 2 || here < 0 {
			t.Fatalf("%d helpers are there, where two were asked", here)
		}
	}
	for w.here.Load() > 0 { // until they have left
		runtime.Gosched()
	}
}

// TestCrewLearns shows when helpers are asked: they have to be faster than one core at
// its best, and where they are not, that is asked less and less often.
func TestCrewLearns(t *testing.T) {
	w := new(crew)
	if !w.ready() {
		t.Skip("there is one core")
	}
	ask := func(ok bool, helpers bool) {
		t.Helper()
		if n, is := w.helpers(32); is != ok || n > 0 != helpers {
			t.Fatalf("%d helpers, %v", n, is)
		}
	}
	alone := func(each ...time.Duration) {
		t.Helper()
		for _, d := range each {
			ask(true, false)
			w.judge(0, d)
		}
	}
	together := func(each ...time.Duration) {
		t.Helper()
		for _, d := range each {
			ask(true, true)
			w.judge(1, d)
		}
	}
	if n, ok := w.helpers(minPieces - 1); n != 0 || ok {
		t.Fatal("a small job is one for the crew")
	}
	for plain := minPause; plain <= 4*maxPause; plain = 2 * plain {
		alone(100, 100, 500, 100)
		together(90, 90, 90, 300) // not worth it
		for range min(plain, maxPause) {
			ask(false, false)
		}
	}
	alone(100, 100, 100, 100)
	for range maxTurn/trial - 1 {
		together(1000, 85, 85, 85) // a core had to wake
	}
	alone(100, 100, 100, 100) // is that so still?
	together(55, 55, 55, 55)
	together(90, 90, 90, 90)
	for range minPause { // the pauses begin anew
		ask(false, false)
	}
	ask(true, false)
}

// TestCrewBetween has a helper cost time between the jobs: that counts, and waiting does
// not count for long.
func TestCrewBetween(t *testing.T) {
	w := new(crew)
	w.run(1, 0, func(pieces iter.Seq[int]) {
		for range pieces {
		}
	})
	first := w.alone.spent
	w.alone = spell{}
	w.ended = time.Now().Add(-time.Hour)
	w.run(1, 0, func(pieces iter.Seq[int]) {
		for began := time.Now(); time.Since(began) < time.Millisecond; {
		}
		for range pieces {
		}
	})
	if spent := w.alone.spent; spent < (maxBetween+1)*time.Millisecond || spent > time.Hour/2 {
		t.Errorf("a job of a millisecond after an hour counts %v; the one before, %v", spent, first)
	}
}

// TestWriteByMany writes by a crew, with keys that change in the middle of it, and
// closes while a transport is stuck.
func TestWriteByMany(t *testing.T) {
	t.Parallel()
	for _, policy := range []RekeyPolicy{{}, {Records: 11, MinInterval: -1}} {
		victim, peer := hostilePair(t)
		victim.out.rekey.policy = policy.withDefaults()
		data := make([]byte, 5<<20+12345)
		for i := range data {
			data[i] = byte(i >> 8)
		}
		go func() {
			for rest := data; len(rest) > 0; {
				AskHelpers(victim)
				n, err := victim.Write(rest[:min(1<<20, len(rest))])
				if err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
			_ = victim.CloseWrite()
		}()
		got, err := readWithCrew(peer)
		if err != nil || !slices.Equal(got, data) {
			t.Fatalf("%d bytes arrived, %v", len(got), err)
		}
	}
	victim, peer := hostilePair(t)
	AskHelpers(victim)
	done := make(chan error)
	go func() {
		n, err := victim.Write(make([]byte, 3*crewChunk))
		if n != crewChunk {
			t.Errorf("%d bytes were sealed", n)
		}
		done <- err
	}()
	if _, err := io.ReadFull(peer.inner, make([]byte, 1)); err != nil { // the Write is in the middle
		t.Fatal(err)
	}
	_ = victim.Close()
	if err := <-done; err == nil {
		t.Error("a Write that nobody reads came to its end")
	}
	if !wiped(victim.parts) {
		t.Error("something is left")
	}
}

// readWithCrew is io.ReadAll by a crew.
func readWithCrew(c *Conn) (all []byte, err error) {
	p := make([]byte, 1<<20)
	for {
		AskHelpers(c)
		n, err := c.Read(p)
		if all = append(all, p[:n]...); err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
	}
}
