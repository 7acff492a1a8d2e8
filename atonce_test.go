// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// An end is one side of a connection on which everything is called at once.
type end struct {
	conn          *mayfly.Conn
	sent, arrived atomic.Int64  // bytes
	half          chan struct{} // closed when half of what is to be sent was
}

const (
	atOnceRounds = 40
	atOnceSize   = 3000 // bytes in a Write
)

// wrote counts what a call has sent, and waits for no other.
func (e *end) wrote(n int64) {
	const half = atOnceRounds * atOnceSize / 2
	if total := e.sent.Add(n); total >= half && total-n < half {
		close(e.half)
	}
}

// calls are all methods of a Conn but those that end it: each is called in a loop, by
// its own goroutine, until it returns false or has had its rounds.
var calls = map[string]func(ctx context.Context, e *end) bool{
	"Read": func(_ context.Context, e *end) bool {
		n, err := e.conn.Read(make([]byte, 1000))
		e.arrived.Add(int64(n))
		return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
	},
	"WriteTo": func(_ context.Context, e *end) bool {
		n, err := e.conn.WriteTo(io.Discard)
		e.arrived.Add(n)
		return errors.Is(err, os.ErrDeadlineExceeded)
	},
	"Write": func(_ context.Context, e *end) bool {
		n, err := e.conn.Write(make([]byte, atOnceSize))
		e.wrote(int64(n))
		return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
	},
	"WriteEarly": func(_ context.Context, e *end) bool {
		n, err := e.conn.WriteEarly(make([]byte, 10))
		e.wrote(int64(n))
		return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
	},
	"ReadFrom": func(_ context.Context, e *end) bool {
		n, err := e.conn.ReadFrom(strings.NewReader(strings.Repeat("x", atOnceSize)))
		e.wrote(n)
		return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
	},
	"ReadEarly": func(_ context.Context, e *end) bool { _, _ = e.conn.ReadEarly(make([]byte, 10)); return true },
	"Flush":     func(_ context.Context, e *end) bool { _ = e.conn.Flush(); return true },
	"Handshake": func(_ context.Context, e *end) bool { _ = e.conn.Handshake(); return true },
	"HandshakeContext": func(ctx context.Context, e *end) bool {
		_ = e.conn.HandshakeContext(ctx)
		return true
	},
	"HandshakeEarly": func(ctx context.Context, e *end) bool {
		_, _ = e.conn.HandshakeEarly(ctx, nil)
		return true
	},
	"Confirm": func(ctx context.Context, e *end) bool { _ = e.conn.Confirm(ctx); return true },
	"Rekey": func(ctx context.Context, e *end) bool {
		if e.conn.Rekey(ctx) == nil {
			n, _ := e.conn.Write([]byte{1}) // a peer takes only so many without data
			e.wrote(int64(n))
		}
		return true
	},
	"WaitPeer": func(ctx context.Context, e *end) bool {
		ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		_ = e.conn.WaitPeer(ctx)
		return true
	},
	"SetDeadline":      func(_ context.Context, e *end) bool { _ = e.conn.SetDeadline(time.Time{}); return true },
	"SetReadDeadline":  func(_ context.Context, e *end) bool { return pinch(e.conn.SetReadDeadline) },
	"SetWriteDeadline": func(_ context.Context, e *end) bool { return pinch(e.conn.SetWriteDeadline) },
	"ExportKeyingMaterial": func(_ context.Context, e *end) bool {
		_, _ = e.conn.ExportKeyingMaterial("EXPERIMENTAL x", nil, 8)
		return true
	},
	"ExportEarlyKeyingMaterial": func(_ context.Context, e *end) bool {
		_, _ = e.conn.ExportEarlyKeyingMaterial("EXPERIMENTAL x", nil, 8)
		return true
	},
	"ConnectionState": func(_ context.Context, e *end) bool { _ = e.conn.ConnectionState(); return true },
	"CheckPeer": func(ctx context.Context, e *end) bool {
		_ = e.conn.CheckPeer(ctx, &mayfly.Config{Peers: mayfly.NewPinSet(mayfly.Pin{})})
		return true
	},
	"EarlyDataAccepted": func(_ context.Context, e *end) bool { _ = e.conn.EarlyDataAccepted(); return true },
	"EarlyDataReason":   func(_ context.Context, e *end) bool { _ = e.conn.EarlyDataReason(); return true },
	"TicketAgeSkew":     func(_ context.Context, e *end) bool { _ = e.conn.TicketAgeSkew(); return true },
	"LocalAddr":         func(_ context.Context, e *end) bool { _ = e.conn.LocalAddr(); return true },
	"RemoteAddr":        func(_ context.Context, e *end) bool { _ = e.conn.RemoteAddr(); return true },
	"NetConn":           func(_ context.Context, e *end) bool { _ = e.conn.NetConn(); return true },
	"Peer":              func(_ context.Context, e *end) bool { _ = e.conn.Peer(); return true },
	"Stats":             func(_ context.Context, e *end) bool { _ = e.conn.Stats(); return true },
}

// pinch lets a deadline pass, and lifts it.
func pinch(set func(time.Time) error) bool {
	_ = set(time.Unix(1, 0))
	_ = set(time.Time{})
	return true
}

// enders are the methods that end a connection, with what Write returns afterwards.
var enders = map[string]struct {
	call func(ctx context.Context, c *mayfly.Conn)
	then error // nil for an *AlertError
}{
	"Close":      {func(_ context.Context, c *mayfly.Conn) { _ = c.Close() }, net.ErrClosed},
	"CloseWrite": {func(_ context.Context, c *mayfly.Conn) { closeWrite(c) }, mayfly.ErrWriteClosed},
	"Abort":      {func(_ context.Context, c *mayfly.Conn) { _ = c.Abort(49) }, nil},
	"Detach":     {detach, mayfly.ErrDetached},
}

func closeWrite(c *mayfly.Conn) {
	for errors.Is(c.CloseWrite(), os.ErrDeadlineExceeded) {
	}
}

// detach hands a connection on, to nobody.
func detach(ctx context.Context, c *mayfly.Conn) {
	r, err := mayfly.NewReceiver()
	if err != nil {
		panic(err)
	}
	for {
		_, raw, err := c.Detach(ctx, r.Offer())
		if err == nil {
			_ = raw.Close()
			return
		}
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
	}
}

// TestEverythingAtOnce calls every method of both ends of a connection at the same time,
// from before the handshake to after the end, which each method that ends a connection
// brings about in turn. Nothing hangs; no byte arrives that was not sent; and where both
// sides end by CloseWrite, every byte arrives, whatever deadlines passed meanwhile.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	conn := reflect.TypeFor[*mayfly.Conn]()
	for i := range conn.NumMethod() {
		name := conn.Method(i).Name
		if _, ends := enders[name]; !ends && calls[name] == nil {
			t.Errorf("%s is not called", name)
		}
	}
	for name, ender := range enders {
		for _, byServer := range []bool{false, true} {
			t.Run(name+map[bool]string{false: ", client", true: ", server"}[byServer], func(t *testing.T) {
				t.Parallel()
				cc, sc := mayflytest.Configs(t)
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				c, s := youngPair(t, ln, cc, sc)
				ends := []*end{{conn: c, half: make(chan struct{})}, {conn: s, half: make(chan struct{})}}
				if byServer {
					slices.Reverse(ends)
				}
				ctx := t.Context()
				var all sync.WaitGroup
				for _, e := range ends {
					var writers sync.WaitGroup
					for method, call := range calls {
						reads := method == "Read" || method == "WriteTo"
						wait := &writers
						if reads {
							wait = &all
						}
						for range 2 {
							wait.Go(func() {
								for i := 0; (reads || i < atOnceRounds) && call(ctx, e); i++ {
								}
							})
						}
					}
					written := make(chan struct{})
					all.Go(func() {
						writers.Wait()
						if name == "CloseWrite" {
							closeWrite(e.conn)
						}
						close(written)
					})
					if name != "CloseWrite" && e == ends[0] {
						all.Go(func() {
							select {
							case <-e.half: // among all the others
							case <-written:
								t.Error("not even half was sent")
							}
							ender.call(ctx, e.conn)
						})
					}
				}
				all.Wait()
				for i, e := range ends {
					sent, arrived := ends[1-i].sent.Load(), e.arrived.Load()
					if arrived > sent || name == "CloseWrite" && arrived != sent {
						t.Errorf("%d bytes were sent, and %d arrived", sent, arrived)
					}
					if least := int64(2 * atOnceRounds * atOnceSize); name == "CloseWrite" && sent < least {
						t.Errorf("only %d bytes were sent, of at least %d", sent, least)
					}
				}
				_, err = ends[0].conn.Write([]byte("x"))
				if _, ok := errors.AsType[*mayfly.AlertError](err); ender.then == nil && !ok || !errors.Is(err, ender.then) && ender.then != nil {
					t.Errorf("Write after %s: %v", name, err)
				}
				for _, call := range calls { // with nobody there
					ctx, cancel := context.WithCancel(ctx)
					cancel()
					call(ctx, ends[0])
				}
			})
		}
	}
}
