// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"io"
	"net"

	"github.com/mayfly-tls/mayfly/internal/stream"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/record"
)

// WriteTo writes to w what Read would return, until the peer's close_notify, and
// returns the number of bytes. It is what io.Copy calls: data is opened straight into
// the buffer that w is given, and no buffer is held while nothing comes. The error is
// Read's, nil at io.EOF, or w's: what was under way to w is lost then.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	for err == nil {
		var k int
		if err = c.await(); err == nil {
			k, err = c.openTo(w)
			n += int64(k)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// openTo hands what is there to w, and wipes it. It waits for nothing but w.
func (c *Conn) openTo(w io.Writer) (int, error) {
	buf := stream.GetBuffer(stream.CopyChunk)
	defer stream.PutBuffer(buf)
	c.in.mu.Lock()
	k, err := c.open((*buf)[:stream.CopyChunk])
	c.unlockIn()
	if k == 0 {
		return 0, err
	}
	defer func() { volatile.Wipe((*buf)[:k]) }()
	if k, err = writeAll(w, (*buf)[:k]); err == io.EOF {
		err = io.ErrUnexpectedEOF // it is no end of ours
	}
	return k, err
}

// writeAll writes p, and holds w to its contract.
func writeAll(w io.Writer, p []byte) (int, error) {
	n, err := w.Write(p)
	switch {
	case n < 0 || n > len(p):
		return 0, errImpossible
	case n < len(p) && err == nil:
		err = io.ErrShortWrite
	}
	return n, err
}

// await waits until there is something for Read, which may be a record that holds no
// data.
func (c *Conn) await() error {
	if err := c.handshakeFor(&c.deadlines.Read); err != nil {
		return err
	}
	c.in.mu.Lock()
	defer c.unlockIn()
	for len(c.in.plain) == 0 && !c.in.Ready() {
		switch {
		case c.closed.Load():
			return net.ErrClosed
		case c.in.err != nil:
			return c.in.err
		}
		if err := c.in.Fill(c.inner); err != nil {
			return c.readError(err)
		}
	}
	return nil
}

// ReadFrom writes what r has, until io.EOF, and returns the number of bytes. It is what
// io.Copy calls. What r returns goes out at once; where there is much of it, in large
// writes. The error is r's, except for io.EOF, or Write's.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	size := record.MaxPlaintext
	for err == nil {
		var k int
		var full bool
		k, full, err = c.writeFrom(r, size)
		n += int64(k)
		if size = record.MaxPlaintext; full {
			size = stream.CopyChunk
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// writeFrom writes what one Read of r, of at most size bytes, gives. full says that there may be more.
func (c *Conn) writeFrom(r io.Reader, size int) (n int, full bool, err error) {
	buf := stream.GetBuffer(size)
	defer stream.PutBuffer(buf)
	k, err := readOnce(r, (*buf)[:size])
	if k > 0 {
		defer func() { volatile.Wipe((*buf)[:k]) }()
		if n, failed := c.Write((*buf)[:k]); failed != nil {
			return n, false, failed
		}
	}
	return k, k == size, err
}

// errImpossible is returned for a count that cannot be.
var errImpossible = errors.New("mayfly: the other side of a copy returned an impossible count")

// readOnce reads once, and holds r to its contract.
func readOnce(r io.Reader, p []byte) (int, error) {
	for range 100 {
		n, err := r.Read(p)
		switch {
		case n < 0 || n > len(p):
			return 0, errImpossible
		case n > 0 || err != nil:
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}
