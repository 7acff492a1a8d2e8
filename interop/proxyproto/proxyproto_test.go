// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package proxyproto_test has a Listener accept connections behind the PROXY protocol, by
// the package that most Go servers use for it. Its connections read the header when they
// are first asked for anything: RemoteAddr blocks until then.
package proxyproto_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// patience bounds each connection. No header comes from a silent client within headerTime.
const (
	patience   = 30 * time.Second
	headerTime = time.Hour
)

// visitorAddr is the client's address in the headers.
var visitorAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711}

// TestSilentConnections has connections below a Listener that send no header, or a part of
// one. Others are accepted beside them, and are known by the address in their headers.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{1, 2} {
		cc, sc := mayflytest.Configs(t)
		ln := listen(t, sc)
		for _, said := range []string{"", "PROXY TCP4 192.0.2.7", "\r\n\r\n\x00\r\nQUIT\n"} {
			if _, err := io.WriteString(dial(t, ln), said); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			client := mayfly.Client(dialWithHeader(t, ln, version), cc)
			accepted := accept(ln)
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			expectEcho(t, client, <-accepted)
		}
	}
}

// TestManySilentConnections has more silent connections than the Listener has handshakes
// at once.
func TestManySilentConnections(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	ln := listen(t, sc)
	ln.MaxHandshakes = 8
	for range 4 * ln.MaxHandshakes {
		dial(t, ln)
	}
	client := mayfly.Client(dialWithHeader(t, ln, 2), cc)
	accepted := accept(ln)
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	expectEcho(t, client, <-accepted)
}

// TestCloseBesideSilentConnections closes a Listener below which a connection is silent:
// Close returns, and ends that connection.
func TestCloseBesideSilentConnections(t *testing.T) {
	t.Parallel()
	_, sc := mayflytest.Configs(t)
	ln := listen(t, sc)
	silent := dial(t, ln)
	accepted := accept(ln)
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if got := <-accepted; !errors.Is(got.err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", got.err)
	}
	if n, err := silent.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the silent connection reads %d, %v; want its end", n, err)
	}
}

// TestRemoteAddress shows the address in the header to what chooses the Config, to a
// client of crypto/tls's.
func TestRemoteAddress(t *testing.T) {
	t.Parallel()
	_, sc := mayflytest.Configs(t)
	sc.Peers = mayfly.NoClientAuth()
	cert, err := sc.Identity.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan net.Addr, 1)
	ln := listen(t, &mayfly.Config{
		Certificates: []tls.Certificate{cert}, Peers: mayfly.NoClientAuth(),
		GetConfig: func(_ context.Context, hello *mayfly.ClientHello) (*mayfly.Config, error) {
			seen <- hello.RemoteAddr
			return nil, nil
		},
	})
	dial(t, ln)
	client := tls.Client(dialWithHeader(t, ln, 1), &tls.Config{InsecureSkipVerify: true})
	accepted := accept(ln)
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got.String() != visitorAddr.String() {
		t.Errorf("GetConfig sees %v", got)
	}
	expectEcho(t, client, <-accepted)
}

// listen makes a Listener above one of the PROXY protocol.
func listen(t *testing.T, cfg *mayfly.Config) *mayfly.Listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := mayfly.NewListener(&proxyproto.Listener{
		Listener: inner, ReadHeaderTimeout: headerTime,
		Policy: func(net.Addr) (proxyproto.Policy, error) { return proxyproto.REQUIRE, nil },
	}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func dial(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func dialWithHeader(t *testing.T, ln net.Listener, version byte) net.Conn {
	t.Helper()
	conn := dial(t, ln)
	if _, err := proxyproto.HeaderProxyFromAddrs(version, visitorAddr, ln.Addr()).WriteTo(conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

type accepted struct {
	conn net.Conn
	err  error
}

func accept(ln net.Listener) <-chan accepted {
	done := make(chan accepted, 1)
	go func() {
		conn, err := ln.Accept()
		done <- accepted{conn, err}
	}()
	return done
}

// expectEcho sends a line both ways.
func expectEcho(t *testing.T, client net.Conn, server accepted) {
	t.Helper()
	if server.err != nil {
		t.Fatal(server.err)
	}
	defer server.conn.Close()
	if got := server.conn.RemoteAddr().String(); got != visitorAddr.String() {
		t.Errorf("RemoteAddr is %s, want %s", got, visitorAddr)
	}
	if err := server.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to net.Conn }{{client, server.conn}, {server.conn, client}} {
		p := make([]byte, 5)
		if _, err := io.WriteString(c.from, "line\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c.to, p); err != nil || string(p) != "line\n" {
			t.Fatalf("read %q, %v", p, err)
		}
	}
}
