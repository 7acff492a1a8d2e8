// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// minProgress is how many bytes a sender must send in the time that it may be idle, unless
// it sends less and then completes a frame or a file.
const minProgress = 64 << 10

// A pacedConn ends a connection whose peer makes no progress.
type pacedConn struct {
	conn io.ReadWriter
	idle time.Duration // 0: no bound

	mu      sync.Mutex
	stopped error
	since   time.Time // when the progress was made that counts; zero: the next Read begins
	n       int       // bytes since then
	waiting time.Time // since when a Read waits; zero: none does
	ended   time.Time // when the last Read returned
}

// deadliner is a connection with deadlines.
type deadliner interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Read reads, within the time that the sender has for it.
func (c *pacedConn) Read(p []byte) (int, error) {
	if err := c.beginRead(); err != nil {
		return 0, err
	}
	n, err := c.conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.ended = time.Time{}, time.Now()
	if c.n += n; c.n >= minProgress {
		c.since, c.n = c.ended, 0
	}
	if err != nil && c.stopped != nil {
		return n, c.stopped
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = passing(fmt.Sprintf("the sender was idle for %v", c.idle))
	}
	return n, err
}

func (c *pacedConn) beginRead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped != nil {
		return c.stopped
	}
	c.waiting = time.Now()
	if c.since.IsZero() {
		c.since = c.waiting
	} else { // the receiver's own time does not count
		c.since = c.since.Add(c.waiting.Sub(c.ended))
	}
	if d, ok := c.conn.(deadliner); ok && c.idle > 0 {
		return d.SetReadDeadline(c.since.Add(c.idle))
	}
	return nil
}

// renew says that the sender has completed a frame or a file.
func (c *pacedConn) renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since, c.n = time.Time{}, 0
}

// Write writes, within the time that the sender has to read.
func (c *pacedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	err := c.stopped
	if d, ok := c.conn.(deadliner); ok && err == nil && c.idle > 0 {
		err = d.SetWriteDeadline(time.Now().Add(c.idle))
	}
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.conn.Write(p)
}

// waited is how long a Read waits already.
func (c *pacedConn) waited() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting.IsZero() {
		return 0
	}
	return time.Since(c.waiting)
}

// interrupt ends a Read or Write that waits, and those to come.
func (c *pacedConn) interrupt(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped != nil {
		return
	}
	c.stopped = err
	if d, ok := c.conn.(deadliner); ok {
		past := time.Unix(1, 0)
		_, _ = d.SetReadDeadline(past), d.SetWriteDeadline(past)
	}
}
