// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package mayflyhttp runs net/http over mayfly: servers and clients, HTTP/1.1 and
// HTTP/2 by ALPN, with Request.TLS filled in and the peer in the context.
//
// net/http alone takes HTTP/2 over no connection of another package's than
// crypto/tls: it would negotiate h2 and then speak HTTP/1.1. This package knows
// the public API of mayfly alone.
//
// The API of this package follows the version number (docs/stability.md).
package mayflyhttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/mayfly-tls/mayfly"
)

// NextProtos returns the value of Config.NextProtos with which both HTTP/2 and
// HTTP/1.1 are spoken. A server without it speaks HTTP/1.1 alone.
func NextProtos() []string { return []string{"h2", "http/1.1"} }

// Serve accepts connections of ln and serves them by srv, as srv.Serve does and
// with the same errors; srv.Shutdown and srv.Close work. HTTP/2 is spoken where
// ALPN chose it. Request.TLS is filled, and mayfly.PeerFromContext finds the peer
// in each request's context.
//
// Serve sets srv.Handler, srv.ConnContext and srv.Protocols to values that wrap
// those it finds; srv must not serve unencrypted listeners as well, as HTTP/2
// would be spoken there too.
func Serve(srv *http.Server, ln *mayfly.Listener) error {
	prepare(srv)
	return srv.Serve(listener{ln})
}

// prepare wraps srv's handler and hooks, once.
func prepare(srv *http.Server) {
	if _, ok := srv.Handler.(handler); ok {
		return
	}
	next := srv.Handler
	if next == nil {
		next = http.DefaultServeMux
	}
	srv.Handler = handler{next}
	before := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if before != nil {
			ctx = before(ctx, c)
		}
		ctx = mayfly.ConnContext(ctx, c)
		if h2, ok := c.(*http2Conn); ok {
			ctx = context.WithValue(ctx, connKey{}, h2.conn)
		}
		return ctx
	}
	protocols := new(http.Protocols)
	if srv.Protocols != nil {
		*protocols = *srv.Protocols
	} else {
		protocols.SetHTTP1(true)
	}
	protocols.SetUnencryptedHTTP2(true) // unencrypted as far as net/http can see
	srv.Protocols = protocols
}

// connKey is the context's key of the *mayfly.Conn under HTTP/2.
type connKey struct{}

// handler fills in Request.TLS where net/http could not.
type handler struct{ next http.Handler }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*mayfly.Conn); ok && r.TLS == nil {
		state := c.ConnectionState()
		r.TLS = &state
	}
	h.next.ServeHTTP(w, r)
}

// listener hands net/http the connections in the shape that makes it speak the
// protocol that ALPN chose.
type listener struct{ *mayfly.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	if c.ConnectionState().NegotiatedProtocol == "h2" {
		return &http2Conn{Conn: c, conn: c}, nil
	}
	return c, nil
}

// Close is called by Server.Shutdown, for which closing is not an error.
func (l listener) Close() error {
	if err := l.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// clientPreface is what a client sends first in HTTP/2 (RFC 9113, Section 3.4).
const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// errProtocol ends a connection that is not HTTP/2 although ALPN chose h2.
var errProtocol = errors.New("mayflyhttp: ALPN chose h2, and the connection is not HTTP/2")

// An http2Conn hides ConnectionState, by which net/http would take it for
// HTTP/1.1. net/http serves HTTP/1.1 where the client's preface is missing, so an
// http2Conn refuses what is not HTTP/2, in both directions.
type http2Conn struct {
	net.Conn
	conn *mayfly.Conn

	preface atomic.Int32 // bytes of the client's preface that have come
	answers atomic.Bool  // the server has written
}

// Read is that of the connection, until the client's preface is wrong.
func (c *http2Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if seen := int(c.preface.Load()); n > 0 && seen < len(clientPreface) {
		rest := clientPreface[seen:]
		k := min(n, len(rest))
		if string(p[:k]) != rest[:k] {
			return 0, errProtocol
		}
		c.preface.Add(int32(k))
	}
	return n, err
}

// Write is that of the connection, unless net/http answers in HTTP/1.1: it does so where
// HTTP/2 is disabled, by GODEBUG for one.
func (c *http2Conn) Write(p []byte) (int, error) {
	if len(p) > 0 && !c.answers.Swap(true) && strings.HasPrefix(string(p[:min(len(p), 5)]), "HTTP/") {
		_ = c.Conn.Close()
		return 0, errProtocol
	}
	return c.Conn.Write(p)
}

// NetConn returns the *mayfly.Conn.
func (c *http2Conn) NetConn() net.Conn { return c.conn }
