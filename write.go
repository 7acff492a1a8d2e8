// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"io"
	"iter"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/stream"
	"github.com/mayfly-tls/mayfly/record"
)

// writeHalf is all that sending needs. It knows nothing of the Conn, so that a
// Conn that was dropped can be cleaned up.
type writeHalf struct {
	mu  stream.ChanMutex
	err error // sticky

	sealer record.Sealer
	sender *handshake.Sender // nil until the handshake is done

	pending []byte // sealed, and not yet taken by the transport
	owing   bool   // some of pending is data of the caller's
	rekey   rekeyState
	workers stream.Workers

	told   *KeyInfo // the present keys, where a Trace was told of them
	counts counts   // of application data

	callers atomic.Int32 // Writes under way, for Close

	owed    atomic.Bool                   // the peer asked for a KeyUpdate
	awaited atomic.Pointer[chan struct{}] // closed by the KeyUpdate that we asked for
}

// Write seals p and writes it to the transport. n counts the bytes that were
// sealed: they are the library's to deliver. After a deadline passed
// (os.ErrDeadlineExceeded) go on with p[n:], never with p: what was sealed and
// not sent is kept, at most one chunk of 512 KiB, and goes out before anything
// else with the next Write, Flush or CloseWrite. With a deadline that has
// already passed nothing is sealed. Write runs the handshake if that has not
// been done. An empty p seals nothing.
//
// After a failed Write, the alert with which the peer may have explained itself is
// read and returned as the cause (*AlertError).
//
// Write may be called beside any other method; calls at the same time are
// written one after the other, each in one piece.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.out.callers.Add(1)
	defer c.out.callers.Add(-1)
	if err := c.handshakeFor(&c.deadlines.Write); err != nil {
		return 0, err
	}
	c.out.mu.Lock()
	defer c.unlockOut()
	if err := c.writable(); err != nil {
		return 0, err
	}
	if len(p) == 0 || c.out.owing || len(c.out.pending) > stream.RecordBuffer {
		if err := c.flush(); err != nil {
			return 0, c.writeError(err)
		}
	}
	if len(p) == 0 {
		return 0, nil // a record of nothing would surprise some peers
	}
	for {
		chunk := p[n:min(n+c.out.rekey.chunk(stream.WriteChunk), len(p))]
		if err := c.writeChunk(chunk, &n); err != nil {
			return n, c.writeError(err)
		}
		if n == len(p) {
			return n, nil
		}
		if err := c.writable(); err != nil {
			return n, err
		}
	}
}

// writable reports why nothing may be sealed now. c.out.mu is held.
func (c *Conn) writable() error {
	switch {
	case c.out.err != nil:
		return c.out.err
	case c.closed.Load():
		return net.ErrClosed
	case c.deadlines.Write.Expired():
		return os.ErrDeadlineExceeded
	}
	if e := c.ended.Load(); e != nil {
		return *e
	}
	return nil
}

// writeBuffer is the size of a buffer for n bytes in full records behind a KeyUpdate. One
// record may be padded.
func writeBuffer(n int) int { return max(stream.RecordBuffer, n+n/64+64) }

// writeChunk seals p, which rekey.chunk allows, behind a key change that is due, adds
// them to *n, and writes them, behind the tickets that wait. c.out.mu is held.
func (c *Conn) writeChunk(p []byte, n *int) error {
	buf := stream.GetBuffer(writeBuffer(len(c.out.pending) + len(p)))
	defer stream.PutBuffer(buf)
	b, err := c.rekeyIfDue(append((*buf)[:0], c.out.pending...), len(p))
	if err != nil {
		return err
	}
	if b, err = c.out.seal(b, p); err != nil {
		return err
	}
	*n += len(p)
	c.out.pending = nil
	return c.send(b)
}

var sealBatches = sync.Pool{New: func() any { return new(record.SealBatch) }}

// seal appends records of p to b, on several cores where p is large. c.out.mu is held.
func (out *writeHalf) seal(b, p []byte) ([]byte, error) {
	if len(p) < stream.MinParallel || runtime.GOMAXPROCS(0) == 1 {
		return out.sealer.Seal(b, record.ApplicationData, p)
	}
	batch := sealBatches.Get().(*record.SealBatch)
	defer sealBatches.Put(batch)
	n, sealed, err := out.sealer.Split(batch, b, record.ApplicationData, p)
	if n == 0 || err != nil {
		return out.sealer.Seal(b, record.ApplicationData, p)
	}
	defer batch.Close()
	out.workers.Run(n, func(pieces iter.Seq[int]) {
		for i := range pieces {
			batch.Run(i)
		}
	})
	return sealed, nil
}

// send writes sealed bytes, and keeps what the transport did not take before a
// deadline. c.out.mu is held, and nothing is pending.
func (c *Conn) send(b []byte) error {
	k, err := c.writeInner(b)
	if k < len(b) {
		c.out.pending, c.out.owing = append(c.out.pending[:0], b[k:]...), true
	}
	return err
}

// flush sends what is pending. c.out.mu is held.
func (c *Conn) flush() error {
	out := c.out
	if len(out.pending) == 0 {
		return nil
	}
	k, err := c.writeInner(out.pending)
	if k == len(out.pending) {
		out.pending, out.owing = nil, false
		return nil
	}
	out.pending = out.pending[k:]
	return err
}

// writeInner writes to the transport. A short write is an error, and so is a count
// that cannot be.
func (c *Conn) writeInner(b []byte) (int, error) {
	k, err := c.inner.Write(b)
	switch {
	case k < 0 || k > len(b):
		return 0, errors.New("the transport's Write returned an impossible count")
	case k < len(b) && err == nil:
		err = io.ErrShortWrite
	}
	return k, err
}

// Flush sends what a Write, or CloseWrite, sealed and could not send before its
// deadline, and a server's tickets that wait. Like these, it can be repeated after a deadline.
func (c *Conn) Flush() error {
	if !c.done.Load() {
		return nil
	}
	c.out.callers.Add(1)
	defer c.out.callers.Add(-1)
	c.out.mu.Lock()
	defer c.unlockOut()
	if err := c.writable(); err != nil && err != ErrWriteClosed {
		return err
	}
	if err := c.flush(); err != nil {
		return c.writeError(err)
	}
	return nil
}

// writeError makes of an error what Write returns, and ends what is to end. A
// deadline leaves all as it was. c.out.mu is held.
func (c *Conn) writeError(err error) error {
	switch e := c.ended.Load(); {
	case c.closed.Load():
		return net.ErrClosed
	case e != nil:
		return *e
	case isTimeout(err):
		if c.leaving.Load() {
			return ErrDetached
		}
		return os.ErrDeadlineExceeded
	case errors.Is(err, record.ErrLimit):
		return c.failOut(err)
	}
	c.wipeOut(err)
	if cause := c.pendingAlert(); cause != nil {
		c.out.err = cause
	}
	return c.out.err
}

// pendingAlert looks for the alert that explains why the transport refuses our
// bytes, without waiting for a Read that is under way and without losing data.
func (c *Conn) pendingAlert() error {
	if !c.in.mu.TryLock() {
		return nil
	}
	defer c.unlockIn()
	lift, _ := c.deadlines.Read.Bound(time.Now().Add(alertTimeout))
	defer lift()
	for len(c.in.plain) == 0 && c.in.err == nil {
		if err := c.nextRecord(nil); isTimeout(err) {
			break
		} else if isProtocol(err) {
			e := localError(err)
			c.end(e)
			c.wipeIn(e)
		} else if err != nil {
			c.wipeIn(err)
		}
	}
	if e, ok := errors.AsType[*AlertError](c.in.err); ok && e.Remote {
		return e
	}
	return nil
}

// wipe ends sending: err is what every later Write returns.
func (out *writeHalf) wipe(err error) {
	if out.err == nil {
		out.err = err
	}
	out.sealer.Wipe()
	if out.sender != nil {
		out.sender.Wipe()
	}
}
