// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestAbort ends connections by an alert, idle ones and one that reads.
func TestAbort(t *testing.T) {
	t.Parallel()
	const accessDenied mayfly.AlertCode = 49
	for _, reading := range []bool{false, true} {
		client, server := mayflytest.Pair(t)
		exchangeOnce(t, client, server)
		if _, err := server.Write([]byte("before")); err != nil {
			t.Fatal(err)
		}
		read := make(chan error, 1)
		if reading {
			begun := make(chan struct{})
			go func() {
				close(begun)
				_, err := server.Read(make([]byte, 1))
				read <- err
			}()
			<-begun
		}
		if err := server.Abort(accessDenied); err != nil {
			t.Fatal(err)
		}
		if reading {
			if got := alertOf(<-read); got != "access_denied" {
				t.Errorf("the Read that was under way: %v", got)
			}
		}
		for _, call := range []func([]byte) (int, error){server.Read, server.Write} {
			if _, err := call(make([]byte, 1)); alertOf(err) != "access_denied" {
				t.Errorf("afterwards: %v", err)
			}
		}
		text := make([]byte, 6)
		if n, err := client.Read(text); err != nil || string(text[:n]) != "before" {
			t.Errorf("the peer reads %q, %v", text[:n], err)
		}
		if _, err := client.Read(text); alertOf(err) != "remote access_denied" {
			t.Errorf("the peer is told: %v", err)
		}
		if err := server.Abort(accessDenied); err != nil {
			t.Errorf("again: %v", err)
		}
		if err := server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	client, _ := mayflytest.Pair(t)
	for _, code := range []mayfly.AlertCode{0, 90} {
		if err := client.Abort(code); err == nil {
			t.Errorf("%v ended the connection", code)
		}
	}
	if err := mayfly.Client(nowhere{}, &mayfly.Config{Peers: mayfly.InsecureAnyServer()}).Abort(accessDenied); err == nil {
		t.Error("a connection without a handshake was aborted")
	}
}

// lengths notes the longest record that goes by, in both directions.
type lengths struct {
	net.Conn
	most *atomic.Int64
}

// TestMaxFragment has records in the clear and protected ones of no more than so much.
func TestMaxFragment(t *testing.T) {
	t.Parallel()
	for _, n := range []int{64, 512, 0} {
		cc, sc := mayflytest.Configs(t)
		cc.MaxFragment, sc.MaxFragment = n, n
		a, b := tcpPair(t)
		var most atomic.Int64
		client, server := mayfly.Client(&lengths{a, &most}, cc), mayfly.Server(&lengths{b, &most}, sc)
		t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		if err := errors.Join(client.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		exchangeOnce(t, client, server)
		go func() { _, _ = client.Write(make([]byte, 20000)) }()
		for read := 0; read < 20000; {
			m, err := server.Read(make([]byte, 1<<14))
			if err != nil {
				t.Fatal(err)
			}
			read += m
		}
		want := int64(n + 17) // the content's type, and the tag
		if n == 0 {
			want = 1<<14 + 17
		}
		if got := most.Load(); got != want {
			t.Errorf("MaxFragment %d: the longest record has %d bytes", n, got)
		}
	}
	for _, n := range []int{-1, 63, 16385} {
		if err := mayfly.Client(nowhere{}, &mayfly.Config{Peers: mayfly.InsecureAnyServer(), MaxFragment: n}).Handshake(); err == nil {
			t.Errorf("MaxFragment %d", n)
		}
	}
}

// Write reads the headers of the records that it passes on: mayfly writes whole ones.
func (l *lengths) Write(p []byte) (int, error) {
	for b := p; len(b) >= 5; {
		n := int(b[3])<<8 + int(b[4])
		l.most.Store(max(l.most.Load(), int64(n)))
		b = b[min(5+n, len(b)):]
	}
	return l.Conn.Write(p)
}

// TestCallbackAlert has callbacks choose the alert by which they refuse.
func TestCallbackAlert(t *testing.T) {
	t.Parallel()
	for want, answer := range map[string]error{
		"certificate_unknown": &mayfly.AlertError{Code: mayfly.AlertCertificateUnknown, Reason: "who is that"},
		"unknown_ca":          fmt.Errorf("no: %w", &mayfly.AlertError{Code: mayfly.AlertUnknownCA}),
		"access_denied":       &mayfly.AlertError{Remote: true, Code: mayfly.AlertUnknownCA}, // what Verify sends by itself
	} {
		cc, sc := mayflytest.Configs(t)
		sc.Peers = mayfly.AllOf(sc.Peers, mayfly.Verify(func(context.Context, mayfly.Peer) error { return answer }))
		_, _, clientErr, serverErr := shake(t, cc, sc)
		refused(t, want, want, clientErr, serverErr)
		if !errors.Is(serverErr, mayfly.ErrPeerRefused) || !errors.Is(serverErr, answer) {
			t.Errorf("%s: %v", want, serverErr)
		}
	}
	cc, sc := mayflytest.Configs(t)
	sc.GetConfig = func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) {
		return nil, &mayfly.AlertError{Code: 0} // which ends nothing
	}
	_, _, clientErr, serverErr := shake(t, cc, sc)
	refused(t, "close_notify", "handshake_failure", clientErr, serverErr)
}
