// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"net"
	"os"
	"time"
	"weak"

	"github.com/mayfly-tls/mayfly/internal/callback"
	"github.com/mayfly-tls/mayfly/internal/stream"
	"github.com/mayfly-tls/mayfly/record"
)

// Handshake runs the handshake if that has not been done. Read, Write, CloseWrite
// and Rekey call it by themselves.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext is Handshake with a context. Where ctx ends first, the
// connection cannot be used any more. Where a deadline of the Conn passes
// first, the handshake can be continued by a later call; where
// Config.HandshakeTimeout passes, ErrHandshakeTimeout is returned and it cannot.
// A failure is an *AlertError, or the transport's, or a sentence about the
// Config.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.done.Load() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-c.baton:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.parts.over.Done():
		return c.whyOver()
	}
	return c.runHandshake(ctx)
}

// handshakeFor runs the handshake for a Read or a Write, whose deadline counts.
func (c *Conn) handshakeFor(whose *stream.Deadline) error {
	if c.done.Load() {
		return nil
	}
	if err := whose.Acquire(c.baton, c.parts.over.Done()); err != nil {
		if err == net.ErrClosed {
			return c.whyOver()
		}
		return err
	}
	return c.runHandshake(context.Background())
}

// whyOver is the error of a connection that has ended before its handshake was.
func (c *Conn) whyOver() error {
	if err := c.endedBy(); err != nil && !c.closed.Load() {
		return err
	}
	return net.ErrClosed
}

// runHandshake runs or continues the handshake. The caller has taken the baton,
// which is given back.
func (c *Conn) runHandshake(ctx context.Context) error {
	return c.passBaton(c.handshakeUntil(ctx, c.handshakeIsOver))
}

// passBaton gives the baton back, with the error of what was done meanwhile. Where
// Close found it taken, what Close left is done here.
func (c *Conn) passBaton(err error) error {
	c.baton.Unlock()
	if c.closed.Load() {
		c.wipe(net.ErrClosed)
		return net.ErrClosed
	}
	return err
}

// handshakeIsOver reports whether the machine has nothing more to do.
func (c *Conn) handshakeIsOver() bool { return c.machine.Done() }

// handshakeUntil runs the handshake until enough of it is done. The baton is held. If a
// callback of the application panics or calls runtime.Goexit, the connection fails with
// internal_error, and the baton is given back, before that goes on to the caller.
func (c *Conn) handshakeUntil(ctx context.Context, enough func() bool) error {
	switch {
	case c.done.Load():
		return nil
	case c.failed != nil:
		return c.failed
	case c.closed.Load():
		return net.ErrClosed
	case c.invalid != nil:
		c.failed = c.invalid
		return c.failed
	}
	if d := c.settings.handshakeTimeout(); d > 0 && c.until.IsZero() {
		c.until = time.Now().Add(d)
	}
	asked := ctx
	ctx, cancel := c.handshakeContext(asked)
	defer cancel()
	c.cancel.Store(&cancel)
	defer c.cancel.Store(nil)
	if c.closed.Load() {
		return net.ErrClosed
	}

	returned := false
	defer func() {
		if !returned {
			_ = c.passBaton(nil)
		}
	}()
	c.in.mu.Lock()
	defer c.unlockIn()
	c.out.mu.Lock()
	defer c.unlockOut()
	defer func() {
		if !returned {
			c.failCallback()
		}
	}()
	err := c.handshakeLocked(asked, ctx, enough)
	returned = true
	return err
}

// handshakeLocked is handshakeUntil with both halves held.
func (c *Conn) handshakeLocked(asked, ctx context.Context, enough func() bool) error {
	if err := c.begin(asked, ctx); err != nil {
		return c.handshakeError(ctx, err)
	}
	if err := c.pumpWithin(ctx, enough); err != nil {
		return c.handshakeError(ctx, err)
	}
	if c.machine.Done() {
		defer c.deadlines.BoundBy(ctx, &c.deadlines.Write)()
		c.complete()
	}
	return nil
}

// pumpWithin is pump, as long as ctx allows.
func (c *Conn) pumpWithin(ctx context.Context, enough func() bool) error {
	defer c.deadlines.BoundBy(ctx, &c.deadlines.Read, &c.deadlines.Write)()
	return c.pump(enough)
}

// failCallback ends a connection in whose handshake a callback has panicked, or called
// runtime.Goexit. Both halves are held.
func (c *Conn) failCallback() {
	c.out.sealer.SetPadding(nil) // a callback too
	err := c.failHandshake(callback.Err)
	if c.failed == nil {
		c.failed = err
	}
	c.keys.wipe()
	c.machine = nil
	callback.Isolate(c.tell().log, func() { c.tellHandshakeDone(err) })
}

// tellHandshakeDone traces the end of the handshake, once.
func (c *Conn) tellHandshakeDone(err error) {
	if !c.doneTold {
		c.doneTold = true
		c.tell().handshakeDone(c.handshakeInfo(err))
	}
}

// handshakeContext bounds ctx by what is left of Config.HandshakeTimeout.
func (c *Conn) handshakeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.until.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, c.until, ErrHandshakeTimeout)
}

// begin makes the machine, once, and notes who is asking, and within what bounds.
func (c *Conn) begin(asked, ctx context.Context) error {
	if c.machine != nil {
		c.intro.ctx = ctx
		return nil
	}
	c.started = time.Now()
	c.teller.Store(&teller{trace: c.settings.Trace, ctx: context.WithoutCancel(asked), log: &c.settings.calls.Log})
	c.tell().handshakeStart(HandshakeStartInfo{RemoteAddr: c.inner.RemoteAddr(), Server: c.server})
	c.intro = &introduction{
		settings: c.settings, ctx: ctx, local: c.inner.LocalAddr(), remote: c.inner.RemoteAddr(),
		early: len(c.early.offered), wantsEarly: c.early.wanted, cookies: c.cookies, confirm: c.firstRecord.IsAwaited(),
	}
	m, err := c.intro.machine()
	if err != nil {
		return err
	}
	c.machine = m
	c.keys.hold(m)
	events, err := m.Start()
	if err != nil {
		return err
	}
	if err := c.apply(events); err != nil {
		return err
	}
	return c.queueEarly()
}

// pump turns the machine's events into bytes and the peer's bytes into messages,
// until enough of the handshake is done. It can be continued after a timeout. Both
// halves are held.
func (c *Conn) pump(enough func() bool) error {
	for {
		if c.server && c.machine.Done() {
			return nil // what is left are tickets
		}
		if err := c.flush(); err != nil {
			return c.explain(err)
		}
		if enough() {
			return nil
		}
		if err := c.nextRecord(nil); err != nil {
			return err
		}
	}
}

// explain looks for the alert with which the peer closed the transport, where
// that refuses our bytes.
func (c *Conn) explain(err error) error {
	if isTimeout(err) {
		return err
	}
	lift, _ := c.deadlines.Read.Bound(time.Now().Add(alertTimeout))
	defer lift()
	for {
		switch e := c.nextRecord(nil); {
		case e == nil:
		case isRemote(e):
			return e
		default:
			return err
		}
	}
}

// handshakeError makes of an error what Handshake returns, and ends what is to
// end. Both halves are held.
func (c *Conn) handshakeError(ctx context.Context, err error) error {
	switch {
	case isProtocol(err): // whatever its cause
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case isTimeout(err):
		return os.ErrDeadlineExceeded // the caller's: go on later
	}
	c.failed = c.failHandshake(err)
	c.keys.wipe()
	c.machine = nil
	c.tellHandshakeDone(c.failed)
	return c.failed
}

// complete makes the connection ready for data. Both halves are held.
func (c *Conn) complete() {
	c.intro.learn()
	c.early.accepted = c.intro.known.EarlyData
	c.tickets = c.intro.newTicketTaker()
	c.in.receiver, c.out.sender = c.machine.Split()
	c.keys.keep(c.machine.Exporter())
	c.machine = nil
	c.intro.seal()
	c.settings = c.intro.settings // GetConfig may have chosen others
	c.out.sealer.SetPadding(c.settings.Padding)
	c.took = time.Since(c.started)
	c.out.rekey = rekeyState{policy: c.settings.Rekey.withDefaults(), since: time.Now()}
	c.tellHandshakeDone(nil)
	if c.queueTickets() == nil && c.intro.known.Tickets != nil {
		lift, _ := c.deadlines.Write.Bound(time.Now().Add(alertTimeout))
		_ = c.flush() // what is left, or an error, is the next Write's
		lift()
	}
	c.live() // no callback of this handshake comes after it
	c.unsettle()
}

// live begins the life of a connection that is ready for data. Both halves are held, or
// nobody has the connection yet.
func (c *Conn) live() {
	c.in.Authenticated()
	if d := c.settings.MaxLifetime; d > 0 {
		self := weak.Make(c) // a connection that was dropped is not kept
		c.lifetime = time.AfterFunc(d-time.Since(c.started), func() {
			if c := self.Value(); c != nil {
				c.expire()
			}
		})
	}
	c.done.Store(true)
}

// unsettle forgets what only handshakes need: a connection that waits is to be small.
func (c *Conn) unsettle() {
	c.settings, c.intro.settings, c.cookies, c.intro.cookies = nil, nil, nil, nil
}

// queueTickets seals a server's tickets behind what is pending. They wait for the next Write,
// Flush, CloseWrite or Close: a record that a client has not read when it closes makes TCP
// throw away what that client has written. A client that has said how many it wants (RFC
// 9149), as Dialer.Confirm does, reads, and gets them at once. Both halves are held.
func (c *Conn) queueTickets() error {
	tickets := c.intro.tickets
	if c.intro.tickets = nil; len(tickets) == 0 {
		return nil
	}
	c.out.sealer.SetPadding(c.intro.settings.Padding)
	return c.queue(record.Handshake, tickets)
}

// queue seals a record of the handshake behind what is pending: a flight goes
// out in one write. c.out.mu is held.
func (c *Conn) queue(t record.ContentType, b []byte) error {
	pending, err := c.out.sealer.Seal(c.out.pending, t, b)
	if err == nil {
		c.out.pending = pending
	}
	return err
}

// Confirm does the handshake, if it is not done, and waits, on a client, for the
// server's first record after it: the server has accepted this side by then. A refusal
// is an *AlertError. ctx bounds the wait, and a deadline for reading; the connection can be
// used on after it. What the record brings is kept for Read. Confirm may be called beside any
// other method, Read too, and returns at once if something was received.
//
// Call it instead of Handshake, or set Dialer.Confirm: the client asks for the record in the
// handshake. After a handshake that has not asked, Confirm waits for whatever the server
// sends. See Dialer.Confirm for what servers send.
func (c *Conn) Confirm(ctx context.Context) error {
	c.firstRecord.Done()
	if err := c.HandshakeContext(ctx); err != nil || c.server {
		return err
	}
	return c.confirm(ctx)
}

// confirm waits for the server's first record after the handshake.
func (c *Conn) confirm(ctx context.Context) error {
	arrived := c.firstRecord.Done()
	if c.firstRecord.HasFired() {
		return nil
	}
	if !c.in.mu.TryLock() {
		select {
		case <-c.in.mu:
		case <-arrived: // in a Read of another goroutine
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer c.unlockIn()
	defer c.deadlines.BoundBy(ctx, &c.deadlines.Read)()
	for !c.firstRecord.HasFired() {
		if c.in.err != nil {
			return c.in.err
		}
		if err := c.nextRecord(nil); err != nil {
			if err = c.readError(err); err == os.ErrDeadlineExceeded && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return err
		}
	}
	return nil
}

func (c *Conn) handshakeInfo(err error) HandshakeInfo {
	info := HandshakeInfo{RemoteAddr: c.inner.RemoteAddr(), Server: c.server, Duration: time.Since(c.started), Err: err}
	if err == nil {
		s := c.intro.describe(true)
		info.Peer, info.CipherSuite, info.Group = c.intro.peer, s.CipherSuite, uint16(s.CurveID)
		info.Protocol, info.HelloRetry, info.Resumed = s.NegotiatedProtocol, s.HelloRetryRequest, s.DidResume
	}
	return info
}
