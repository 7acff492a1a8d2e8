// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package replay remembers which tickets were used (RFC 9846, Section 8). It must not know
// connections or the keys of tickets. Its callers tell it the time.
package replay

import (
	"sync"
	"time"
)

// defaultSize is how many tickets a Guard remembers by default, 48 bytes and the map's
// overhead each.
const defaultSize = 1 << 16

// A Use is an attempt to use a ticket.
type Use struct {
	Token  [32]byte  // stands for the ticket
	Issued time.Time // when the ticket was made
	Now    time.Time // by the server's clock
	Until  time.Time // when a replay would be refused for its age alone
}

// NewGuard returns a Guard that remembers at most size uses, or defaultSize if size is not
// positive, for window at least. It refuses tickets that were issued before now.
func NewGuard(size int, now time.Time, window time.Duration) *Guard {
	if size <= 0 {
		size = defaultSize
	}
	return &Guard{size: size, start: now, turned: now, window: window, present: make(map[[32]byte]bool)}
}

// A Guard remembers in two generations: what came since turned, and what came
// in the window before.
type Guard struct {
	size  int
	start time.Time

	mu            sync.Mutex
	window        time.Duration
	turned        time.Time
	latest        time.Time // that the clock on the wall has shown
	present, past map[[32]byte]bool
}

// clockStep is by how much the clock may go back, or the times of handshakes that ask at
// once may be out of order. It is remembered for longer by as much.
const clockStep = time.Second

// Remember makes the window at least so long. What was forgotten by a shorter one must not
// be fresh again, so that a guard which has been asked before begins anew.
func (g *Guard) Remember(window time.Duration, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if window <= g.window {
		return
	}
	if g.window = window; !g.latest.IsZero() {
		g.start = now
	}
}

// Admit reports whether this is the first use of its Token, and remembers it. It reports
// false where it cannot know.
func (g *Guard) Admit(use Use) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	wall := use.Now.Round(0)
	if wall.After(g.latest) {
		g.latest = wall
	}
	switch age, turn := use.Now.Sub(g.turned), g.window+clockStep; {
	case age >= 2*turn:
		g.turned, g.present, g.past = use.Now, make(map[[32]byte]bool), nil
	case age >= turn:
		g.turned, g.present, g.past = use.Now, make(map[[32]byte]bool), g.present
	}
	switch {
	case g.present[use.Token] || g.past[use.Token],
		use.Until.Sub(use.Now) > g.window, // longer than we remember
		g.latest.Sub(wall) > clockStep,
		use.Issued.Before(g.start) && use.Now.Sub(g.start) < g.window,
		len(g.present)+len(g.past) >= g.size:
		return false
	}
	g.present[use.Token] = true
	return true
}
