// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/callback"
	"github.com/mayfly-tls/mayfly/internal/handover"
	"github.com/mayfly-tls/mayfly/internal/once"
	"github.com/mayfly-tls/mayfly/internal/stream"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/record"
)

// A Conn is a secure connection: a net.Conn that speaks TLS 1.3 over another
// net.Conn. All its methods may be called at the same time from any goroutine.
//
// A Conn made by Dial or by a Listener has done its handshake. One made by Client
// or Server does it with the first Read, Write or Handshake.
//
// A Conn should be closed. One that was dropped without Close has its keys wiped
// when the garbage collector finds it.
type Conn struct {
	inner    net.Conn
	server   bool
	settings *settings // nil once the handshake is done
	invalid  error     // why the Config cannot work

	deadlines stream.Deadlines
	baton     stream.ChanMutex                   // held by whoever runs the handshake
	deaf      once.Event                         // nothing more will be received
	cancel    atomic.Pointer[context.CancelFunc] // of the handshake under way

	// While the handshake runs, guarded by the baton.
	machine *handshake.Machine
	started time.Time
	took    time.Duration
	until   time.Time // when the handshake must be done
	failed  error     // why it failed: sticky

	doneTold bool // the Trace was told that the handshake is done, or has failed

	in    *readHalf  // of parts
	out   *writeHalf // of parts
	keys  *keyring   // of parts
	parts *parts

	early earlyData // guarded by both halves while the handshake runs

	firstRecord once.Event // a client's: the first record after the handshake has come

	done            atomic.Bool           // the handshake is done; what follows is set
	claim           handover.Claim        // whether it ends here, or Detach has given it away
	closed, leaving atomic.Bool           // Close was called; Detach was called
	ended           atomic.Pointer[error] // the *AlertError that ended the connection

	lifetime *time.Timer // for MaxLifetime; nil without
	tickets  *tickets    // a client's that wants some

	earlyPeer atomic.Pointer[Peer] // a server's, once it has accepted early data
	cookies   *cookieJar           // of a Listener under load; nil: no cookie is asked for

	intro  *introduction // who the peer is, and how we know
	teller atomic.Pointer[teller]
	buried once.Event // all keys are wiped; the Trace is told then
}

// Client returns a connection that will do the client's side of a handshake over
// inner. A Config that cannot work is reported by the handshake. The Config must
// name the server where its Peers need a name.
func Client(inner net.Conn, config *Config) *Conn {
	s, err := config.settle(false, "")
	return newConn(inner, s, err, nil)
}

// Server returns a connection that will do the server's side of a handshake over
// inner. A Config that cannot work is reported by the handshake.
func Server(inner net.Conn, config *Config) *Conn {
	s, err := config.settle(true, "")
	c := newConn(inner, s, err, nil)
	c.server = true // whatever the Config is worth
	return c
}

func newConn(inner net.Conn, s *settings, invalid error, forget func(over <-chan struct{})) *Conn {
	c := &Conn{
		inner:    inner,
		server:   s != nil && s.server,
		settings: s,
		invalid:  invalid,
		baton:    stream.NewChanMutex(),
	}
	p := &parts{
		in:     readHalf{mu: stream.NewChanMutex(), opener: *record.NewOpener(), ReadBuffer: stream.NewReadBuffer(inner, ErrTruncated)},
		out:    writeHalf{mu: stream.NewChanMutex(), sealer: *record.NewSealer()},
		forget: forget,
	}
	c.parts, c.in, c.out, c.keys = p, &p.in, &p.out, &p.keys
	if c.server {
		c.in.opener.PlainRefusals()
	}
	c.deadlines.Init(inner)
	runtime.AddCleanup(c, (*parts).wipe, p)
	return c
}

// parts is what is wiped when a Conn was dropped. Nothing in it leads to the Conn.
type parts struct {
	in   readHalf
	out  writeHalf
	keys keyring

	over   once.Event                 // when the connection has ended
	forget func(over <-chan struct{}) // is told that; nil: nobody is
}

func (p *parts) wipe() {
	p.in.discard(net.ErrClosed)
	p.out.wipe(net.ErrClosed)
	p.keys.wipe()
	p.finish()
}

// finish says that the connection has ended. It may be called again.
func (p *parts) finish() {
	over := p.over.Done()
	if p.over.Fire() && p.forget != nil {
		p.forget(over)
	}
}

// Peer says who the other side is: the zero Peer, of kind Anonymous, before the
// handshake is done or where a server asked for no identity. A server that has
// accepted early data knows already who sent it.
func (c *Conn) Peer() Peer {
	if c.done.Load() {
		return c.intro.peer
	}
	if peer := c.earlyPeer.Load(); peer != nil {
		return *peer
	}
	return Peer{}
}

// ConnectionState returns the connection's parameters in the standard library's
// type, by which net/http fills Request.TLS. Before the handshake is done it is
// the zero value. Raw public keys have no place in that type: programs that use
// them ask Peer. The ExportKeyingMaterial method of the returned value panics, as
// only crypto/tls can fill it: use that of the Conn.
func (c *Conn) ConnectionState() tls.ConnectionState {
	if !c.done.Load() {
		return tls.ConnectionState{}
	}
	return c.intro.describe(true)
}

// ExportKeyingMaterial returns n bytes that only the two ends of this connection
// know, for label and context (RFC 9846, Section 7.5). A nil context and an empty
// one give the same bytes. The bytes are the caller's to wipe. It is an error
// before the handshake is done and after the connection has ended.
func (c *Conn) ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error) {
	return c.keys.export(label, context, n)
}

// NetConn returns the connection that c is laid over. Reading from it or writing
// to it breaks c.
func (c *Conn) NetConn() net.Conn { return c.inner }

// LocalAddr returns the inner connection's.
func (c *Conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr returns the inner connection's.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// SetDeadline sets the deadline of Read and Write, those under way included. A
// deadline that passes harms nothing: see Read and Write.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the deadline of Read, and of a handshake's reading.
func (c *Conn) SetReadDeadline(t time.Time) error {
	switch {
	case c.claim.Detached():
		return ErrDetached
	case c.closed.Load():
		return net.ErrClosed
	}
	return c.deadlines.Read.SetCaller(t)
}

// SetWriteDeadline sets the deadline of Write, Flush, CloseWrite and of a
// handshake's writing.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	switch {
	case c.claim.Detached():
		return ErrDetached
	case c.closed.Load():
		return net.ErrClosed
	}
	return c.deadlines.Write.SetCaller(t)
}

// tell returns whom to tell what happens.
func (c *Conn) tell() teller {
	if t := c.teller.Load(); t != nil {
		return *t
	}
	return teller{ctx: context.Background(), log: new(callback.Log)}
}

// LockMemory keeps the memory of the whole process out of swap space and core dumps
// (mlockall and PR_SET_DUMPABLE), on Linux only. It cannot be undone, and may be called
// again. If the limit on locked memory does not allow it, the error names the limit.
func LockMemory() error {
	if err := volatile.LockProcess(); err != nil {
		return fmt.Errorf("mayfly: %w", err)
	}
	return nil
}
