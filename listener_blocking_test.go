// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// A blockingConn has methods that block until it is closed, as those of a PROXY
// protocol connection do whose header has not come.
type blockingConn struct {
	net.Conn
	blocks string
	closed chan struct{}
	once   sync.Once
}

func (c *blockingConn) wait(method string) {
	if c.blocks == method {
		<-c.closed
	}
}

func (c *blockingConn) RemoteAddr() net.Addr { c.wait("RemoteAddr"); return visitor{}.RemoteAddr() }
func (c *blockingConn) LocalAddr() net.Addr  { c.wait("LocalAddr"); return visitor{}.RemoteAddr() }

func (c *blockingConn) SetDeadline(t time.Time) error {
	c.wait("SetDeadline")
	return c.Conn.SetDeadline(t)
}

func (c *blockingConn) SetReadDeadline(t time.Time) error {
	c.wait("SetDeadline")
	return c.Conn.SetReadDeadline(t)
}

func (c *blockingConn) SetWriteDeadline(t time.Time) error {
	c.wait("SetDeadline")
	return c.Conn.SetWriteDeadline(t)
}

func (c *blockingConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestListenerAcceptsBesideBlockedConnections has connections whose methods block, and a
// Trace that does: the Listener accepts others meanwhile, and closes the blocked ones in
// time.
func TestListenerAcceptsBesideBlockedConnections(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"RemoteAddr", "LocalAddr", "SetDeadline", "no method"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cc, sc := mayflytest.Configs(t)
				release := make(chan struct{})
				sc.Trace = &mayfly.Trace{AcceptError: func(context.Context, mayfly.AcceptErrorInfo) { <-release }}
				lobby := newLobby()
				ln, err := mayfly.NewListener(lobby, sc)
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				defer close(release)
				ln.MaxHandshakes = 2 // the third and every later one takes the place of the oldest
				accepted := make(chan error, 1)
				go func() { accepted <- acceptAndClose(ln) }()
				var blocked []*blockingConn
				for range 4 {
					client, server := net.Pipe()
					defer client.Close()
					c := &blockingConn{Conn: server, blocks: method, closed: make(chan struct{})}
					select {
					case lobby.conns <- c:
					case <-time.After(time.Minute):
						t.Fatalf("the accept loop has stopped after %d connections", len(blocked))
					}
					blocked = append(blocked, c)
				}
				c := mayfly.Client(lobby.enter(), cc)
				defer c.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := c.HandshakeContext(ctx); err != nil {
					t.Fatalf("a client beside them: %v", err)
				}
				if err := <-accepted; err != nil {
					t.Fatal(err)
				}
				for i, c := range blocked {
					select {
					case <-c.closed:
					case <-time.After(time.Minute):
						t.Errorf("connection %d is not closed after a minute", i)
					}
				}
			})
		})
	}
}

// acceptAndClose accepts one connection.
func acceptAndClose(ln net.Listener) error {
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	return c.Close()
}

// TestListenerAcceptsBesideBlockedRevocation has the function of CloseIf block for one
// peer that is about to be handed out: the Listener accepts others meanwhile.
func TestListenerAcceptsBesideBlockedRevocation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cc, sc := mayflytest.Configs(t)
		lobby := newLobby()
		ln, err := mayfly.NewListener(lobby, sc)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		accepted := make(chan error, 2)
		for range 2 {
			go func() { accepted <- acceptAndClose(ln) }()
		}
		first := mayfly.Client(lobby.enter(), cc)
		defer first.Close()
		synctest.Wait()
		release := make(chan struct{})
		ln.CloseIf(func(mayfly.Peer) bool { <-release; return false })
		go func() { _ = first.Handshake() }()
		synctest.Wait() // the server asks about it
		second := mayfly.Client(lobby.enter(), cc)
		defer second.Close()
		if err := second.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
		close(release)
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
	})
}

// TestListenerManyClientsOfOneAddress has 400 clients at one address dial at once, and a
// server that accepts only when all have finished their handshakes: none is cut.
func TestListenerManyClientsOfOneAddress(t *testing.T) {
	t.Parallel()
	const clients = 400
	ln, d, failures := listen(t)
	d.Config.HandshakeTimeout = time.Minute
	started := make(chan struct{})
	conns := make(chan *mayfly.Conn, clients)
	var dialed sync.WaitGroup
	for range clients {
		dialed.Go(func() {
			<-started
			c, err := d.DialConn(t.Context(), "tcp", ln.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			conns <- c
		})
	}
	accept := make(chan error, 1)
	go func() {
		c, err := ln.Accept() // which starts the handshakes
		if err == nil {
			defer c.Close()
		}
		dialed.Wait()
		for range clients - 1 {
			if err == nil {
				var c net.Conn
				if c, err = ln.Accept(); err == nil {
					defer c.Close()
				}
			}
		}
		accept <- err
	}()
	close(started)
	dialed.Wait()
	close(conns)
	for c := range conns {
		t.Cleanup(func() { _ = c.Close() })
	}
	select {
	case err := <-failures:
		t.Fatalf("the server has cut a client: %v", err)
	default:
	}
	if err := <-accept; err != nil {
		t.Fatal(err)
	}
}

// TestListenerPerHostCountsUnfinished has more finished connections of one address than
// the limit wait for Accept: they do not count.
func TestListenerPerHostCountsUnfinished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cc, sc := mayflytest.Configs(t)
		inner := newLobby()
		ln, err := mayfly.NewListener(inner, sc)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ln.MaxHandshakesPerHost = 1
		first := make(chan net.Conn, 1)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				t.Error(err)
			}
			first <- c
		}()
		for i := range 5 {
			raw := inner.enter()
			defer raw.Close() // which ends what waits at both ends
			c := mayfly.Client(raw, cc)
			defer c.Close()
			if err := c.Handshake(); err != nil {
				t.Fatalf("client %d: %v", i, err)
			}
			go func() { _, _ = io.Copy(io.Discard, c) }() // net.Pipe has no buffer
			synctest.Wait()                               // the server has finished, too
		}
		defer (<-first).Close()
		for range 4 {
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
	})
}

// TestListenerSurvivesConnsThatPanic has a connection of the inner listener panic, or end its
// goroutine, where it is asked for its address. Its place is free for the next.
func TestListenerSurvivesConnsThatPanic(t *testing.T) {
	text := captureLog(t)
	for how, fault := range faults {
		cc, sc := mayflytest.Configs(t)
		inner := newLobby()
		ln, err := mayfly.NewListener(inner, sc)
		if err != nil {
			t.Fatal(err)
		}
		ln.MaxHandshakesPerHost = 1
		accepted := make(chan error, 1)
		go func() { _, err := ln.Accept(); accepted <- err }()
		a, b := net.Pipe()
		inner.conns <- faultyConn{b, fault}
		if _, err := a.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: the connection was not closed: %v", how, err)
		}
		raw := inner.enter()
		if err := mayfly.Client(raw, cc).Handshake(); err != nil {
			t.Errorf("%s: the next client: %v", how, err)
		}
		if err := <-accepted; err != nil {
			t.Errorf("%s: %v", how, err)
		}
		_ = raw.Close()
		_ = ln.Close()
	}
	if log := text.String(); !strings.Contains(log, "boom") || !strings.Contains(log, "Goexit") {
		t.Errorf("the log: %s", log)
	}
}

type faultyConn struct {
	net.Conn
	fault func()
}

func (c faultyConn) RemoteAddr() net.Addr { c.fault(); return c.Conn.RemoteAddr() }
