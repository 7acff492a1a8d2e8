// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"net"
	"sort"
	"sync"
	"time"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
)

// longest is how much of each direction is recorded, in bytes. What a server sends after
// it is not looked at.
const longest = 1 << 20

// A tape is a transport that keeps a recording of what passes, with the times.
type tape struct {
	net.Conn
	now func() time.Duration

	mu    sync.Mutex
	sides [2]recording // by dissect.Sender
}

// A recording is what one side has sent.
type recording struct {
	bytes  []byte
	chunks []chunk
	full   bool
}

// A chunk is what passed at a time: everything up to end that was not there before.
type chunk struct {
	end int
	at  time.Duration
}

func newTape(inner net.Conn, now func() time.Duration) *tape {
	return &tape{Conn: inner, now: now}
}

func (t *tape) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.record(dissect.Server, p[:n])
	return n, err
}

func (t *tape) Write(p []byte) (int, error) {
	at := t.now() // an answer may be there before Write returns
	n, err := t.Conn.Write(p)
	t.recordAt(dissect.Client, p[:n], at)
	return n, err
}

func (t *tape) record(from dissect.Sender, b []byte) { t.recordAt(from, b, t.now()) }

func (t *tape) recordAt(from dissect.Sender, b []byte, at time.Duration) {
	if len(b) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.sides[from]
	if room := longest - len(r.bytes); len(b) > room {
		b, r.full = b[:room], true
	}
	r.bytes = append(r.bytes, b...)
	r.chunks = append(r.chunks, chunk{len(r.bytes), at})
}

// side lends what one side has sent. Nothing may pass any more.
func (t *tape) side(from dissect.Sender) *recording {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &t.sides[from]
}

// when is the time at which all bytes up to end had passed.
func (r *recording) when(end int) time.Duration {
	i := sort.Search(len(r.chunks), func(i int) bool { return r.chunks[i].end >= end })
	if i == len(r.chunks) {
		return 0
	}
	return r.chunks[i].at
}
