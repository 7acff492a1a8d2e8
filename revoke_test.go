// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// A withholder is a client's transport that keeps the last record of each Write that
// is protected until it is told to let go.
type withholder struct {
	net.Conn
	letGo <-chan struct{}
}

func (w withholder) Write(p []byte) (int, error) {
	last := 0
	for i := 0; i+5 <= len(p); i += 5 + int(binary.BigEndian.Uint16(p[i+3:])) {
		last = i
	}
	if p[last] != 23 {
		return w.Conn.Write(p) // the ClientHello, or a change_cipher_spec
	}
	n, err := w.Conn.Write(p[:last])
	if err != nil {
		return n, err
	}
	<-w.letGo
	k, err := w.Conn.Write(p[last:])
	return n + k, err
}

// TestRevokedBeforeFinished revokes a client that Verify has accepted and whose
// Finished has not come: it is not handed out, whatever it sends then. Another who
// waits in the same way, and is not revoked, is.
func TestRevokedBeforeFinished(t *testing.T) {
	t.Parallel()
	bad, sc := mayflytest.Configs(t)
	good, _ := mayflytest.Configs(t)
	good.Peers = bad.Peers
	pins := mayfly.NewPinSet(bad.Identity.Pin(), good.Identity.Pin())
	judged := make(chan mayfly.Pin, 2)
	sc.Peers = mayfly.AllOf(pins, mayfly.Verify(func(_ context.Context, p mayfly.Peer) error {
		judged <- p.Pin
		return nil
	}))
	// A client's flight has 57, 72, and 36 or 52 bytes: by this limit, its last
	// record holds all of the Finished but one byte, and nothing else.
	sc.RecordSizeLimit = 65
	bad.RecordSizeLimit, good.RecordSizeLimit = 16384, 16384 // a server answers to a client's alone
	failures := make(chan error, 10)
	sc.Trace = &mayfly.Trace{HandshakeDone: func(_ context.Context, i mayfly.HandshakeInfo) {
		if i.Err != nil {
			failures <- i.Err
		}
	}}
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan *mayfly.Conn, 2)
	go func() {
		defer close(accepted)
		for {
			c, err := ln.AcceptConn()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()

	letGo := make(chan struct{})
	clients := make(chan error, 1)
	for _, config := range []*mayfly.Config{bad, good} {
		inner, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := mayfly.Client(withholder{Conn: inner, letGo: letGo}, config)
		defer c.Close()
		go func() {
			err := c.Handshake()
			if err == nil {
				_, err = c.Read(make([]byte, 1))
			}
			if config == bad {
				clients <- err
			}
		}()
		select {
		case pin := <-judged:
			if pin != config.Identity.Pin() {
				t.Fatal("somebody else was judged")
			}
		case err := <-failures:
			t.Fatal(err)
		}
	}
	pins.Remove(bad.Identity.Pin())
	if n := ln.CloseIf(func(p mayfly.Peer) bool { return !pins.Contains(p.Pin) }); n != 0 {
		t.Errorf("%d were closed before their handshake was done", n)
	}
	close(letGo)
	handedOut := 0
	for range 2 { // one is handed out, and the other's client finds out
		select {
		case c, ok := <-accepted:
			if !ok || c.Peer().Pin != good.Identity.Pin() {
				t.Fatal("the revoked client was handed out, or nobody")
			}
			handedOut++
			defer c.Close()
		case err := <-clients:
			if err == nil || errors.Is(err, net.ErrClosed) {
				t.Errorf("the revoked client was not cut: %v", err)
			}
		}
	}
	_ = ln.Close()
	for c := range accepted {
		handedOut++
		_ = c.Close()
	}
	if handedOut != 1 {
		t.Errorf("%d were handed out, want the other one", handedOut)
	}
}
