// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"time"
)

// A gate is a mutex that can be waited for beside other things: whoever takes the
// token out of it is inside.
type gate chan struct{}

func newGate() gate {
	g := make(gate, 1)
	g <- struct{}{}
	return g
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

// LockWithin is Lock unless d passes first. It reports whether it has locked.
func (g gate) LockWithin(d time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return g.LockContext(ctx) == nil
}

// LockContext is Lock unless ctx ends first.
func (g gate) LockContext(ctx context.Context) error {
	if g.TryLock() {
		return nil
	}
	select {
	case <-g:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
