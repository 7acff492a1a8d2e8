// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/stream"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/record"
)

// earlyData is what a Conn knows of early data (RFC 9846, Section 2.3), which is
// replayable: nothing here leads to Read.
type earlyData struct {
	reading, writing handshake.Epoch // of the keys in use; 0: none

	offered  []byte // a client's, until it is sealed
	accepted bool   // by the server

	wanted bool // somebody on the server will read it
	left   int  // how much more the client may send
}

// HandshakeEarly is HandshakeContext on a client that sends early data with its first
// flight, a round trip before the handshake is done (RFC 9846, Section 2.3). Early
// data may be replayed by anybody who sees it, any number of times, and has no
// forward secrecy: send nothing that must not happen twice.
//
// All of early is sent, or nothing: that takes a session of Config.Sessions whose
// ticket allows so much of it. accepted says whether the server took it. Where it is
// false, not a byte of early will ever be read by the server, and the caller may send
// it again with Write; nothing is sent again by itself. early is not kept.
//
// Peers is asked about the session's server before anything is sent, and
// Config.VerifyConnection, which wants to see a connection, only when the server has
// answered: a judgement that early data must wait for belongs into Verify.
//
// It is an error to call it when the handshake has begun, and on a server.
func (c *Conn) HandshakeEarly(ctx context.Context, early []byte) (accepted bool, err error) {
	if c.server {
		return false, errors.New("mayfly: early data is sent by clients: a server calls ReadEarly")
	}
	if err := c.baton.LockContext(ctx); err != nil {
		return false, err
	}
	if c.done.Load() || c.machine != nil {
		return false, c.passBaton(errors.New("mayfly: the handshake has begun: early data goes before it"))
	}
	c.early.offered = early
	err = c.passBaton(c.handshakeUntil(ctx, c.handshakeIsOver))
	return err == nil && c.early.accepted, err
}

// DialEarly is DialConn with early data: see Conn.HandshakeEarly for what that is
// and what accepted means.
func (d *Dialer) DialEarly(ctx context.Context, network, addr string, early []byte) (c *Conn, accepted bool, err error) {
	c, err = d.dial(ctx, network, addr, func(c *Conn, ctx context.Context) (err error) {
		accepted, err = c.HandshakeEarly(ctx, early)
		return err
	})
	return c, accepted && err == nil, err
}

// queueEarly seals the client's early data behind its ClientHello, where the machine
// has gone over to the keys of early data. Both halves are held.
func (c *Conn) queueEarly() error {
	early := c.early.offered
	c.early.offered = nil
	if len(early) == 0 || c.early.writing != handshake.EpochEarly {
		return nil
	}
	return c.queue(record.ApplicationData, early)
}

// ReadEarly reads early data on a server: bytes that a client sent with its first
// flight, before the handshake is done. Whoever saw them can send them again, once
// to each server that shares the ticket keys but not the ReplayGuard: act on them
// only in ways that may happen twice. Read never returns them.
//
// It returns io.EOF when there are no more: at once where the client sent none or
// none was accepted. Then go on with Handshake, Read or Write. Early data is accepted
// only where Config.MaxEarlyData is set and ReadEarly is the first call on the
// connection (or Listener.AcceptEarly returned it). A deadline for reading applies.
// Bytes that were not read before the handshake was done can be read afterwards.
func (c *Conn) ReadEarly(p []byte) (int, error) {
	if !c.server {
		return 0, errors.New("mayfly: early data is read by servers: a client calls HandshakeEarly")
	}
	if c.done.Load() { // what follows waits for whoever is in Read
		n := c.in.takeEarly(p)
		switch {
		case n > 0 || len(p) == 0:
			return n, nil
		case c.claim.Detached():
			return 0, ErrDetached
		case c.closed.Load():
			return 0, net.ErrClosed
		}
		return 0, io.EOF
	}
	if err := c.deadlines.Read.Acquire(c.baton, c.parts.over.Done()); err != nil {
		if err == net.ErrClosed {
			err = c.whyOver()
		}
		return 0, err
	}
	return c.readEarly(context.Background(), p)
}

// readEarly runs the handshake until there is early data, or can be none. The baton
// is held, and given back.
func (c *Conn) readEarly(ctx context.Context, p []byte) (n int, err error) {
	c.early.wanted = true
	if !c.done.Load() {
		err = c.handshakeUntil(ctx, c.earlyIsDecided)
	}
	if err == nil {
		if n = c.in.takeEarly(p); n == 0 && len(p) > 0 {
			err = io.EOF
		}
	}
	return n, c.passBaton(err)
}

// takeEarly moves early data to p and wipes it where it was.
func (in *readHalf) takeEarly(p []byte) int {
	in.earlyMu.Lock()
	defer in.earlyMu.Unlock()
	n := volatile.Move(p, in.early)
	in.early = in.early[n:]
	return n
}

// hasEarly reports whether there is early data to be read.
func (in *readHalf) hasEarly() bool {
	in.earlyMu.Lock()
	defer in.earlyMu.Unlock()
	return len(in.early) > 0
}

// copyEarly is for a connection that is handed on.
func (in *readHalf) copyEarly() *volatile.Secret {
	in.earlyMu.Lock()
	defer in.earlyMu.Unlock()
	return volatile.CopyOf(in.early)
}

func (in *readHalf) dropEarly() {
	in.earlyMu.Lock()
	defer in.earlyMu.Unlock()
	volatile.Wipe(in.early)
	in.early = nil
}

// earlyIsDecided reports whether early data has come, or that no more will. It
// needs both halves.
func (c *Conn) earlyIsDecided() bool {
	return c.in.hasEarly() || c.early.reading > handshake.EpochEarly
}

// handshakeOrEarly is HandshakeContext, or, where early data is wanted, runs no
// further than until some was received.
func (c *Conn) handshakeOrEarly(ctx context.Context, early bool) error {
	if !early {
		return c.HandshakeContext(ctx)
	}
	if err := c.baton.LockContext(ctx); err != nil {
		return err
	}
	c.early.wanted = true
	return c.passBaton(c.handshakeUntil(ctx, func() bool { return c.in.hasEarly() || c.machine.Done() }))
}

// receiveEarly takes a record of application data that came before the handshake is
// done. c.in.mu is held.
func (c *Conn) receiveEarly(content []byte) error {
	switch {
	case c.early.reading != handshake.EpochEarly:
		return alert.New(alert.UnexpectedMessage, "application data before the handshake was done")
	case len(content) > c.early.left:
		// RFC 9846, Section 4.7.1.
		return alert.New(alert.UnexpectedMessage, "more early data than the ticket allows")
	case len(content) == 0:
		return c.in.oddities.over(&c.in.oddities.empty, maxEmptyRecords, "too many empty records")
	}
	c.early.left -= len(content)
	c.in.earlyMu.Lock()
	defer c.in.earlyMu.Unlock()
	c.in.early = volatile.Append(c.in.early, content)
	return nil
}

// WriteEarly writes on a server before the handshake is done: an answer to early
// data, a round trip before Write could send it. The client has proved nothing yet
// but that it once held the session's key: what is written can be read by that
// session's client alone, and may answer a replay. It is for servers whose ReadEarly
// has returned data; after the handshake it is Write. n and deadlines mean the same
// as there.
func (c *Conn) WriteEarly(p []byte) (n int, err error) {
	if c.done.Load() {
		return c.Write(p)
	}
	if err := c.deadlines.Write.Acquire(c.baton, c.parts.over.Done()); err != nil {
		if err == net.ErrClosed {
			err = c.whyOver()
		}
		return 0, err
	}
	if c.done.Load() {
		if err := c.passBaton(nil); err != nil {
			return 0, err
		}
		return c.Write(p)
	}
	defer func() { err = c.passBaton(err) }() // Padding may panic
	return c.writeEarly(p)
}

// writeEarly seals p under the keys of the application. The baton is held.
func (c *Conn) writeEarly(p []byte) (n int, err error) {
	if c.machine == nil || !c.server || c.early.writing != handshake.EpochApplication {
		return 0, errors.New("mayfly: only a server that was sent early data can write before the handshake is done")
	}
	c.out.mu.Lock()
	defer c.unlockOut()
	for {
		if err := c.writable(); err != nil {
			return n, err
		}
		// What is pending goes first: no more than a chunk is ever sealed ahead.
		if err := c.flush(); isTimeout(err) {
			return n, os.ErrDeadlineExceeded
		} else if err != nil || n == len(p) {
			return n, err
		}
		chunk := p[n:min(n+stream.CopyChunk, len(p))]
		if err := c.queue(record.ApplicationData, chunk); err != nil {
			return n, err
		}
		n += len(chunk)
	}
}

// ExportEarlyKeyingMaterial is ExportKeyingMaterial of the early exporter secret (RFC
// 9846, Section 7.5): for a server that has accepted early data before the handshake is
// done, and for both sides after it. What it gives is as replayable as early data. It is
// an error where none was accepted.
func (c *Conn) ExportEarlyKeyingMaterial(label string, context []byte, n int) ([]byte, error) {
	return c.keys.exportEarly(label, context, n)
}

// EarlyDataAccepted reports whether early data was sent by a client and accepted by
// the server; false before the handshake is done.
func (c *Conn) EarlyDataAccepted() bool { return c.done.Load() && c.early.accepted }
