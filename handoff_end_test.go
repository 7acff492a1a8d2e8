// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// A detachResult is what a call of Detach returned.
type detachResult struct {
	blob []byte
	raw  net.Conn
	err  error
}

// TestOneOfAbortAndDetachSucceeds calls both at the same time, at a distance that closes in on
// the moment at which they meet. Where Detach succeeds, the connection goes on at the
// destination; where Abort does, the peer gets the alert.
func TestOneOfAbortAndDetachSucceeds(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	var turns atomic.Int64
	distance, step := 0, 1<<14
	var won [2]int
	for range 50 {
		client, server := mayflytest.PairConfig(t, cc, sc)
		exchangeOnce(t, client, server)
		receiver, err := mayfly.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		offer, start, done := receiver.Offer(), make(chan struct{}), make(chan detachResult, 1)
		go func() {
			close(start)
			blob, raw, err := client.Detach(t.Context(), offer)
			done <- detachResult{blob, raw, err}
		}()
		<-start
		for range distance {
			turns.Add(1)
		}
		abortErr := client.Abort(49)
		got := <-done
		switch {
		case abortErr == nil && got.err != nil:
			won[0]++
			if alertOf(got.err) != "access_denied" && !errors.Is(got.err, net.ErrClosed) {
				t.Fatalf("Detach: %v", got.err)
			}
			if _, err := server.Read(make([]byte, 1)); alertOf(err) != "remote access_denied" {
				t.Fatalf("the peer reads %v", err)
			}
			distance += step
		case errors.Is(abortErr, mayfly.ErrDetached) && got.err == nil:
			won[1]++
			next, err := receiver.Attach(got.raw, got.blob, cc)
			if err != nil {
				t.Fatal(err)
			}
			exchangeOnce(t, next, server)
			_ = next.Close()
			distance = max(distance-step, 0)
		default:
			t.Fatalf("Abort: %v, Detach: %v", abortErr, got.err)
		}
		if won[0] > 0 && won[1] > 0 {
			step = max(step/2, 64)
		} else {
			step = min(2*step, 1<<20) // a millisecond or so: one of the two may always win on a busy machine
		}
		receiver.Wipe()
		_, _ = client.Close(), server.Close()
	}
	t.Logf("Abort won %d times, Detach %d", won[0], won[1])
}

// A stuckConn does not return from one Write until it is released or closed, whatever its
// deadline. It says when that Write begins, and when its deadline is moved to the past.
type stuckConn struct {
	net.Conn
	stuck                          atomic.Bool
	writing, interrupted, released chan struct{}
	interruptedOnce, releasedOnce  sync.Once
}

func newStuckConn(inner net.Conn) *stuckConn {
	return &stuckConn{Conn: inner, writing: make(chan struct{}), interrupted: make(chan struct{}), released: make(chan struct{})}
}

func (s *stuckConn) Write(p []byte) (int, error) {
	if s.stuck.CompareAndSwap(true, false) {
		close(s.writing)
		<-s.released
	}
	return s.Conn.Write(p)
}

func (s *stuckConn) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		s.interruptedOnce.Do(func() { close(s.interrupted) })
	}
	return s.Conn.SetWriteDeadline(t)
}

func (s *stuckConn) release() { s.releasedOnce.Do(func() { close(s.released) }) }

func (s *stuckConn) Close() error {
	s.release()
	return s.Conn.Close()
}

// TestDetachThatWaitsLosesToTheEnd ends a connection while Detach waits for a Write that is
// stuck in the transport: Detach fails, and gives nothing away.
func TestDetachThatWaitsLosesToTheEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*mayfly.Conn, *stuckConn) error
		want func(error) bool // of Detach
		peer string           // the alert that the peer gets
	}{
		{"Abort", func(c *mayfly.Conn, stuck *stuckConn) error { defer stuck.release(); return c.Abort(49) },
			func(err error) bool { return alertOf(err) == "access_denied" }, "remote access_denied"},
		{"Close", func(c *mayfly.Conn, _ *stuckConn) error { return c.Close() },
			func(err error) bool { return errors.Is(err, net.ErrClosed) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, b := tcpPair(t)
			stuck := newStuckConn(a)
			cc, sc := mayflytest.Configs(t)
			client, server := mayfly.Client(stuck, cc), mayfly.Server(b, sc)
			t.Cleanup(func() { _, _ = client.Close(), server.Close() })
			shaken := make(chan error, 1)
			go func() { shaken <- server.Handshake() }()
			if err := errors.Join(client.Handshake(), <-shaken); err != nil {
				t.Fatal(err)
			}
			exchangeOnce(t, client, server)
			stuck.stuck.Store(true)
			wrote := make(chan error, 1)
			go func() { _, err := client.Write([]byte("x")); wrote <- err }()
			<-stuck.writing
			done := make(chan detachResult, 1)
			offer := newOffer(t)
			go func() {
				blob, raw, err := client.Detach(t.Context(), offer)
				done <- detachResult{blob, raw, err}
			}()
			<-stuck.interrupted
			if err := test.end(client, stuck); test.name == "Abort" && err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			if got := <-done; !test.want(got.err) || got.blob != nil || got.raw != nil {
				t.Errorf("Detach: %v, with a blob of %d bytes", got.err, len(got.blob))
			}
			<-wrote
			if test.peer == "" {
				return
			}
			var err error
			for err == nil {
				_, err = server.Read(make([]byte, 1))
			}
			if alertOf(err) != test.peer {
				t.Errorf("the peer reads %v", err)
			}
		})
	}
}

// TestEndAfterDetachIsRefused calls all that ends a connection after Detach has given it
// away, CloseIf in the middle of its question: it goes on at the destination.
func TestEndAfterDetachIsRefused(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed := make(chan *mayfly.Conn, 1)
	go func() {
		c, err := mayfly.Dial("tcp", ln.Addr().String(), cc)
		if err != nil {
			t.Error(err)
		}
		dialed <- c
	}()
	server, err := ln.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	client := <-dialed
	defer client.Close()
	exchangeOnce(t, client, server)
	receiver, err := mayfly.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	var got detachResult
	n := ln.CloseIf(func(mayfly.Peer) bool {
		got.blob, got.raw, got.err = server.Detach(t.Context(), receiver.Offer())
		return true
	})
	if got.err != nil || n != 0 {
		t.Fatalf("Detach: %v; CloseIf closed %d", got.err, n)
	}
	if err := server.Abort(49); !errors.Is(err, mayfly.ErrDetached) {
		t.Errorf("Abort: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, _, err := server.Detach(t.Context(), receiver.Offer()); !errors.Is(err, mayfly.ErrDetached) {
		t.Errorf("Detach: %v", err)
	}
	next, err := receiver.Attach(got.raw, got.blob, sc)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	exchangeOnce(t, client, next)
}

// TestDetachAfterTheEnd has Detach called on connections that have ended.
func TestDetachAfterTheEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *mayfly.Conn) error{
		"Close": (*mayfly.Conn).Close,
		"Abort": func(c *mayfly.Conn) error { return c.Abort(49) },
		"both":  func(c *mayfly.Conn) error { return errors.Join(c.Abort(49), c.Close()) },
	} {
		client, _ := mayflytest.Pair(t)
		if err := end(client); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		blob, raw, err := client.Detach(t.Context(), newOffer(t))
		if blob != nil || raw != nil || !errors.Is(err, net.ErrClosed) && alertOf(err) != "access_denied" {
			t.Errorf("%s: Detach: %v", name, err)
		}
	}
}
