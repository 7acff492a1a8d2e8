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
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestWriteAfterCanceledRekey cancels a Rekey in the middle of its Write. The context
// bounds that call alone: when the peer reads again, the next Write sends what is left
// of the KeyUpdate, then its own data, and waits for a slow peer as long as it takes.
func TestWriteAfterCanceledRekey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := overPipe(t, asItIs)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		rekeyed := make(chan error, 1)
		go func() { rekeyed <- c.Rekey(ctx) }()
		synctest.Wait() // now it is in its Write
		cancel()
		if err := <-rekeyed; !errors.Is(err, context.Canceled) {
			t.Fatalf("Rekey: %v", err)
		}
		wrote := make(chan error, 1)
		go func() {
			_, err := c.Write([]byte("after"))
			wrote <- err
		}()
		time.Sleep(time.Minute) // on the bubble's clock
		select {
		case err := <-wrote:
			t.Fatalf("Write did not wait: %v", err)
		default:
		}
		go func() { _, _ = io.Copy(io.Discard, c) }() // the peer's own KeyUpdate
		got := make([]byte, 5)
		if _, err := io.ReadFull(s, got); err != nil || string(got) != "after" {
			t.Fatalf("the peer read %q, %v", got, err)
		}
		if err := <-wrote; err != nil {
			t.Errorf("Write: %v", err)
		}
		if stats := s.Stats(); stats.KeysReceived != 1 {
			t.Errorf("the peer saw %d changes of keys, want 1", stats.KeysReceived)
		}
	})
}

// TestCloseWakesReadAtOnce closes a connection while a Read waits, and the peer takes
// no close_notify: the Read does not wait with Close for that.
func TestCloseWakesReadAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := overPipe(t, asItIs)
		read, closed := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		go func() { closed <- c.Close() }()
		within(t, 0, "Read", func() {
			if err := <-read; err != net.ErrClosed {
				t.Errorf("Read: %v, want net.ErrClosed", err)
			}
		})
		within(t, 5*time.Second, "Close", func() { <-closed })
	})
}

// TestCloseDuringCallback closes a connection whose handshake waits in a callback:
// the callback's context ends, and the handshake with net.ErrClosed.
func TestCloseDuringCallback(t *testing.T) {
	t.Parallel()
	for _, server := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cc, sc := mayflytest.Configs(t)
			cc.HandshakeTimeout, sc.HandshakeTimeout = -1, -1
			asked, let := make(chan struct{}), make(chan error, 1)
			waiting := cc
			if server {
				waiting = sc
			}
			asking["Verify"](waiting, func(ctx context.Context) error {
				close(asked)
				<-ctx.Done()
				let <- ctx.Err()
				return nil // it may well say yes: too late
			})
			a, b := net.Pipe()
			c, s := mayfly.Client(a, cc), mayfly.Server(b, sc)
			defer c.Close()
			defer s.Close()
			judge, other := c, s
			if server {
				judge, other = s, c
			}
			go func() { _, _ = io.Copy(io.Discard, other) }()
			done := make(chan error, 1)
			go func() { done <- judge.Handshake() }()
			<-asked
			within(t, time.Second, "Close", func() {
				if err := judge.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if err := <-let; !errors.Is(err, context.Canceled) {
					t.Errorf("the callback's context: %v", err)
				}
				if err := <-done; err != net.ErrClosed {
					t.Errorf("Handshake: %v, want net.ErrClosed", err)
				}
			})
			if _, err := judge.Write([]byte("x")); err != net.ErrClosed {
				t.Errorf("Write: %v, want net.ErrClosed", err)
			}
		})
	}
}
