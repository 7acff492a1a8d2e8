// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// A plainFront is a client's listener.
type plainFront struct {
	net.Listener
	log  *slog.Logger
	ctx  context.Context
	once sync.Once
	err  error

	failures AcceptLog
}

// The waits after a failure to accept that passes: too many open files, say.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Second

	// acceptLogEvery is how often the log says that accepting fails. A limit of
	// descriptors that is reached stays so for long.
	acceptLogEvery = 10 * time.Second
)

const notAccepted = "a connection cannot be accepted; trying again"

// An AcceptLog bounds how often the log says that the system hands out no connection. Its
// zero value is ready.
type AcceptLog struct {
	mu       sync.Mutex
	logged   time.Time // when one was last logged
	failures int       // since then
}

// Take counts a failure. Where it is to be logged, it returns how many there were since the
// last one.
func (l *AcceptLog) Take(now time.Time) (failures int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	if now.Sub(l.logged) < acceptLogEvery {
		return 0, false
	}
	failures = l.failures
	l.logged, l.failures = now, 0
	return failures, true
}

// Accept returns net.ErrClosed after Close, and no other error: whatever else keeps the
// system from handing out a connection is waited for.
func (f *plainFront) Accept() (net.Conn, error) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		c, err := f.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return c, err
		}
		if failures, ok := f.failures.Take(time.Now()); ok {
			f.log.Warn(notAccepted, "error", err, "wait", wait, "failures", failures)
		}
		select {
		case <-time.After(wait):
		case <-f.ctx.Done():
			return nil, net.ErrClosed
		}
	}
}

// Close can be called again.
func (f *plainFront) Close() error {
	f.once.Do(func() { f.err = f.Listener.Close() })
	return f.err
}

// Shutdown is Close: what Accept has not returned is in the hands of the system.
func (f *plainFront) Shutdown(context.Context) error { return f.Close() }

// A socket is what lies below a listener: it outlives that in another process.
type socket interface {
	net.Listener
	File() (*os.File, error)
}

// socketOf returns nil where there is none to hand on.
func socketOf(ln net.Listener) socket {
	s, _ := ln.(socket)
	return s
}
