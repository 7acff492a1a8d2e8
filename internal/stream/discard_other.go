// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !unix

package stream

import (
	"io"
	"net"
	"time"
)

// DiscardUnread takes out of a transport's buffer what is there now, within a
// bound.
func DiscardUnread(inner net.Conn) {
	if _, ok := inner.(*net.TCPConn); ok {
		_ = inner.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, _ = io.CopyN(io.Discard, inner, maxUnread)
	}
}
