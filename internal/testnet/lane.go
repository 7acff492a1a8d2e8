// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package testnet

import (
	"sync"
	"time"
)

// A lane is a path and what is under way on it. The mutex of the two ends guards it.
type lane struct {
	path   Path
	chunks []chunk // never empty ones
	size   int     // of chunks
	count  int64   // bytes that were ever written
	turn   int     // in path.Segments
	held   []byte  // the byte that is to arrive after the next

	ended  bool // nothing will come after chunks
	shut   bool // by its writer
	broken bool // nobody will read it
	lost   bool // nothing more arrives
	reset  bool

	resetAtEnd bool // behind chunks
	waiting    bool // somebody waits in Read

	readBy, writeBy deadline
}

// A chunk is what one Write has written.
type chunk struct {
	b  []byte
	at time.Time // when it arrives; zero: at once
}

func newLane(p Path) *lane { return &lane{path: p} }

// room is how many of n bytes can be taken now.
func (l *lane) room(n int) int {
	if l.path.Capacity == 0 || l.lost {
		return n
	}
	return max(0, min(n, l.path.Capacity-l.size))
}

// put takes bytes, and does to them what the path does. It reports whether the
// connection was reset.
func (l *lane) put(p []byte) (reset bool) {
	i := l.path.At - l.count
	l.count += int64(len(p))
	if l.lost || len(p) == 0 {
		return false
	}
	b := append([]byte(nil), p...)
	if l.held != nil {
		b = append(b[:1:1], append(l.held, b[1:]...)...)
		l.held = nil
	} else if 0 <= i && i < int64(len(b)) {
		b = l.strike(b, int(i))
	}
	if len(b) > 0 {
		c := chunk{b: b}
		if l.path.Delay > 0 {
			c.at = time.Now().Add(l.path.Delay)
		}
		l.chunks = append(l.chunks, c)
		l.size += len(b)
	}
	return l.reset
}

// strike does the fault to byte i.
func (l *lane) strike(b []byte, i int) []byte {
	switch l.path.Fault {
	case Cut:
		l.lost, l.ended = true, true
		return b[:i]
	case Reset:
		l.lost, l.reset = true, true
		return nil
	case Stall:
		l.lost = true
		return b[:i]
	case Corrupt:
		b[i] ^= 1 << (l.path.At % 8)
	case Lose:
		return append(b[:i], b[i+1:]...)
	case Duplicate:
		return append(b[:i+1:i+1], b[i:]...)
	case Reorder:
		if i+1 < len(b) {
			b[i], b[i+1] = b[i+1], b[i]
			break
		}
		l.held = append(l.held, b[i])
		return b[:i]
	}
	return b
}

// take moves what has arrived to p, as much as a segment may have.
func (l *lane) take(p []byte) int {
	most := len(p)
	if s := l.path.Segments; len(s) > 0 && l.ready() {
		most = min(most, max(1, s[l.turn%len(s)]))
		l.turn++
	}
	n := 0
	for n < most && l.ready() {
		k := copy(p[n:most], l.chunks[0].b)
		n += k
		if l.chunks[0].b = l.chunks[0].b[k:]; len(l.chunks[0].b) == 0 {
			l.chunks[0].b = nil // or it would count as memory of whoever is tested
			l.chunks = l.chunks[1:]
		}
	}
	l.size -= n
	return n
}

// resetBehind is what its writer's RST does: what the reader's kernel holds stays.
func (l *lane) resetBehind() {
	left := l.path.Window
	for i := range l.chunks {
		l.chunks[i].b = l.chunks[i].b[:min(len(l.chunks[i].b), left)]
		if left -= len(l.chunks[i].b); left == 0 {
			l.chunks = l.chunks[:i+1]
			break
		}
	}
	l.lost, l.resetAtEnd = true, true
}

// end is what its writer's FIN does.
func (l *lane) end() {
	l.shut = true
	l.ended = l.ended || !l.lost // where all is lost, so is the FIN
}

func (l *lane) ready() bool {
	return len(l.chunks) > 0 && (l.chunks[0].at.IsZero() || !time.Now().Before(l.chunks[0].at))
}

// wakeAfter wakes whoever waits when what was written has arrived.
func (l *lane) wakeAfter(d time.Duration, changed *sync.Cond) {
	if d > 0 {
		time.AfterFunc(d+time.Microsecond, wake(changed))
	}
}

// wake wakes all who wait. Without the lock it could come between somebody's look at
// the clock and the wait.
func wake(changed *sync.Cond) func() {
	return func() {
		changed.L.Lock()
		defer changed.L.Unlock()
		changed.Broadcast()
	}
}

// A deadline is that of one direction at one end.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(t time.Time, changed *sync.Cond) {
	d.stop()
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, wake(changed))
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
