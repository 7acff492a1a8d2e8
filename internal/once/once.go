// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package once has events that happen once and can be waited for.
//
// It must not know what the events are.
package once

import "sync/atomic"

// An Event happens once. The zero Event has not happened, and holds no memory while nothing
// waits for it. Its methods may be called by several goroutines at once.
type Event struct {
	ch atomic.Pointer[chan struct{}] // nil: nothing waits; happened: it has happened
}

// happened is a channel that is closed.
var happened = func() *chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return &ch
}()

// Done returns a channel that is closed when the event has happened.
func (e *Event) Done() <-chan struct{} {
	if ch := e.ch.Load(); ch != nil {
		return *ch
	}
	ch := make(chan struct{})
	if !e.ch.CompareAndSwap(nil, &ch) {
		return *e.ch.Load()
	}
	return ch
}

// Fire has the event happen, if it has not.
func (e *Event) Fire() {
	if e.HasFired() {
		return
	}
	if ch := e.ch.Swap(happened); ch != nil && ch != happened {
		close(*ch)
	}
}

// HasFired reports whether the event has happened.
func (e *Event) HasFired() bool { return e.ch.Load() == happened }

// IsAwaited reports whether Done or Fire was called.
func (e *Event) IsAwaited() bool { return e.ch.Load() != nil }
