// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"io"
	"net"
	"strings"
	"time"
)

// Dial connects to addr and does the handshake as a client. The network and addr
// are those of net.Dial. Where the Config names no server and its Peers go by
// names (Roots, or the system's roots), the host in addr is the name; KnownHosts
// goes by Config.ServerName alone. The connection it returns has authenticated
// the server; whether the server has accepted the client is not known yet: see
// Dialer.Confirm.
func Dial(network, addr string, config *Config) (*Conn, error) {
	return (&Dialer{Config: config}).DialConn(context.Background(), network, addr)
}

// A Dialer connects as Dial does, with options. The zero Dialer is useful. It
// must not be changed while it is in use; its methods may be called at the same
// time.
type Dialer struct {
	// NetDialer makes the connection below. Nil: the zero net.Dialer.
	NetDialer *net.Dialer

	// Config is that of Dial.
	Config *Config

	// Confirm makes DialConn wait for the server's first record after the
	// handshake. In TLS 1.3 a client is done before the server has judged it:
	// without Confirm, a refusal of the client's key comes with the first Read,
	// or after some Writes. With it, DialConn returns the refusal as an
	// *AlertError. The client asks for tickets (ticket_request, RFC 9149), whether it can
	// use them or not, and a mayfly server answers at once. Other servers send tickets too,
	// or nothing until they have something to say: then DialConn waits until ctx or
	// Config.HandshakeTimeout ends. That timeout counts from the start of DialConn.
	//
	// A server that asks for no certificate may send its tickets before the client has
	// answered. A mayfly server has asked its Peers and VerifyConnection by then; other
	// servers may still refuse the client.
	Confirm bool
}

// Dial is DialContext with the background context.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext is DialConn with the signature of tls.Dialer.DialContext, so that its method
// value can be an http.Transport's DialTLSContext, and a Dialer is a
// golang.org/x/net/proxy.ContextDialer. The net.Conn is a *Conn, or nil with an error.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.DialConn(ctx, network, addr)
	if err != nil {
		return nil, err // not a nil *Conn in an interface
	}
	return c, nil
}

// DialConn connects to addr and does the handshake. Where ctx ends before
// that is done, everything is closed and ctx's error is returned; afterwards ctx
// has no effect on the connection. Errors are those of the net package, of
// HandshakeContext, or a sentence about the Config (ErrConfig), which comes before
// anything is dialed.
func (d *Dialer) DialConn(ctx context.Context, network, addr string) (*Conn, error) {
	return d.dial(ctx, network, addr, func(ctx context.Context, c *Conn) error { return c.HandshakeContext(ctx) })
}

func (d *Dialer) dial(ctx context.Context, network, addr string, handshake func(context.Context, *Conn) error) (*Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || strings.HasPrefix(network, "unix") {
		host = "" // the path of a socket names nobody
	}
	s, err := d.Config.settle(false, host)
	if err != nil {
		return nil, err
	}
	if t := s.handshakeTimeout(); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t, ErrHandshakeTimeout)
		defer cancel()
	}
	dialer := d.NetDialer
	if dialer == nil {
		dialer = new(net.Dialer)
	}
	inner, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := newConn(inner, s, nil, nil)
	if d.Confirm {
		c.firstRecord.Done()
	}
	returned := false
	defer func() {
		if !returned { // a callback has panicked
			_ = c.Close()
		}
	}()
	err = handshake(ctx, c)
	if err == nil && d.Confirm {
		err = c.confirm(ctx)
	}
	returned = true
	if err != nil {
		c.abandon()
		return nil, err
	}
	return c, nil
}

// abandon closes a connection that nobody was given. The transport is read empty
// first, within a bound: closing it with unread data would reset it, and the
// alert that explains the failure might never be read.
func (c *Conn) abandon() {
	if c.ended.Load() == nil {
		_ = c.Close()
		return
	}
	go func() {
		c.linger()
		_ = c.Close()
	}()
}

// linger waits for the end of a transport on which an alert was sent.
func (c *Conn) linger() {
	if c.ended.Load() == nil {
		return
	}
	hurry := time.AfterFunc(alertTimeout, func() { _ = c.inner.Close() })
	defer hurry.Stop()
	_, _ = c.deadlines.Read.Bound(time.Now().Add(alertTimeout))
	_, _ = io.Copy(io.Discard, io.LimitReader(c.inner, maxHandshakeBytes))
}
