// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"context"
	"sync"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// A mover is a connection that is handed on while it is used, to another Conn of this
// process: whoever reads and writes notices nothing.
type mover struct {
	config *mayfly.Config

	mu sync.Mutex // held while it moves
	c  *mayfly.Conn
}

func newMover(c *mayfly.Conn, config *mayfly.Config) *mover {
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &mover{config: config, c: c}
}

// now is the Conn that has the connection.
func (m *mover) now() *mayfly.Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.c
}

// move hands the connection on. One that is at its end stays where it is.
func (m *mover) move(sum *account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	receiver := must(mayfly.NewReceiver())
	defer receiver.Wipe()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	blob, raw, err := m.c.Detach(ctx, receiver.Offer())
	if err != nil {
		return
	}
	m.c = must(receiver.Attach(raw, blob, m.config))
	_ = m.c.SetDeadline(time.Now().Add(time.Minute))
	_ = m.c.Flush() // the next Write says what is wrong
	sum.moves.Add(1)
}

func (m *mover) Read(p []byte) (n int, err error) {
	for err = mayfly.ErrDetached; n == 0 && err == mayfly.ErrDetached; {
		n, err = m.now().Read(p)
	}
	return n, err
}

func (m *mover) Write(p []byte) (n int, err error) {
	for err = mayfly.ErrDetached; err == mayfly.ErrDetached; {
		var k int
		k, err = m.now().Write(p[n:])
		n += k
	}
	return n, err
}

func (m *mover) CloseWrite() (err error) {
	for err = mayfly.ErrDetached; err == mayfly.ErrDetached; {
		err = m.now().CloseWrite()
	}
	return err
}

func (m *mover) Close() error { return m.now().Close() }
