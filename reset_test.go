// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// youngPair is a pair over TCP whose handshake has not begun.
func youngPair(t *testing.T, ln net.Listener, cc, sc *mayfly.Config) (c, s *mayfly.Conn) {
	t.Helper()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, s = mayfly.Client(a, cc), mayfly.Server(b, sc)
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return c, s
}

// TestNothingLostByReset closes a connection at once after the last Write: the peer,
// who reads later, gets all of it and a clean end. The client has not read the
// server's tickets, nor the server the client's last words: TCP would answer a close
// over those with a reset, and throw away what is under way.
func TestNothingLostByReset(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	// More than a receiver takes that does not read, and not more than the sender's
	// buffer holds beside: most of it is under way when the sender closes.
	data := make([]byte, 150<<10)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(data)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for round := range 50 {
		half, serverSends := round%2 == 1, round/2%2 == 1
		c, s := youngPair(t, ln, cc, sc)
		sender, receiver := c, s
		if serverSends {
			sender, receiver = s, c
		}
		closed, spoken := make(chan error, 1), make(chan struct{})
		go func() {
			_, err := sender.Write(data)
			if <-spoken; err != nil {
				closed <- err
				return
			}
			if half {
				err = errors.Join(err, sender.CloseWrite())
			}
			closed <- errors.Join(err, sender.Close())
		}()
		err := receiver.Handshake()
		if err == nil && serverSends {
			_, err = receiver.Write([]byte("words that nobody reads"))
		}
		close(spoken)
		if err = errors.Join(err, <-closed); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(receiver)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("round %d, CloseWrite first: %t, by the server: %t: %d of %d bytes, %v", round, half, serverSends, len(got), len(data), err)
		}
		_ = receiver.Close()
	}
}
