// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/mayfly-tls/mayfly/internal/handover"
	"github.com/mayfly-tls/mayfly/internal/policy"
	"github.com/mayfly-tls/mayfly/internal/stream"
)

// ErrDetached is what the calls of a Conn return that Detach has given away.
var ErrDetached = errors.New("mayfly: the connection was handed on")

// A Receiver takes over one live connection from another process, or another part of
// this one. Its offer goes to the donor, which gives it to Conn.Detach; what Detach
// returns, and the connection below, come back to Attach.
//
// The channel between the two must be one that both trust, a Unix socket whose peer's
// credentials are checked, or a mayfly connection with both sides authenticated. What is
// handed on is sealed for this Receiver alone (HPKE, RFC 9180, base mode), so that whoever
// else sees it learns nothing; but nothing in it proves who the donor is: anybody who
// knows the offer could make up a connection.
//
// A Receiver is good for one connection: its key is wiped when that was opened, so that
// it cannot be opened again, elsewhere or by a replay, and no nonce is used twice. All
// methods may be called at the same time. The zero Receiver is one that was wiped.
type Receiver struct {
	mu  sync.Mutex
	key *handover.Key
}

// NewReceiver makes a Receiver, with a key of its own.
func NewReceiver() (*Receiver, error) {
	if err := asConfigError(policy.Check()); err != nil {
		return nil, err
	}
	key, err := handover.NewKey()
	if err != nil {
		return nil, err
	}
	return &Receiver{key: key}, nil
}

// Offer returns what the donor needs: about 1,200 bytes, and no secret. It is nil after
// Attach has succeeded, and after Wipe.
func (r *Receiver) Offer() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.key.Offer()
}

// Wipe destroys the key of a Receiver that is not needed any more. It may be called
// again.
func (r *Receiver) Wipe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.key.Wipe()
}

// Detach gives a live connection away: it stops at the border of a record, without a
// close_notify, and all that is needed to go on is sealed into blob for the receiver of
// offer. raw is the connection below; it is to be handed on with blob, as a file
// descriptor for example, and is not closed here. A Read that is blocked returns
// ErrDetached, a Write that is blocked the count of what was sealed, which is handed on
// too, and ErrDetached. So does every call from then on, but Close, which does nothing.
//
// Of Detach and what ends the connection at the same time (Abort, Close, MaxLifetime), the
// first one wins. Where that is not Detach, its error says how the connection ended.
//
// When Detach returns without an error, this side's keys are wiped. The peer notices
// nothing. An error leaves the connection as it was, but that a Read or Write that was
// blocked may have returned ErrDetached: it can be called again. The error is of ctx,
// which bounds the wait for a Write under way; or says that offer is none; or that the
// handshake is not done, or the connection at its end.
func (c *Conn) Detach(ctx context.Context, offer []byte) (blob []byte, raw net.Conn, err error) {
	to, err := handover.ParseOffer(offer)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case !c.done.Load():
		return nil, nil, errors.New("mayfly: a connection can be handed on when its handshake is done")
	case c.claim.Detached():
		return nil, nil, ErrDetached
	}
	resume, err := c.interrupt(ctx)
	if err != nil {
		return nil, nil, err
	}
	blob, err = c.sealState(to)
	if err == nil && !c.claim.Detach() {
		err = c.whyOver() // the keys may be wiped that were sealed
	}
	if err != nil {
		resume()
		return nil, nil, err
	}
	c.depart()
	return blob, c.inner, nil
}

// interrupt wakes those who read and write, and takes both halves. resume undoes it.
func (c *Conn) interrupt(ctx context.Context) (resume func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !c.leaving.CompareAndSwap(false, true) {
		return nil, errors.New("mayfly: the connection is being handed on")
	}
	// In the order of Close: first the half that receives.
	liftRead, err := c.deadlines.Read.Bound(stream.Past)
	if err != nil {
		liftRead()
		c.leaving.Store(false)
		return nil, err
	}
	c.in.mu.Lock()
	liftWrite, err := c.deadlines.Write.Bound(stream.Past)
	if err == nil {
		err = c.out.mu.LockContext(ctx)
	}
	if err != nil {
		liftWrite()
		liftRead()
		c.leaving.Store(false)
		c.unlockIn()
		return nil, err
	}
	return func() {
		liftRead()
		liftWrite()
		c.leaving.Store(false)
		c.unlockIn()
		c.unlockOut()
	}, nil
}

// sealState seals what goes with the connection. Both halves are held.
func (c *Conn) sealState(to *handover.Offer) ([]byte, error) {
	switch {
	case c.in.err != nil && c.in.err != io.EOF:
		return nil, c.in.err
	case c.out.err != nil && c.out.err != ErrWriteClosed:
		return nil, c.out.err
	}
	state := c.state()
	defer state.Wipe()
	return to.Seal(state)
}

// depart wipes what was handed on. Both halves are held, and released.
func (c *Conn) depart() {
	if c.lifetime != nil {
		c.lifetime.Stop()
	}
	c.parts.finish()
	c.keys.wipe()
	c.wipeIn(ErrDetached)
	c.in.discard(ErrDetached)
	c.wipeOut(ErrDetached)
	c.out.pending, c.out.err = nil, ErrDetached
	c.deadlines.Release() // as the receiver expects it
	c.in.mu.Unlock()
	c.out.mu.Unlock()
	if c.buried.Fire() {
		c.tell().closed(CloseInfo{RemoteAddr: c.inner.RemoteAddr(), Err: ErrDetached})
	}
}

// Attach continues a connection that another process has detached for this Receiver.
// raw is the connection below, which the returned Conn owns. config is this side's, of
// the role that the connection has: its Peers, and VerifyConnection, are asked about the
// peer again, with Peer.Resumed set, as of today; its names, suites and credentials do not
// matter any more. MaxLifetime counts from the start of the connection's handshake.
//
// What the other process has sealed and not sent goes out with the first Flush, Write or
// CloseWrite: call Flush, for the peer may wait for it and send nothing.
//
// Keys are changed before the first data is sent. blob is refused as a whole if a bit of
// it was altered, and the Receiver can still open the right one; when it was opened, the
// Receiver's key is wiped, whatever else Attach returns.
func (r *Receiver) Attach(raw net.Conn, blob []byte, config *Config) (*Conn, error) {
	r.mu.Lock()
	state, err := r.key.Open(blob)
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	defer state.Wipe()
	s, err := config.settle(state.Server, state.Name)
	if err != nil {
		return nil, err
	}
	c := newConn(raw, s, nil, nil)
	if err := c.restore(state); err != nil {
		c.discard(err)
		return nil, err
	}
	return c, nil
}

// discard wipes a connection that was not taken over. Its transport is left alone.
func (c *Conn) discard(err error) {
	c.claim.Detach()
	c.wipe(err)
	c.parts.finish()
}
