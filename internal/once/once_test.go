// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package once_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/once"
)

func TestEvent(t *testing.T) {
	t.Parallel()
	for _, awaited := range []bool{false, true} {
		var e once.Event
		if e.HasFired() || e.IsAwaited() {
			t.Error("the zero Event has happened, or is awaited")
		}
		if awaited {
			before := e.Done()
			select {
			case <-before:
				t.Error("done before Fire")
			default:
			}
			if !e.IsAwaited() || e.HasFired() || e.Done() != before {
				t.Error("Done has changed more than it should")
			}
			defer func() { <-before }()
		}
		e.WaitWithin(0) // it has not happened
		if !e.Fire() || e.Fire() {
			t.Error("Fire does not report the first call")
		}
		<-e.Done()
		e.WaitWithin(time.Hour)
		if !e.HasFired() {
			t.Error("it has not happened")
		}
	}
}

// TestEventAtOnce fires events while goroutines begin to wait: each of them goes on, and one
// call of Fire is the first.
func TestEventAtOnce(t *testing.T) {
	t.Parallel()
	for range 1000 {
		var e once.Event
		var all sync.WaitGroup
		var first atomic.Int32
		for range 4 {
			all.Go(func() { <-e.Done() })
			all.Go(func() {
				if e.Fire() {
					first.Add(1)
				}
			})
		}
		all.Wait()
		if n := first.Load(); n != 1 {
			t.Fatalf("%d calls of Fire were the first", n)
		}
	}
}
