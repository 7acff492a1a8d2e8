// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package stream

import (
	"context"
	"time"
)

// A ChanMutex is a mutex that a goroutine can wait for beside other things: the goroutine
// that has received its token holds it.
type ChanMutex chan struct{}

// NewChanMutex returns an unlocked ChanMutex.
func NewChanMutex() ChanMutex {
	m := make(ChanMutex, 1)
	m <- struct{}{}
	return m
}

// Lock locks m.
func (m ChanMutex) Lock() { <-m }

// Unlock unlocks m.
func (m ChanMutex) Unlock() { m <- struct{}{} }

// TryLock locks m unless it is locked. It reports whether it has locked.
func (m ChanMutex) TryLock() bool {
	select {
	case <-m:
		return true
	default:
		return false
	}
}

// LockWithin is Lock unless d passes first. It reports whether it has locked.
func (m ChanMutex) LockWithin(d time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return m.LockContext(ctx) == nil
}

// LockContext is Lock unless ctx ends first.
func (m ChanMutex) LockContext(ctx context.Context) error {
	if m.TryLock() {
		return nil
	}
	select {
	case <-m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
