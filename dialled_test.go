// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestCertificateByName has a server with several certificates, by each name that it has
// and one that it has not: the first is for whoever asks for nothing that fits.
func TestCertificateByName(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	certs := []tls.Certificate{ca.issue("one.example"), ca.issue("two.example"), ca.issue("*.three.example")}
	sc := &mayfly.Config{Certificates: certs, Peers: mayfly.NoClientAuth()}
	for name, want := range map[string]int{"one.example": 0, "two.example": 1, "TWO.example.": 1, "a.three.example": 2, "four.example": 0, "": 0} {
		cc := &mayfly.Config{Peers: mayfly.InsecureAnyServer(), ServerName: name}
		c, _, err, serverErr := shake(t, cc, sc)
		if err := errors.Join(err, serverErr); err != nil {
			t.Fatal(err)
		}
		if c.Peer().Pin != mayfly.PinOfCertificate(certs[want].Leaf) {
			t.Errorf("%q was shown another certificate than that with the index %d", name, want)
		}
	}
}

// TestUnfitGetConfig has GetConfig return what no server can use, or nothing where there is
// nothing to keep: the client is told that the fault is the server's.
func TestUnfitGetConfig(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	for name, answer := range map[string]*mayfly.Config{
		"a client's":    {Identity: sc.Identity, Peers: mayfly.InsecureAnyServer()},
		"without Peers": {Identity: sc.Identity},
		"without a key": {Peers: sc.Peers},
		"nil":           nil,
	} {
		asked := &mayfly.Config{GetConfig: func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) { return answer, nil }}
		_, _, clientErr, serverErr := shake(t, cc, asked)
		if e, ok := errors.AsType[*mayfly.AlertError](clientErr); !ok || !e.Remote || e.Code.String() != "internal_error" {
			t.Errorf("%s: the client: %v", name, clientErr)
		}
		if !errors.Is(serverErr, mayfly.ErrConfig) {
			t.Errorf("%s: the server: %v", name, serverErr)
		}
	}
}

// TestUnixSocket listens and dials on a Unix socket, whose path is nobody's name, though
// it looks like a host and a port.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	path := filepath.Join(t.TempDir(), "s:1")
	ln, err := mayfly.Listen("unix", path, sc)
	if err != nil {
		t.Skip(err) // a system without, or whose paths are longer than they may be
	}
	defer ln.Close()
	var asked string
	cc.VerifyConnection = func(s tls.ConnectionState) error { asked = s.ServerName; return nil }
	go func() {
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		_, err = io.Copy(c, c)
		if err := errors.Join(err, c.Close()); err != nil {
			t.Error(err)
		}
	}()
	conn, err := (&mayfly.Dialer{Config: cc, Confirm: true}).Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c := conn.(*mayfly.Conn)
	sent := make(chan error, 1)
	go func() { // nothing but a record's size at a time is under way
		_, err := c.Write(make([]byte, 1<<20))
		sent <- errors.Join(err, c.CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-sent, c.Close()); err != nil || len(got) != 1<<20 {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if asked != "" {
		t.Errorf("the server was asked for as %q", asked)
	}
}

// TestDialErrors shows that Dialer.Dial returns no nil *Conn in an interface.
func TestDialErrors(t *testing.T) {
	t.Parallel()
	conn, err := (&mayfly.Dialer{Config: &mayfly.Config{Peers: mayfly.Pins()}}).Dial("tcp", "127.0.0.1:1")
	if conn != nil || !errors.Is(err, mayfly.ErrConfig) {
		t.Errorf("%v, %v", conn, err)
	}
}

// sizes notes how much each Write is.
type sizes struct {
	net.Conn
	mu  sync.Mutex
	all []int
}

func (s *sizes) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.all = append(s.all, len(p))
	s.mu.Unlock()
	return s.Conn.Write(p)
}

// TestPadding pads records to a multiple: whatever is written, all records of up to that
// length look the same, and what is longer has the next one's.
func TestPadding(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	cc.Padding = mayfly.PadToMultiple(1024)
	sc.Padding = mayfly.PadToMultiple(0) // none
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, b := transport(t, ln)
	inner := &sizes{Conn: a}
	c, s := mayfly.Client(inner, cc), mayfly.Server(b, sc)
	defer c.Close()
	defer s.Close()
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := errors.Join(c.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	inner.all = nil
	lengths := []int{1, 2, 1023, 1024, 1025, 16384}
	for _, n := range lengths {
		if _, err := c.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(s, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range lengths {
		if want := 5 + (n+1023)/1024*1024 + 1 + 16; inner.all[i] != want {
			t.Errorf("%d bytes took %d, want %d", n, inner.all[i], want)
		}
	}
}
