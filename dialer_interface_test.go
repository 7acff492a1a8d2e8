// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// A contextDialer is golang.org/x/net/proxy.ContextDialer.
type contextDialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

var (
	_ contextDialer = (*mayfly.Dialer)(nil)
	_               = http.Transport{DialTLSContext: (*mayfly.Dialer)(nil).DialContext}
)

func TestDialerReturnsNilInterfaceOnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	d := &mayfly.Dialer{Config: &mayfly.Config{Peers: mayfly.Pins(id.Pin())}}
	if c, err := d.DialContext(ctx, "tcp", "127.0.0.1:1"); c != nil || err == nil {
		t.Errorf("DialContext: %v, %v", c, err)
	}
	if c, err := d.Dial("tcp", "127.0.0.1:0"); c != nil || err == nil {
		t.Errorf("Dial: %v, %v", c, err)
	}
}

// A Config that cannot work costs the connection, and the name of the address serves Roots.
func TestClientConnClosesItsConnectionOnError(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	d := &mayfly.Dialer{Config: &mayfly.Config{Peers: mayfly.KnownHosts("absent")}}
	if c, err := d.ClientConn(t.Context(), a, "db.example:443"); c != nil || !errors.Is(err, mayfly.ErrConfig) {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := a.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the connection is open: %v", err)
	}
}
