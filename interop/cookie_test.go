// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// TestCookie lets openssl s_client in where a Listener under load asks for a cookie and
// for nothing else, with a full handshake and with a session.
func TestCookie(t *testing.T) {
	t.Parallel()
	opensslProbe().require(t, openssl)
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned("server.example")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{}, 10)
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Certificates: []tls.Certificate{cert}, Peers: mayfly.NoClientAuth(), HandshakeTimeout: patience,
		Trace: &mayfly.Trace{HandshakeStart: func(context.Context, mayfly.HandshakeStartInfo) { started <- struct{}{} }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ln.CookieAbove = 1
	states := make(chan tls.ConnectionState, 2)
	go func() {
		for {
			c, err := ln.AcceptConn()
			if err != nil {
				return
			}
			states <- c.ConnectionState()
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	silent, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	<-started
	session := filepath.Join(t.TempDir(), "session")
	for i, flag := range []string{"-sess_out", "-sess_in"} {
		p := start(t, openssl, "s_client", "-connect", ln.Addr().String(), "-quiet", "-no_ign_eof", "-nocommands", flag, session)
		if err := p.say("hello"); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, len("hello\n"))
		if _, err := io.ReadFull(p, line); err != nil || string(line) != "hello\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if err := p.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := p.Finish(); err != nil {
			t.Fatal(err)
		}
		if s := <-states; !s.HelloRetryRequest || s.DidResume != (i == 1) {
			t.Errorf("retry %t, resumed %t", s.HelloRetryRequest, s.DidResume)
		}
	}
}
