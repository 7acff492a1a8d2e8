// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package testnet is a network in memory, for tests: a stream between two ends that
// can be cut into any pieces, be slow, have little room, and break in one place.
// What it does depends on its Paths alone, never on chance.
//
// It must not know what travels over it.
package testnet

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Path is one direction of a connection. The zero Path takes everything and
// delivers it at once.
type Path struct {
	// Segments are the most bytes that a Read returns, in turn. Nil: whatever is
	// there.
	Segments []int

	// Capacity is how many bytes can be under way. Zero: any number.
	Capacity int

	// Window, if it is not zero, is how much the reading end's kernel holds, as with TCP.
	// An end that closes with unread bytes, or that is sent bytes after it has closed,
	// resets the connection. What it has written then is lost, except for the first Window
	// bytes that the other end has not read.
	Window int

	// Delay is how long each Write is under way.
	Delay time.Duration

	// Fault happens at byte number At of the direction, from zero.
	Fault Fault
	At    int64
}

// A Fault is something that a path does to a stream.
type Fault uint8

// The faults.
const (
	None      Fault = iota
	Cut             // the stream ends, as by a FIN
	Reset           // both directions end, as by an RST
	Stall           // nothing more arrives, and nobody says so
	Corrupt         // one bit of the byte is another
	Lose            // the byte does not arrive
	Duplicate       // the byte arrives twice
	Reorder         // the byte and the one after it are swapped
)

// Faults are all of them.
func Faults() []Fault { return []Fault{None, Cut, Reset, Stall, Corrupt, Lose, Duplicate, Reorder} }

// String returns the name of the fault.
func (f Fault) String() string {
	return [...]string{"none", "cut", "reset", "stall", "corrupt", "lose", "duplicate", "reorder"}[f]
}

// ErrStalled is returned by ReadUnlessStalled.
var ErrStalled = errors.New("testnet: both ends wait for each other")

// errReset is what both ends of a connection that was reset see.
var errReset = &net.OpError{Op: "read", Net: "testnet", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

// A Conn is one end of a connection.
type Conn struct {
	mu      *sync.Mutex // of both ends
	changed *sync.Cond
	in, out *lane
	name    addr
	other   addr
	closed  bool
}

// Pipe returns the two ends of a connection, and what happens on the way from each to
// the other.
func Pipe(fromA, fromB Path) (a, b *Conn) {
	mu := new(sync.Mutex)
	changed := sync.NewCond(mu)
	ab, ba := newLane(fromA), newLane(fromB)
	a = &Conn{mu: mu, changed: changed, in: ba, out: ab, name: "a", other: "b"}
	b = &Conn{mu: mu, changed: changed, in: ab, out: ba, name: "b", other: "a"}
	return a, b
}

// Read waits for bytes, the end of the stream, or the deadline.
func (c *Conn) Read(p []byte) (int, error) { return c.read(p, false) }

// ReadUnlessStalled is Read that returns ErrStalled, rather than to wait for ever,
// where the other end waits in a Read too and nothing is under way.
func (c *Conn) ReadUnlessStalled(p []byte) (int, error) { return c.read(p, true) }

func (c *Conn) read(p []byte, stalled bool) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.in.waiting = false }()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.in.reset:
			return 0, errReset
		case c.in.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		}
		if n := c.in.take(p); n > 0 || len(p) == 0 {
			c.changed.Broadcast()
			return n, nil
		}
		switch {
		case c.in.resetAtEnd && len(c.in.chunks) == 0:
			return 0, errReset
		case c.in.ended && len(c.in.chunks) == 0:
			return 0, io.EOF
		case stalled && c.out.waiting && len(c.out.chunks) == 0:
			return 0, ErrStalled
		}
		if !c.in.waiting {
			c.in.waiting = true
			c.changed.Broadcast() // the other end may be looking for a stall
		}
		c.changed.Wait()
	}
}

// Write hands p to the path. It waits where the path has no room.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed, c.out.shut:
			return n, net.ErrClosed
		case c.out.reset, c.in.resetAtEnd:
			return n, errReset
		case c.out.broken && c.in.path.Window > 0:
			c.in.resetBehind()
			return len(p), nil // the next Write learns of it
		case c.out.broken:
			return n, &net.OpError{Op: "write", Net: "testnet", Err: os.NewSyscallError("write", syscall.EPIPE)}
		case c.out.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		}
		room := c.out.room(len(p) - n)
		if reset := c.out.put(p[n : n+room]); reset {
			c.in.reset = true
		}
		if room > 0 {
			c.out.wakeAfter(c.out.path.Delay, c.changed)
			c.changed.Broadcast()
		}
		if n += room; n == len(p) {
			return n, nil
		}
		c.changed.Wait()
	}
}

// CloseWrite ends the stream to the other end, as a FIN does.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.end()
	c.changed.Broadcast()
	return nil
}

// Close ends the stream in both directions. What the other end writes from then on
// is lost.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed, c.in.broken = true, true
	c.out.end()
	if len(c.in.chunks) > 0 && c.out.path.Window > 0 {
		c.out.resetBehind()
	}
	c.in.readBy.stop()
	c.out.writeBy.stop()
	c.changed.Broadcast()
	return nil
}

// WaitRead waits until the other end has read all that was written and waits for more,
// or will read nothing more.
func (c *Conn) WaitRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for (len(c.out.chunks) > 0 || !c.out.waiting) && !c.out.broken && !c.out.reset && !c.closed {
		c.changed.Wait()
	}
}

// Sent returns how many bytes this end has written.
func (c *Conn) Sent() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.count
}

// LocalAddr returns "a" or "b".
func (c *Conn) LocalAddr() net.Addr { return c.name }

// RemoteAddr returns "b" or "a".
func (c *Conn) RemoteAddr() net.Addr { return c.other }

// SetDeadline sets the deadline of Read and Write.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the deadline of Read.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.in.readBy, t) }

// SetWriteDeadline sets the deadline of Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.out.writeBy, t) }

func (c *Conn) setDeadline(d *deadline, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	d.set(t, c.changed)
	c.changed.Broadcast()
	return nil
}

type addr string

func (addr) Network() string  { return "testnet" }
func (a addr) String() string { return string(a) }
