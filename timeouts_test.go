// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestDefaultHandshakeTimeout has either side wait for a peer that says nothing: for ten
// seconds of the bubble's clock.
func TestDefaultHandshakeTimeout(t *testing.T) {
	t.Parallel()
	for _, server := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cc, sc := mayflytest.Configs(t)
			a, b := net.Pipe()
			defer b.Close()
			var c *mayfly.Conn
			if server {
				c = mayfly.Server(a, sc)
			} else {
				c = mayfly.Client(a, cc)
			}
			defer c.Close()
			go func() { _, _ = io.Copy(io.Discard, b) }()
			started := time.Now()
			if err := c.Handshake(); !errors.Is(err, mayfly.ErrHandshakeTimeout) {
				t.Errorf("server %t: %v", server, err)
			}
			if took := time.Since(started); took != 10*time.Second {
				t.Errorf("server %t: after %v", server, took)
			}
		})
	}
}

// TestDeadlinesOutliveHandshake sets deadlines before the handshake, which has bounds of
// its own: those of the caller hold afterwards, on both sides, and so does none.
func TestDeadlinesOutliveHandshake(t *testing.T) {
	t.Parallel()
	const later = time.Hour
	for _, set := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cc, sc := mayflytest.Configs(t)
			a, b := net.Pipe()
			c, s := mayfly.Client(a, cc), mayfly.Server(b, sc)
			defer c.Close()
			defer s.Close()
			started := time.Now()
			if set {
				_ = c.SetDeadline(started.Add(later))
				_ = s.SetDeadline(started.Add(later))
			}
			done := make(chan error, 1)
			go func() { done <- s.Handshake() }()
			if err := errors.Join(c.Handshake(), <-done); err != nil {
				t.Fatal(err)
			}
			calls := make(chan error, 3)
			go func() { _, err := c.Read(make([]byte, 1)); calls <- err }()
			go func() { _, err := s.Write(make([]byte, 1<<20)); calls <- err }() // nobody reads all of it
			go func() { _, err := s.Read(make([]byte, 1)); calls <- err }()
			if err := <-calls; err != nil {
				t.Fatalf("a Read that has data: %v", err)
			}
			time.Sleep(later - 1) // on the bubble's clock: past every bound of the library's
			synctest.Wait()
			select {
			case err := <-calls:
				t.Errorf("before its deadline: %v", err)
			default:
			}
			if !set {
				return
			}
			for range 2 {
				if err := <-calls; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("at its deadline: %v", err)
				}
			}
			if took := time.Since(started); took != later {
				t.Errorf("after %v", took)
			}
		})
	}
}

// A deadEnd is a transport whose Write fails from some point on, as that of a socket whose
// other end was closed.
type deadEnd struct {
	net.Conn
	dead atomic.Bool
}

func (d *deadEnd) Write(p []byte) (int, error) {
	if d.dead.Load() {
		return 0, syscall.EPIPE
	}
	return d.Conn.Write(p)
}

// TestWriteTellsWhy has a server refuse a client that only writes: when a Write fails, the
// alert that explains it has come, and is the error of that Write and of what follows.
func TestWriteTellsWhy(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	cc.Identity = nil // which the server wants
	a, b := net.Pipe()
	inner := &deadEnd{Conn: a}
	c, s := mayfly.Client(inner, cc), mayfly.Server(b, sc)
	defer c.Close()
	defer s.Close()
	served := make(chan error, 1)
	go func() { served <- s.Handshake() }() // its alert waits in the pipe until it is read
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	inner.dead.Store(true)
	_, err := c.Write([]byte("words"))
	for _, err := range []error{err, c.CloseWrite(), c.Flush()} {
		if e, ok := errors.AsType[*mayfly.AlertError](err); !ok || !e.Remote || e.Code.String() != "certificate_required" {
			t.Errorf("got %v, want the server's certificate_required", err)
		}
	}
	if err := <-served; err == nil {
		t.Error("the server has accepted the client")
	}
}
