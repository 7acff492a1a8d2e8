// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"cmp"
	"context"
	"io"
	"net"
	"strings"
	"time"
)

// Dial connects to addr and does the handshake as a client. The network and addr
// are those of net.Dial. Where the Config names no server and its Peers go by names (Roots,
// or the system's roots), the host in addr is the name; KnownHosts goes by Config.ServerName
// only. The server is authenticated then, and may still refuse the client: see Dialer.Confirm.
func Dial(network, addr string, config *Config) (*Conn, error) {
	return (&Dialer{Config: config}).DialConn(context.Background(), network, addr)
}

// A Dialer connects as Dial does, with options. It must not be changed while it is in use.
type Dialer struct {
	// NetDialer makes the connection below. Nil: the zero net.Dialer.
	NetDialer *net.Dialer

	// Config is that of Dial.
	Config *Config

	// Confirm makes DialConn wait for the server's first record after the handshake, and
	// return the server's refusal as an *AlertError. In TLS 1.3 a client is done before the
	// server has judged it: without Confirm, a refusal comes with the first Read, or after
	// some Writes. The client asks for tickets (ticket_request, RFC 9149), and a mayfly
	// server answers at once. Other servers send tickets too, or nothing until they write:
	// then DialConn waits until ctx or Config.HandshakeTimeout ends. If a server requests no
	// certificate, its tickets may come before it has judged the client, but not a mayfly's.
	Confirm bool
}

// Dial is DialContext with the background context.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext is DialConn with the signature that http.Transport.DialTLSContext and
// golang.org/x/net/proxy.ContextDialer have. The net.Conn is a *Conn, or nil with an error.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.DialConn(ctx, network, addr)
	if err != nil {
		return nil, err // not a nil *Conn in an interface
	}
	return c, nil
}

// DialConn connects to addr and does the handshake. Where ctx ends before that is done,
// everything is closed and ctx's error is returned; afterwards ctx has no effect. Errors are
// those of the net package, of HandshakeContext, or ErrConfig before anything is dialed.
func (d *Dialer) DialConn(ctx context.Context, network, addr string) (*Conn, error) {
	return d.dial(ctx, network, addr, (*Conn).HandshakeContext)
}

// ClientConn is DialConn over a connection that was made already. addr only names the
// server. If it fails, it closes inner.
func (d *Dialer) ClientConn(ctx context.Context, inner net.Conn, addr string) (*Conn, error) {
	used := false
	c, err := d.over(ctx, addr, func(context.Context) (net.Conn, error) { used = true; return inner, nil }, (*Conn).HandshakeContext)
	if !used {
		_ = inner.Close()
	}
	return c, err
}

func (d *Dialer) dial(ctx context.Context, network, addr string, handshake func(*Conn, context.Context) error) (*Conn, error) {
	named := addr
	if strings.HasPrefix(network, "unix") {
		named = "" // the path of a socket names nobody
	}
	dialer := cmp.Or(d.NetDialer, new(net.Dialer))
	return d.over(ctx, named, func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, network, addr) }, handshake)
}

func (d *Dialer) over(ctx context.Context, addr string, connect func(context.Context) (net.Conn, error), handshake func(*Conn, context.Context) error) (*Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	s, err := d.Config.settle(false, host)
	if err != nil {
		return nil, err
	}
	if t := s.handshakeTimeout(); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t, ErrHandshakeTimeout)
		defer cancel()
	}
	inner, err := connect(ctx)
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
	err = handshake(c, ctx)
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

// abandon closes a connection that failed. It reads the transport empty first, within a
// bound: closing it with unread data would reset it, and the peer might not read the alert.
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
