// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package stream

import (
	"net"
	"syscall"
)

// DiscardUnread takes out of a transport's buffer what is there now, without
// waiting, and within a bound.
func DiscardUnread(inner net.Conn) {
	conn, ok := inner.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	var buf [4096]byte
	_ = raw.Read(func(fd uintptr) bool {
		for range maxUnread / len(buf) {
			if n, err := syscall.Read(int(fd), buf[:]); n <= 0 || err != nil {
				break
			}
		}
		return true // whatever came of it, do not wait
	})
}
