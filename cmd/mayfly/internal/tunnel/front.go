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

	logged     time.Time // when a failure to accept was last logged
	suppressed int       // failures since then
}

// The waits after a failure to accept that passes: too many open files, say.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Second

	// acceptLogEvery is how often the log says that accepting fails. A limit of
	// descriptors that is reached stays so for long.
	acceptLogEvery = 10 * time.Second
)

// Accept returns net.ErrClosed after Close, and no other error: whatever else keeps the
// system from handing out a connection is waited for.
func (f *plainFront) Accept() (net.Conn, error) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		c, err := f.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return c, err
		}
		if f.suppressed++; time.Since(f.logged) >= acceptLogEvery {
			f.log.Warn("a connection cannot be accepted; trying again", "error", err, "wait", wait, "failures", f.suppressed)
			f.logged, f.suppressed = time.Now(), 0
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
