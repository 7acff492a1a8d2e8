// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// silentPair is a pair over net.Pipe whose server has sent nothing after its handshake.
func silentPair(t *testing.T) (c, s *mayfly.Conn) {
	t.Helper()
	cc, sc := mayflytest.Configs(t)
	a, b := net.Pipe()
	c, s = mayfly.Client(a, cc), mayfly.Server(b, sc)
	t.Cleanup(func() { _ = a.Close(); _ = b.Close(); _ = c.Close(); _ = s.Close() })
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := errors.Join(c.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return c, s
}

// TestConfirmBesideRead has Confirm wait while another goroutine is in Read: its context
// lets it go and leaves the Read alone, what that Read gets is the answer, and when it was
// read, there is nothing to wait for.
func TestConfirmBesideRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := silentPair(t)
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(c, make([]byte, 5))
			read <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		confirmed := make(chan error, 1)
		confirm := func(ctx context.Context) { confirmed <- c.Confirm(ctx) }
		go confirm(ctx)
		synctest.Wait()
		within(t, 0, "Confirm", func() {
			cancel()
			if err := <-confirmed; !errors.Is(err, context.Canceled) {
				t.Errorf("Confirm: %v", err)
			}
		})
		go confirm(t.Context())
		go confirm(t.Context())
		synctest.Wait()
		select {
		case err := <-read:
			t.Fatalf("Read: %v", err)
		case err := <-confirmed:
			t.Fatalf("Confirm, when nothing has come: %v", err)
		default:
		}
		if _, err := s.Write([]byte("he")); err != nil {
			t.Fatal(err)
		}
		for range 2 { // Read waits for more
			if err := <-confirmed; err != nil {
				t.Errorf("Confirm: %v", err)
			}
		}
		if err := c.Confirm(t.Context()); err != nil {
			t.Errorf("Confirm, when all is known: %v", err)
		}
		if _, err := s.Write([]byte("llo")); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != nil {
			t.Errorf("Read: %v", err)
		}
	})
}

// TestEarlyBesideRead calls ReadEarly and WriteEarly after the handshake, while another
// goroutine waits in Read: the one has nothing to wait for, the other is Write.
func TestEarlyBesideRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := silentPair(t)
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(s, make([]byte, 5))
			read <- err
		}()
		synctest.Wait()
		within(t, 0, "ReadEarly", func() {
			if n, err := s.ReadEarly(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("ReadEarly: %d, %v", n, err)
			}
		})
		got := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(c, make([]byte, 6))
			got <- err
		}()
		within(t, 0, "WriteEarly", func() {
			if n, err := s.WriteEarly([]byte("answer")); n != 6 || err != nil {
				t.Errorf("WriteEarly: %d, %v", n, err)
			}
		})
		if err := <-got; err != nil {
			t.Errorf("the client's Read: %v", err)
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != nil {
			t.Errorf("Read: %v", err)
		}
		_ = s.Close()
		if _, err := s.ReadEarly(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadEarly after Close: %v", err)
		}
	})
}
