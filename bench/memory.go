// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// memoryPair is a connection in memory that buffers without a limit, so that
// neither side waits for the other to read, as with a socket.
func memoryPair() (a, b net.Conn) {
	one, two := newFlow(), newFlow()
	return &memoryConn{in: one, out: two}, &memoryConn{in: two, out: one}
}

type flow struct {
	mu     sync.Mutex
	change *sync.Cond
	b      []byte
	closed bool
	until  time.Time
}

func newFlow() *flow {
	f := new(flow)
	f.change = sync.NewCond(&f.mu)
	return f
}

func (f *flow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.change.Broadcast()
}

// memoryConn is one end. Deadlines that have passed are honoured, others are not:
// nothing here takes long.
type memoryConn struct{ in, out *flow }

func (c *memoryConn) Read(p []byte) (int, error) {
	f := c.in
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.b) == 0 {
		switch {
		case f.closed:
			return 0, io.EOF
		case !f.until.IsZero() && time.Now().After(f.until):
			return 0, os.ErrDeadlineExceeded
		}
		f.change.Wait()
	}
	n := copy(p, f.b)
	if f.b = f.b[n:]; len(f.b) == 0 {
		f.b = nil
	}
	return n, nil
}

func (c *memoryConn) Write(p []byte) (int, error) {
	f := c.out
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, io.ErrClosedPipe
	}
	f.b = append(f.b, p...)
	f.change.Signal()
	return len(p), nil
}

func (c *memoryConn) Close() error {
	c.in.close()
	c.out.close()
	return nil
}

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.until = t
	c.in.change.Broadcast()
	return nil
}

func (c *memoryConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }
func (c *memoryConn) LocalAddr() net.Addr              { return address{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return address{} }

type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "memory" }
