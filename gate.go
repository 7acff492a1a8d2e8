// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"sync/atomic"
)

// A gate is a mutex that can be waited for beside other things: whoever takes the
// token out of it is inside.
type gate chan struct{}

func newGate() gate {
	g := make(gate, 1)
	g <- struct{}{}
	return g
}

// A latch is a channel that is closed once.
type latch struct {
	ch   chan struct{}
	shut atomic.Bool
}

// close closes it, and reports whether nobody has done so before.
func (l *latch) close() bool {
	first := l.shut.CompareAndSwap(false, true)
	if first {
		close(l.ch)
	}
	return first
}

func (g gate) Lock()   { <-g }
func (g gate) Unlock() { g <- struct{}{} }

func (g gate) TryLock() bool {
	select {
	case <-g:
		return true
	default:
		return false
	}
}

// LockContext is Lock unless ctx ends first.
func (g gate) LockContext(ctx context.Context) error {
	select {
	case <-g:
		return nil
	default:
	}
	select {
	case <-g:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
