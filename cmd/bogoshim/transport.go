// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// A transport is the TCP connection below. When it is closed it reads what the tests
// still have to say, so that nothing of this side's is lost.
type transport struct {
	net.Conn
	dribbles bool // reads and writes are cut short, and interrupted
	turn     atomic.Int32

	allowance atomic.Int64 // of bytes that may be written; negative: any number
}

// dial connects to the tests, and says for which of them.
func (f *flags) dial() (*transport, error) {
	host := "127.0.0.1"
	if f.ipv6 {
		host = "::1"
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(f.port)))
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(binary.LittleEndian.AppendUint64(nil, f.shimID)); err != nil {
		return nil, err
	}
	t := &transport{Conn: conn, dribbles: f.async}
	t.allowance.Store(-1)
	return t, nil
}

// Read, on a transport that dribbles, gives one byte for every second call, and runs
// into a deadline in the others.
func (t *transport) Read(p []byte) (int, error) {
	if !t.dribbles || len(p) == 0 {
		return t.Conn.Read(p)
	}
	if t.turn.Add(1)%2 == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return t.Conn.Read(p[:1])
}

// Write writes no more than the allowance. On a transport that dribbles it takes
// half, and runs into a deadline.
func (t *transport) Write(p []byte) (int, error) {
	n := len(p)
	if left := t.allowance.Load(); left >= 0 {
		n = int(min(int64(n), left))
		t.allowance.Add(int64(-n))
	} else if t.dribbles && n > 1 {
		n = (n + 1) / 2
	}
	written, err := t.Conn.Write(p[:n])
	if err == nil && written < len(p) {
		err = os.ErrDeadlineExceeded
	}
	return written, err
}

// Close half-closes, reads to the end, and closes.
func (t *transport) Close() error {
	if tcp, ok := t.Conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_ = t.Conn.SetDeadline(time.Now().Add(drainTime))
	_, _ = io.Copy(io.Discard, t.Conn)
	return t.Conn.Close()
}

// drainTime bounds how long the tests may still talk.
const drainTime = 5 * time.Second
