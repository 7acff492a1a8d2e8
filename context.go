// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"net"
)

type contextKey struct{}

// ConnContext puts the peer of conn into ctx, for PeerFromContext. Its type is
// that of http.Server.ConnContext:
//
//	srv.ConnContext = mayfly.ConnContext
//
// The handshake must be done, as it is for connections of a Listener. A conn that
// is not a *Conn, nor wraps one by a NetConn method, adds nothing.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	for conn != nil {
		if c, ok := conn.(*Conn); ok {
			return context.WithValue(ctx, contextKey{}, c)
		}
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = wrapper.NetConn()
	}
	return ctx
}

// PeerFromContext returns the peer of the connection on which a request came. It
// is false where ConnContext was not set, or the handshake is not done.
func PeerFromContext(ctx context.Context) (Peer, bool) {
	c, ok := ctx.Value(contextKey{}).(*Conn)
	if !ok || !c.done.Load() {
		return Peer{}, false
	}
	return c.Peer(), true
}
