// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package callback

import (
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"
)

// linesPerSecond is how many lines a Log writes in a second.
const linesPerSecond = 10

// A Log writes failed connections and callbacks to slog's default logger, at most
// linesPerSecond in a second. A line says how many were suppressed before it. Its zero
// value is ready for use. It is safe for concurrent use.
type Log struct {
	mu         sync.Mutex
	second     int64
	written    int
	suppressed int
}

// Failed logs a connection that failed before it was accepted.
func (l *Log) Failed(remote net.Addr, err error) {
	if suppressed, ok := l.admit(); ok {
		slog.Warn("mayfly: a connection failed before it was accepted", "remote", remote, "error", err, "suppressed", suppressed)
	}
}

// Panicked logs a callback that panicked with value, or called runtime.Goexit (value is
// nil), with its stack.
func (l *Log) Panicked(value any) {
	suppressed, ok := l.admit()
	switch {
	case !ok:
	case value == nil:
		slog.Error("mayfly: a callback of the application called runtime.Goexit", "suppressed", suppressed, "stack", string(debug.Stack()))
	default:
		slog.Error("mayfly: a callback of the application panicked", "panic", value, "suppressed", suppressed, "stack", string(debug.Stack()))
	}
}

// admit reports whether one more line may be written in this second, and how many were
// suppressed since the last one.
func (l *Log) admit() (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().Unix()
	if now != l.second {
		l.second, l.written = now, 0
	}
	if l.written >= linesPerSecond {
		l.suppressed++
		return 0, false
	}
	l.written++
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
