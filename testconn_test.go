// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"net"
	"os"
	"sync/atomic"
)

// A gatedConn gives out one byte at each second Read once trickle is set, and
// times out at the others.
type gatedConn struct {
	net.Conn
	trickle atomic.Bool
	turn    atomic.Int64
}

func (g *gatedConn) Read(p []byte) (int, error) {
	if !g.trickle.Load() {
		return g.Conn.Read(p)
	}
	if g.turn.Add(1)%2 == 1 {
		return 0, os.ErrDeadlineExceeded
	}
	return g.Conn.Read(p[:1])
}
