// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// A lobby is a listener in memory: whoever calls enter is accepted, from an address
// of TCP.
type lobby struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newLobby() *lobby { return &lobby{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (l *lobby) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *lobby) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *lobby) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (l *lobby) enter() net.Conn {
	a, b := net.Pipe()
	l.conns <- visitor{b}
	return a
}

type visitor struct{ net.Conn }

func (visitor) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 2} }

// TestLingeringStrangers has strangers whose handshake has failed stay on the line,
// so that the alert for them lingers: they count in the limits, or there could be any
// number of them. When they have been let go, they count no more.
func TestLingeringStrangers(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*mayfly.Listener){
		"MaxHandshakes":        func(ln *mayfly.Listener) { ln.MaxHandshakes, ln.MaxHandshakesPerHost = 2, -1 },
		"MaxHandshakesPerHost": func(ln *mayfly.Listener) { ln.MaxHandshakesPerHost = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { lingeringStrangers(t, limit) })
		})
	}
}

func lingeringStrangers(t *testing.T, limit func(*mayfly.Listener)) {
	_, sc := mayflytest.Configs(t)
	failed, refused := make(chan error, 10), make(chan error, 10)
	sc.Trace = &mayfly.Trace{
		HandshakeDone: func(_ context.Context, i mayfly.HandshakeInfo) { failed <- i.Err },
		AcceptError:   func(_ context.Context, i mayfly.AcceptErrorInfo) { refused <- i.Err },
	}
	door := newLobby()
	ln, err := mayfly.NewListener(door, sc)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	limit(ln)
	go func() {
		if c, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v, %v", c, err)
		}
	}()
	stranger := func() net.Conn {
		c := door.enter()
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if n, err := io.ReadFull(c, make([]byte, 7)); err != nil {
			t.Fatalf("there was no alert, but %d bytes: %v", n, err)
		}
		synctest.Wait()
		return c
	}
	for range 2 {
		// The first two stay, a second at most; then there is room for two others.
		for range 2 {
			defer stranger().Close()
			if err := <-failed; err == nil {
				t.Fatal("a stranger's handshake was done")
			}
		}
		if len(refused) != 0 {
			t.Fatalf("refused within the limit: %v", <-refused)
		}
		defer door.enter().Close()
		synctest.Wait()
		if len(refused) != 1 {
			t.Fatalf("%d were refused past the limit, want 1: strangers who linger do not count", len(refused))
		}
		<-refused
		time.Sleep(time.Minute) // on the bubble's clock
		for len(failed) > 0 {
			<-failed // of the third, where it took the place of the oldest
		}
	}
}
