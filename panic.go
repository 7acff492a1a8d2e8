// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// errCallback ends a handshake in which a callback of the application panicked or called
// runtime.Goexit. What it panicked with may hold a secret, so it is in the log only.
var errCallback = alert.Wrap(alert.InternalError, "a callback of the application ended the handshake",
	errors.New("mayfly: a callback of the application panicked or called runtime.Goexit"))

// An outcome is how a callback ended that ran on a goroutine of its own.
type outcome struct {
	returned bool
	panicked any // nil: it called runtime.Goexit
}

// replay does what the callback has done, on the goroutine that waited for it.
func (o outcome) replay() {
	switch {
	case o.returned:
	case o.panicked != nil:
		panic(o.panicked)
	default:
		runtime.Goexit()
	}
}

// containedInto runs f and notes in o how it ended. A panic goes no further than to log.
// runtime.Goexit ends the goroutine all the same: see isolate.
func containedInto(o *outcome, log *failureLog, f func()) {
	defer func() {
		if !o.returned {
			o.panicked = recover()
			log.panicked(o.panicked)
		}
	}()
	f()
	o.returned = true
}

// isolate runs f as containedInto does, on a goroutine of its own, so that runtime.Goexit in f
// does not end the caller's, which has keys to wipe and locks to release.
func isolate(log *failureLog, f func()) outcome {
	var o outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		containedInto(&o, log, f)
	}()
	<-done
	return o
}

// panicked logs a callback that panicked, or called runtime.Goexit, with its stack.
func (f *failureLog) panicked(value any) {
	suppressed, ok := f.admit()
	switch {
	case !ok:
	case value == nil:
		slog.Error("mayfly: a callback of the application called runtime.Goexit", "unsaid", suppressed, "stack", string(debug.Stack()))
	default:
		slog.Error("mayfly: a callback of the application panicked", "panic", value, "unsaid", suppressed, "stack", string(debug.Stack()))
	}
}

// errPut is why a session was not stored whose store has panicked.
var errPut = errors.New("mayfly: the SessionStore panicked")
