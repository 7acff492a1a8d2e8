// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package callback calls functions of the application, which may panic, call
// runtime.Goexit, or not return. It contains what they do, and logs it. It must not know
// what the functions are for.
package callback

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

const (
	// StoreTimeout is how long Ask waits.
	StoreTimeout = time.Second

	// MaxCalls is how many calls of one kind may be in progress at once. What does not
	// answer costs no more goroutines than these.
	MaxCalls = 1024
)

// ErrSlow is returned by Ask when the application did not answer in time.
var ErrSlow = errors.New("mayfly: the store did not answer in time")

// Err ends a handshake in which a callback panicked or called runtime.Goexit. The value
// of the panic may hold a secret, so it is in the log only.
var Err = alert.Wrap(alert.InternalError, "a callback of the application ended the handshake",
	errors.New("mayfly: a callback of the application panicked or called runtime.Goexit"))

// An Outcome is how a callback ended.
type Outcome struct {
	Returned bool
	panicked any // nil: it called runtime.Goexit
}

// Replay does on the caller's goroutine what the callback did: it returns, panics, or
// calls runtime.Goexit.
func (o Outcome) Replay() {
	switch {
	case o.Returned:
	case o.panicked != nil:
		panic(o.panicked)
	default:
		runtime.Goexit()
	}
}

// run runs f and notes in o how it ended. It recovers and logs a panic. A call of
// runtime.Goexit in f ends the goroutine all the same.
func (o *Outcome) run(log *Log, f func()) {
	defer func() {
		if !o.Returned {
			o.panicked = recover()
			log.Panicked(o.panicked)
		}
	}()
	f()
	o.Returned = true
}

// Isolate runs f on a goroutine of its own and waits for it, so that neither a panic nor
// runtime.Goexit in f ends the caller's goroutine, which has keys to wipe and locks to
// release. It logs either.
func Isolate(log *Log, f func()) Outcome {
	var o Outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.run(log, f)
	}()
	<-done
	return o
}

// Calls counts the calls that have not returned. Its zero value is ready for use. It is
// safe for concurrent use.
type Calls struct {
	Log Log // of callbacks that panic while no caller waits for them

	n atomic.Int32
}

// Begin counts one more call. It reports false, and counts none, if there are limit
// already.
func (c *Calls) Begin(limit int32) bool {
	if c.n.Add(1) > limit {
		c.n.Add(-1)
		return false
	}
	return true
}

// End counts one call less.
func (c *Calls) End() { c.n.Add(-1) }

// Ask calls f and waits for its answer for at most StoreTimeout. An answer that comes
// later is given to late. A panic of f, or runtime.Goexit, is replayed on the caller's
// goroutine. The error is ErrSlow if f did not answer in time, or MaxCalls are in
// progress.
func Ask[T any](ctx context.Context, calls *Calls, f func(context.Context) (T, error), late func(T)) (T, error) {
	type answer struct {
		v       T
		err     error
		outcome Outcome
	}
	var zero T
	if !calls.Begin(MaxCalls) {
		return zero, ErrSlow
	}
	ctx, cancel := context.WithTimeout(ctx, StoreTimeout)
	defer cancel()
	answered := make(chan answer, 1)
	go func() {
		defer calls.End()
		var a answer
		defer func() { answered <- a }()
		a.outcome.run(&calls.Log, func() { a.v, a.err = f(ctx) })
	}()
	select {
	case a := <-answered:
		a.outcome.Replay()
		return a.v, a.err
	case <-ctx.Done():
		go func() { late((<-answered).v) }()
		return zero, ErrSlow
	}
}
