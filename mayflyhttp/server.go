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
		if h2, ok := c.(http2Conn); ok {
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
		return http2Conn{c, c}, nil
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

// An http2Conn hides ConnectionState, by which net/http would take it for
// HTTP/1.1.
type http2Conn struct {
	net.Conn
	conn *mayfly.Conn
}

// NetConn returns the *mayfly.Conn.
func (c http2Conn) NetConn() net.Conn { return c.conn }
