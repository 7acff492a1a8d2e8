// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// A bareConn is an unbuffered transport without deadlines.
type bareConn struct{ net.Conn }

func (bareConn) SetDeadline(time.Time) error      { return errNoDeadlines }
func (bareConn) SetReadDeadline(time.Time) error  { return errNoDeadlines }
func (bareConn) SetWriteDeadline(time.Time) error { return errNoDeadlines }

var errNoDeadlines = net.UnknownNetworkError("no deadlines")

// Both sides of an unbuffered transport close at the same time: neither waits for the
// other. The time is that of the bubble, which passes only if all goroutines wait.
func TestBothSidesOfAPipeCloseAtOnce(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"deadlines":    func(c net.Conn) net.Conn { return c },
		"no deadlines": func(c net.Conn) net.Conn { return bareConn{c} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cc, sc := mayflytest.Configs(t)
				a, b := net.Pipe()
				c, s := mayfly.Client(wrap(a), cc), mayfly.Server(wrap(b), sc)
				both(func() { _ = c.Handshake() }, func() { _ = s.Handshake() })
				both(func() { _, _ = c.Write([]byte("hello")) }, func() { _, _ = s.Read(make([]byte, 5)) })
				both(func() { _, _ = s.Write([]byte("hello")) }, func() { _, _ = c.Read(make([]byte, 5)) })
				begin := time.Now()
				both(func() { _ = c.Close() }, func() { _ = s.Close() })
				if d := time.Since(begin); d > 0 {
					t.Errorf("the two took %v", d)
				}
			})
		})
	}
}

func TestPipeClosesBesideCryptoTLS(t *testing.T) {
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned("example.com")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		c := mayfly.Client(a, &mayfly.Config{Peers: mayfly.Pins(id.Pin())})
		s := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true})
		both(func() { _ = c.Handshake() }, func() { _ = s.Handshake() })
		both(func() { _, _ = s.Write([]byte("hello")) }, func() { _, _ = c.Read(make([]byte, 5)) })
		begin := time.Now()
		both(func() { _ = c.Close() }, func() { _ = s.Close() })
		if d := time.Since(begin); d > 0 {
			t.Errorf("the two took %v", d)
		}
	})
}

func both(f, g func()) {
	var wg sync.WaitGroup
	wg.Go(f)
	wg.Go(g)
	wg.Wait()
}
