// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package mayflytest gives tests a connected pair of mayfly connections:
//
//	func TestGreeting(t *testing.T) {
//		client, server := mayflytest.Pair(t)
//		go greet(server)
//		got, err := io.ReadAll(client)
//		…
//	}
//
// It is for tests of programs that use mayfly; it knows the public API alone.
//
// The API of this package follows the version number (docs/stability.md).
package mayflytest

import (
	"errors"
	"net"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// Pair returns the two ends of a connection over loopback TCP. Both have done
// their handshake, each knows the other by a key of its own, made for this pair,
// and the server has accepted the client. They are closed when the test ends.
func Pair(t testing.TB) (client, server *mayfly.Conn) {
	t.Helper()
	cc, sc := Configs(t)
	return PairConfig(t, cc, sc)
}

// Configs returns two Configs that accept one another, with new keys. They may be
// changed before they are used.
func Configs(t testing.TB) (client, server *mayfly.Config) {
	t.Helper()
	ck, sk := identity(t), identity(t)
	client = &mayfly.Config{Identity: ck, Peers: mayfly.Pins(sk.Pin())}
	server = &mayfly.Config{Identity: sk, Peers: mayfly.Pins(ck.Pin())}
	return client, server
}

// PairConfig is Pair with Configs of the caller's.
func PairConfig(t testing.TB, client, server *mayfly.Config) (c, s *mayfly.Conn) {
	t.Helper()
	a, b, err := tcpPair()
	if err != nil {
		t.Fatal(err)
	}
	c, s = mayfly.Client(a, client), mayfly.Server(b, server)
	t.Cleanup(func() {
		_ = c.Close()
		_ = s.Close()
	})
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err != nil {
			_ = b.Close() // the other need not wait
		}
		done <- err
	}()
	err = c.Handshake()
	if err != nil {
		_ = a.Close()
	}
	if err = errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return c, s
}

func identity(t testing.TB) *mayfly.Identity {
	t.Helper()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// tcpPair returns the two ends of a TCP connection over loopback.
func tcpPair() (a, b net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	if b, err = ln.Accept(); err != nil {
		_ = a.Close()
		return nil, nil, err
	}
	return a, b, nil
}
