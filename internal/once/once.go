// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package once has events that happen once and can be waited for.
//
// It must not know what the events are.
package once

import (
	"sync/atomic"
	"time"
)

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

// WaitWithin waits for the event, but no longer than d.
func (e *Event) WaitWithin(d time.Duration) {
	if e.HasFired() {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-e.Done():
	case <-timer.C:
	}
}

// Fire has the event happen, and reports whether it had not happened before.
func (e *Event) Fire() bool {
	if e.HasFired() {
		return false
	}
	ch := e.ch.Swap(happened)
	if ch != nil && ch != happened {
		close(*ch)
	}
	return ch != happened
}

// HasFired reports whether the event has happened.
func (e *Event) HasFired() bool { return e.ch.Load() == happened }

// IsAwaited reports whether Done or Fire was called.
func (e *Event) IsAwaited() bool { return e.ch.Load() != nil }
