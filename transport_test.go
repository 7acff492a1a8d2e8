// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// overPipe is a pair over net.Pipe, whose ends may be wrapped, and which takes
// nothing that the other end does not read. Within a bubble of synctest, its time is
// the bubble's.
func overPipe(t *testing.T, wrap func(net.Conn) net.Conn) (c, s *mayfly.Conn) {
	t.Helper()
	cc, sc := mayflytest.Configs(t)
	a, b := net.Pipe()
	c, s = mayfly.Client(wrap(a), cc), mayfly.Server(b, sc)
	t.Cleanup(func() { _ = a.Close(); _ = b.Close(); _ = c.Close(); _ = s.Close() })
	done := make(chan error, 1)
	go func() {
		_, err := s.Write([]byte("k"))
		done <- err
	}()
	_, err := io.ReadFull(c, make([]byte, 1))
	if err = errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return c, s
}

func asItIs(c net.Conn) net.Conn { return c }

// within fails where something takes longer than d on the bubble's clock. A call that
// never returns is found by synctest as a deadlock.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	started := time.Now()
	f()
	if took := time.Since(started); took > d {
		t.Errorf("%s took %v", what, took)
	}
}

// TestCloseAfterCanceledRekey cancels a Rekey in the middle of its Write, to a peer
// that does not read: neither it nor Close hangs.
func TestCloseAfterCanceledRekey(t *testing.T) {
	t.Parallel()
	for _, closedFirst := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := overPipe(t, asItIs)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			rekeyed := make(chan error, 1)
			go func() { rekeyed <- c.Rekey(ctx) }()
			synctest.Wait() // now it is in its Write
			if closedFirst {
				closed := make(chan error, 1)
				go func() { closed <- c.Close() }()
				synctest.Wait()
				within(t, time.Second, "Close beside Rekey", func() {
					cancel()
					<-closed
					if err := <-rekeyed; err == nil {
						t.Error("a Rekey that nobody read was done")
					}
				})
				return
			}
			within(t, 0, "Rekey", func() {
				cancel()
				if err := <-rekeyed; !errors.Is(err, context.Canceled) {
					t.Errorf("Rekey: %v", err)
				}
			})
			within(t, 5*time.Second, "Close", func() { _ = c.Close() })
			if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write: %v", err)
			}
		})
	}
}

// A timeless transport has no deadlines.
type timeless struct{ net.Conn }

var errTimeless = errors.New("there are no deadlines here")

func (timeless) SetDeadline(time.Time) error      { return errTimeless }
func (timeless) SetReadDeadline(time.Time) error  { return errTimeless }
func (timeless) SetWriteDeadline(time.Time) error { return errTimeless }

// TestCloseWithoutDeadlines closes a connection whose transport has no deadlines,
// under a Read and a Write, each alone and both.
func TestCloseWithoutDeadlines(t *testing.T) {
	t.Parallel()
	read := func(c *mayfly.Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	write := func(c *mayfly.Conn) error { _, err := c.Write([]byte("x")); return err }
	for name, calls := range map[string][]func(*mayfly.Conn) error{
		"nothing": nil, "Read": {read}, "Write": {write}, "both": {read, write},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := overPipe(t, func(c net.Conn) net.Conn { return timeless{c} })
				errs := make(chan error, 2)
				for _, call := range calls {
					go func() { errs <- call(c) }()
				}
				synctest.Wait()
				within(t, 7*time.Second, "Close", func() { _ = c.Close() })
				for range calls {
					if err := <-errs; !errors.Is(err, net.ErrClosed) {
						t.Errorf("got %v, want net.ErrClosed", err)
					}
				}
			})
		})
	}
}

// TestHandshakeWithoutDeadlines cancels a handshake over a transport without
// deadlines, in its Write and in its Read, by the context and by Close.
func TestHandshakeWithoutDeadlines(t *testing.T) {
	t.Parallel()
	for _, inRead := range []bool{false, true} {
		for _, byClose := range []bool{false, true} {
			t.Run(fmt.Sprintf("in Read=%t by Close=%t", inRead, byClose), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cc, _ := mayflytest.Configs(t)
					cc.HandshakeTimeout = -1
					a, b := net.Pipe()
					defer b.Close()
					if inRead {
						go func() { _, _ = io.Copy(io.Discard, b) }()
					}
					c := mayfly.Client(timeless{a}, cc)
					defer c.Close()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					done := make(chan error, 1)
					go func() { done <- c.HandshakeContext(ctx) }()
					synctest.Wait()
					end, want := cancel, context.Canceled
					if byClose {
						end, want = func() { _ = c.Close() }, net.ErrClosed
					}
					within(t, 2*time.Second, "the handshake", func() {
						end()
						if err := <-done; !errors.Is(err, want) {
							t.Errorf("got %v, want %v", err, want)
						}
					})
				})
			})
		}
	}
}

// TestCloseDuringRead closes a connection while a Read waits for the peer.
func TestCloseDuringRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := overPipe(t, asItIs)
		go func() { _, _ = io.Copy(io.Discard, s) }()
		done := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		synctest.Wait()
		within(t, 0, "Close", func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := <-done; err != net.ErrClosed {
				t.Errorf("Read: %v, want net.ErrClosed", err)
			}
		})
		if _, err := c.Read(make([]byte, 1)); err != net.ErrClosed {
			t.Errorf("the next Read: %v, want net.ErrClosed", err)
		}
	})
}

// An ailing transport fails, from some point on, in its own words.
type ailing struct {
	net.Conn
	words atomic.Pointer[error]
}

func (a *ailing) Read(p []byte) (int, error) {
	if err := a.words.Load(); err != nil {
		return 0, *err
	}
	return a.Conn.Read(p)
}

func (a *ailing) Write(p []byte) (int, error) {
	if err := a.words.Load(); err != nil {
		return 0, *err
	}
	return a.Conn.Write(p)
}

// TestTransportsWords has transports fail with wrapped errors: an end of the stream is
// a cut however it is said, a dead TCP is no deadline that passed, and a deadline
// however it is said can be got over.
func TestTransportsWords(t *testing.T) {
	t.Parallel()
	dead := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}
	if !dead.Timeout() {
		t.Fatal("ETIMEDOUT is no timeout: the test shows nothing")
	}
	for name, test := range map[string]struct {
		err, want error
		again     bool // the connection lives on
	}{
		"io.EOF":               {io.EOF, mayfly.ErrTruncated, false},
		"a wrapped io.EOF":     {fmt.Errorf("proxy: %w", io.EOF), mayfly.ErrTruncated, false},
		"a dead TCP":           {dead, syscall.ETIMEDOUT, false},
		"a deadline":           {os.ErrDeadlineExceeded, os.ErrDeadlineExceeded, true},
		"a deadline, wrapped":  {fmt.Errorf("proxy: %w", os.ErrDeadlineExceeded), os.ErrDeadlineExceeded, true},
		"a failure of its own": {syscall.EHOSTUNREACH, syscall.EHOSTUNREACH, false},
	} {
		t.Run(name, func(t *testing.T) {
			var inner *ailing
			c, s := overPipe(t, func(c net.Conn) net.Conn { inner = &ailing{Conn: c}; return inner })
			inner.words.Store(&test.err)
			n, err := c.Read(make([]byte, 1))
			if n != 0 || err == io.EOF || !errors.Is(err, test.want) {
				t.Fatalf("Read = %d, %v", n, err)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) != test.again {
				t.Errorf("%v is a deadline's error: %t", err, !test.again)
			}
			inner.words.Store(nil)
			go func() { _, _ = s.Write([]byte("x")) }()
			if _, again := c.Read(make([]byte, 1)); (again == nil) != test.again || again != nil && again != err {
				t.Errorf("Read again: %v, after %v", again, err)
			}
			_ = inner.Close()

			// In the handshake.
			cc, _ := mayflytest.Configs(t)
			a, b := net.Pipe()
			defer b.Close()
			young := &ailing{Conn: a}
			young.words.Store(&test.err)
			c = mayfly.Client(young, cc)
			err = c.Handshake()
			if err == nil || err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) != test.again {
				t.Errorf("Handshake: %v", err)
			}
			if test.again {
				return
			}
			young.words.Store(nil)
			if again := c.Handshake(); again != err {
				t.Errorf("Handshake again: %v, after %v", again, err)
			}
		})
	}
}
