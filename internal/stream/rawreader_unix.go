// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package stream

import (
	"io"
	"net"
	"os"
	"syscall"
)

// A rawReader reads from a socket, and has no buffer in hand while nothing is there: so
// a connection that waits costs no more than its keys.
type rawReader struct {
	conn net.Conn
	raw  syscall.RawConn
	poll func(fd uintptr) bool // made once
	size int                   // of the buffer for this wait

	buf *[]byte
	n   int
	err error
}

// newRawReader returns nil for transports that are no sockets. Types that embed one are
// none either: their Read may do more than to read.
func newRawReader(inner net.Conn) *rawReader {
	w := &rawReader{conn: inner}
	var err error
	switch c := inner.(type) {
	case *net.TCPConn:
		w.raw, err = c.SyscallConn()
	case *net.UnixConn:
		if addr := c.LocalAddr(); addr == nil || addr.Network() != "unix" {
			return nil // the other kinds do not carry streams
		}
		w.raw, err = c.SyscallConn()
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	w.poll = w.pollOnce
	return w
}

// pollOnce is asked when the socket may have data, and says whether it had.
func (w *rawReader) pollOnce(fd uintptr) bool {
	for {
		buf := GetBuffer(w.size)
		n, err := syscall.Read(int(fd), *buf)
		switch {
		case n > 0:
			w.buf, w.n, w.err = buf, n, nil
			return true
		case err == nil:
			err = io.EOF
		}
		PutBuffer(buf)
		switch err {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			w.err = err
			return true
		}
	}
}

// wait reads once, into a buffer for size bytes that becomes the caller's. It honors the socket's
// deadline. Its errors are those of the socket's own Read.
func (w *rawReader) wait(size int) (buf *[]byte, n int, err error) {
	w.size, w.buf, w.n, w.err = size, nil, 0, nil
	if err := w.raw.Read(w.poll); err != nil {
		return nil, 0, err
	}
	buf, n, err = w.buf, w.n, w.err
	w.buf = nil
	if errno, ok := err.(syscall.Errno); ok {
		local := w.conn.LocalAddr()
		err = &net.OpError{Op: "read", Net: local.Network(), Source: local, Addr: w.conn.RemoteAddr(), Err: os.NewSyscallError("read", errno)}
	}
	return buf, n, err
}
