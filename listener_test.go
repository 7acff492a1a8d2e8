// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// listen returns a Listener and a Dialer that know each other. Failed handshakes
// are told to the channel.
func listen(t testing.TB) (*mayfly.Listener, *mayfly.Dialer, <-chan error) {
	t.Helper()
	cc, sc := mayflytest.Configs(t)
	failures := make(chan error, 1000)
	sc.Trace = &mayfly.Trace{
		HandshakeDone: func(_ context.Context, i mayfly.HandshakeInfo) {
			if i.Err != nil {
				failures <- i.Err
			}
		},
		AcceptError: func(_ context.Context, i mayfly.AcceptErrorInfo) { failures <- i.Err },
	}
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln, &mayfly.Dialer{Config: cc, Confirm: true}, failures
}

func TestListenDial(t *testing.T) {
	ln, d, _ := listen(t)
	done := make(chan error, 1)
	go func() {
		c, err := ln.AcceptConn()
		if err != nil {
			done <- err
			return
		}
		if c.Peer().Kind != mayfly.RawKey || c.Peer().Pin != d.Config.Identity.Pin() {
			t.Errorf("the server sees %+v", c.Peer())
		}
		_, err = io.Copy(c, c)
		done <- errors.Join(err, c.Close())
	}()
	c, err := d.DialConn(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	if err := errors.Join(<-done, c.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestListenerStrangers shows that Accept never returns what strangers did.
func TestListenerStrangers(t *testing.T) {
	ln, d, failures := listen(t)
	for _, junk := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05hello", "", "\x15\x03\x03\x00\x02\x02\x28"} {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(junk))
		_ = c.(*net.TCPConn).CloseWrite()
		defer c.Close()
	}
	accepted := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			err = c.Close()
		}
		accepted <- err
	}()
	c, err := d.DialConn(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := <-failures; err == nil {
			t.Error("a failure without an error")
		}
	}
}

// TestListenerCrowd fills every place with silent strangers: an honest client
// still gets in.
func TestListenerCrowd(t *testing.T) {
	ln, d, failures := listen(t)
	ln.MaxHandshakes = 8
	accepted := make(chan error, 1)
	go func() { _, err := ln.Accept(); accepted <- err }()
	for range 20 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for range 12 {
		<-failures // each crowded out by a later one
	}
	c, err := d.DialConn(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
}

func TestListenerPerHost(t *testing.T) {
	ln, _, failures := listen(t)
	ln.MaxHandshakesPerHost = 2
	go func() { _, _ = ln.Accept() }()
	for range 3 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := <-failures; err == nil {
		t.Fatal("no error")
	}
}

// TestListenerShutdown shows that what is pending is still handed out.
func TestListenerShutdown(t *testing.T) {
	ln, d, _ := listen(t)
	var dialled sync.WaitGroup
	for range 3 {
		dialled.Go(func() {
			c, err := d.DialConn(t.Context(), "tcp", ln.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if b, err := io.ReadAll(c); err != nil || string(b) != "bye" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
	first, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conns := []net.Conn{first}
	for len(conns) < 3 { // all three have come in before the shutdown
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	done := make(chan error, 1)
	go func() { done <- ln.Shutdown(t.Context()) }()
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Shutdown: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, c := range conns {
		_, _ = c.Write([]byte("bye"))
		_ = c.Close()
	}
	dialled.Wait()
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

// TestListenerShutdownDelivers has a connection finished and not yet accepted when
// the shutdown begins.
func TestListenerShutdownDelivers(t *testing.T) {
	ln, d, _ := listen(t)
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	for range 3 { // Confirm: the server has them, and Accept is behind
		c, err := d.DialConn(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	done := make(chan error, 1)
	go func() { done <- ln.Shutdown(t.Context()) }()
	n := 0
	for c := range accepted {
		n++
		_ = c.Close()
	}
	if err := <-done; err != nil || n != 3 {
		t.Fatalf("%d delivered, %v", n, err)
	}
}

// TestListenerShutdownDeadline leaves a handshake that never ends behind.
func TestListenerShutdownDeadline(t *testing.T) {
	ln, _, _ := listen(t)
	go func() { _, _ = ln.Accept() }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := ln.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("the pending connection is still open")
	}
}

// TestListenerCloseIf cuts one peer and leaves the other.
func TestListenerCloseIf(t *testing.T) {
	one, sc := mayflytest.Configs(t)
	two, _ := mayflytest.Configs(t)
	two.Peers = one.Peers
	pins := mayfly.NewPinSet(one.Identity.Pin(), two.Identity.Pin())
	sc.Peers = pins
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var conns [2]*mayfly.Conn
	for i, cfg := range []*mayfly.Config{one, two} {
		go func() {
			c, err := (&mayfly.Dialer{Config: cfg}).DialConn(t.Context(), "tcp", ln.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}()
		if conns[i], err = ln.AcceptConn(); err != nil {
			t.Fatal(err)
		}
	}
	pins.Remove(one.Identity.Pin())
	if n := ln.CloseIf(func(p mayfly.Peer) bool { return !pins.Contains(p.Pin) }); n != 1 {
		t.Fatalf("closed %d", n)
	}
	if _, err := conns[0].Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the revoked: %v", err)
	}
	if _, err := conns[1].Write([]byte("x")); err != nil {
		t.Errorf("the other: %v", err)
	}
	if _, err := io.ReadFull(conns[1], make([]byte, 1)); err != nil {
		t.Errorf("the other: %v", err)
	}
	_ = conns[1].Close()
	runtime.KeepAlive(conns)
}

// TestAcceptedOnly shows that a peer that is not on the list is never handed out.
func TestAcceptedOnly(t *testing.T) {
	ln, d, failures := listen(t)
	stranger, _ := mayflytest.Configs(t)
	stranger.Peers = d.Config.Peers
	go func() {
		if c, err := ln.Accept(); err == nil {
			t.Errorf("accepted %v", c.RemoteAddr())
		}
	}()
	_, err := (&mayfly.Dialer{Config: stranger, Confirm: true}).DialConn(t.Context(), "tcp", ln.Addr().String())
	var e *mayfly.AlertError
	if !errors.As(err, &e) || !e.Remote {
		t.Errorf("the client: %v", err)
	}
	if err := <-failures; !errors.Is(err, mayfly.ErrPeerRefused) {
		t.Errorf("the server: %v", err)
	}
}

// TestListenerCloseAtOnce closes a Listener with many connections that nobody has accepted,
// and whose peers do not read: it waits for them all together.
func TestListenerCloseAtOnce(t *testing.T) {
	cc, sc := mayflytest.Configs(t)
	synctest.Test(t, func(t *testing.T) {
		inner := &pipeListener{calls: make(chan net.Conn), done: make(chan struct{})}
		ln, err := mayfly.NewListener(inner, sc)
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := ln.Accept()
			accepted <- c
		}()
		defer func() { _ = (<-accepted).Close() }()
		for range 20 {
			a, b := net.Pipe()
			inner.calls <- b
			c := mayfly.Client(a, cc)
			defer c.Close()
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		began := time.Now()
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 10*time.Second { // of the bubble's time, in which nothing else takes any
			t.Errorf("Close took %v", took)
		}
	})
}

// A pipeListener gives out what comes by a channel.
type pipeListener struct {
	calls chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.calls:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error { close(l.done); return nil }

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
