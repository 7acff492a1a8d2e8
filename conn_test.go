// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/testnet"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestNetConn holds a pair against the contract of net.Conn, over TCP and over
// net.Pipe.
func TestNetConn(t *testing.T) {
	t.Run("TCP", func(t *testing.T) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			a, b := mayflytest.Pair(t)
			return a, b, func() { _ = a.NetConn().Close(); _ = b.NetConn().Close(); _ = a.Close(); _ = b.Close() }, nil
		})
	})
	t.Run("Pipe", func(t *testing.T) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			a, b := pipePair(t)
			return a, b, func() { _ = a.NetConn().Close(); _ = b.NetConn().Close(); _ = a.Close(); _ = b.Close() }, nil
		})
	})
}

// pipePair is mayflytest.Pair over net.Pipe, which buffers nothing.
func pipePair(t testing.TB) (client, server *mayfly.Conn) {
	t.Helper()
	cc, sc := mayflytest.Configs(t)
	a, b := net.Pipe()
	client, server = mayfly.Client(a, cc), mayfly.Server(b, sc)
	t.Cleanup(func() { _ = a.Close(); _ = b.Close(); _ = client.Close(); _ = server.Close() })
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestBulkBothWays(t *testing.T) {
	for _, pair := range []func(testing.TB) (c, s *mayfly.Conn){
		func(t testing.TB) (c, s *mayfly.Conn) { return mayflytest.Pair(t) }, pipePair} {
		a, b := pair(t)
		data := make([]byte, 3<<20+17)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
		want := sha256.Sum256(data)
		var wg sync.WaitGroup
		for _, c := range []*mayfly.Conn{a, b} {
			wg.Go(func() {
				if _, err := c.Write(data); err != nil {
					t.Error(err)
				}
				if err := c.CloseWrite(); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				h := sha256.New()
				if _, err := io.Copy(h, c); err != nil {
					t.Error(err)
				}
				if !bytes.Equal(h.Sum(nil), want[:]) {
					t.Error("what arrived is not what was sent")
				}
			})
		}
		wg.Wait()
	}
}

// TestHalfClose shows that a close_notify ends one direction alone.
func TestHalfClose(t *testing.T) {
	c, s := mayflytest.Pair(t)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("late")); !errors.Is(err, mayfly.ErrWriteClosed) {
		t.Fatalf("Write after CloseWrite: %v", err)
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("Read = %d, %v, want io.EOF", n, err)
	}
	if _, err := s.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil || string(b) != "still here" {
		t.Fatalf("ReadAll = %q, %v", b, err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatalf("a second CloseWrite: %v", err)
	}
}

// TestWriteContinued cuts Writes by deadlines and goes on with p[n:], against a
// reader that comes late: every byte arrives once.
func TestWriteContinued(t *testing.T) {
	c, s := mayflytest.Pair(t)
	data := make([]byte, 16<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(data)
	timedOut := 0
	sum := make(chan [32]byte, 1)
	read := func() {
		h := sha256.New()
		if _, err := io.Copy(h, s); err != nil {
			t.Error(err)
		}
		sum <- [32]byte(h.Sum(nil))
	}
	for rest := data; len(rest) > 0; {
		_ = c.SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
		n, err := c.Write(rest)
		rest = rest[n:]
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if timedOut++; timedOut == 3 {
				go read()
			}
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if timedOut == 0 {
		t.Fatal("no Write timed out: the test shows nothing")
	}
	_ = c.SetWriteDeadline(time.Time{})
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if <-sum != sha256.Sum256(data) {
		t.Fatal("what arrived is not what was sent")
	}
}

// TestWriteExpired shows that nothing is sealed under a deadline that has passed.
func TestWriteExpired(t *testing.T) {
	c, s := mayflytest.Pair(t)
	_ = c.SetWriteDeadline(time.Unix(1, 0))
	if n, err := c.Write([]byte("lost?")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Write = %d, %v", n, err)
	}
	_ = c.SetWriteDeadline(time.Time{})
	if _, err := c.Write([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if b, err := io.ReadAll(s); err != nil || string(b) != "kept" {
		t.Fatalf("ReadAll = %q, %v", b, err)
	}
}

// TestReadTimeoutMidRecord delivers a record a byte at a time across many
// timed-out Reads.
func TestReadTimeoutMidRecord(t *testing.T) {
	cc, sc := mayflytest.Configs(t)
	a, b := net.Pipe()
	gate := &gatedConn{Conn: a}
	c, s := mayfly.Client(gate, cc), mayfly.Server(b, sc)
	defer c.Close()
	defer s.Close()
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	gate.trickle.Store(true)
	go func() { _, _ = s.Write([]byte("in pieces")) }()
	timeouts := 0
	var got []byte
	buf := make([]byte, 64)
	for len(got) < len("in pieces") {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			timeouts++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if string(got) != "in pieces" || timeouts < 10 {
		t.Fatalf("got %q after %d timeouts", got, timeouts)
	}
}

// TestCloseUnblocks shows that Close ends a Read and a Write that are blocked,
// and returns, while the peer reads nothing.
func TestCloseUnblocks(t *testing.T) {
	c, _ := mayflytest.Pair(t)
	errs := make(chan error, 2)
	started := make(chan struct{}, 2)
	go func() {
		started <- struct{}{}
		_, err := c.Read(make([]byte, 1))
		errs <- err
	}()
	go func() {
		started <- struct{}{}
		buf := make([]byte, 1<<20)
		for {
			if _, err := c.Write(buf); err != nil {
				errs <- err
				return
			}
		}
	}()
	<-started
	<-started
	_ = c.Close()
	for range 2 {
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", err)
		}
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second Close: %v", err)
	}
	if _, err := c.ExportKeyingMaterial("x", nil, 1); err == nil {
		t.Error("the exporter outlived Close")
	}
}

// TestConfirm shows a client without a key what the server thinks of it, each time.
func TestConfirm(t *testing.T) {
	_, sc := mayflytest.Configs(t)
	sc.Trace = new(mayfly.Trace)
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			t.Errorf("accepted %v", c)
		}
	}()
	d := &mayfly.Dialer{Confirm: true, Config: &mayfly.Config{Peers: mayfly.Pins(sc.Identity.Pin())}}
	for range 100 {
		_, err := d.DialConn(t.Context(), "tcp", ln.Addr().String())
		var refused *mayfly.AlertError
		if !errors.As(err, &refused) || !refused.Remote || refused.Code.String() != "certificate_required" {
			t.Fatalf("got %v, want the peer's certificate_required", err)
		}
	}
}

// TestConnConfirm has a client that was given its transport wait for the verdict; what
// the server said with it is there to be read.
func TestConnConfirm(t *testing.T) {
	cc, sc := mayflytest.Configs(t)
	a, b := testnet.Pipe(testnet.Path{}, testnet.Path{})
	c, s := mayfly.Client(a, cc), mayfly.Server(b, sc)
	defer c.Close()
	defer s.Close()
	served := make(chan error, 1)
	go func() {
		err := s.Confirm(t.Context())
		if err == nil {
			_, err = s.Write([]byte("hello"))
		}
		served <- err
	}()
	if err := c.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if err := c.Confirm(t.Context()); err != nil {
		t.Error("when all is known:", err)
	}

	other, _ := mayflytest.Configs(t)
	cc.Identity = other.Identity
	a, b = testnet.Pipe(testnet.Path{}, testnet.Path{})
	c, s = mayfly.Client(a, cc), mayfly.Server(b, sc)
	defer c.Close()
	defer s.Close()
	go func() { served <- s.Handshake() }()
	err := c.Confirm(t.Context())
	if refused, ok := errors.AsType[*mayfly.AlertError](err); !ok || !refused.Remote || refused.Code.String() != "access_denied" {
		t.Errorf("got %v, want the peer's access_denied", err)
	}
	if err := <-served; !errors.Is(err, mayfly.ErrPeerRefused) {
		t.Error(err)
	}
}

// TestWrongPin shows both refusals of a key that is not on the list.
func TestWrongPin(t *testing.T) {
	cc, sc := mayflytest.Configs(t)
	other, _ := mayflytest.Configs(t)
	stranger := *cc
	stranger.Identity = other.Identity
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	c, s := mayfly.Client(a, &stranger), mayfly.Server(b, sc)
	go func() { _ = c.Handshake(); _, _ = c.Read(make([]byte, 1)) }()
	err := s.Handshake()
	var refused *mayfly.AlertError
	if !errors.Is(err, mayfly.ErrPeerRefused) || !errors.As(err, &refused) || refused.Remote {
		t.Fatalf("server: %v", err)
	}
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("a refused peer can be written to")
	}
}

// TestHandshakeTimeout shows the bound on a silent peer, and that the caller's
// deadlines are put back.
func TestHandshakeTimeout(t *testing.T) {
	cc, _ := mayflytest.Configs(t)
	cc.HandshakeTimeout = 20 * time.Millisecond
	a, b := net.Pipe()
	defer b.Close()
	go func() { _, _ = io.Copy(io.Discard, b) }()
	c := mayfly.Client(a, cc)
	defer c.Close()
	if err := c.Handshake(); !errors.Is(err, mayfly.ErrHandshakeTimeout) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, mayfly.ErrHandshakeTimeout) {
		t.Fatalf("afterwards: %v", err)
	}
}

// TestHandshakeContinued runs into the caller's deadline in mid-handshake, and
// goes on.
func TestHandshakeContinued(t *testing.T) {
	cc, sc := mayflytest.Configs(t)
	a, b := net.Pipe()
	c, s := mayfly.Client(a, cc), mayfly.Server(b, sc)
	defer c.Close()
	defer s.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Millisecond))
	first := make(chan error, 1)
	go func() { first <- c.Handshake() }()
	hold := make(chan error, 1)
	go func() {
		err := <-first // the server comes when the client has given up once
		hold <- err
		first <- s.Handshake()
	}()
	if err := <-hold; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	_ = c.SetDeadline(time.Time{})
	if err := errors.Join(c.Handshake(), <-first); err != nil {
		t.Fatal(err)
	}
}

// TestHandshakeCanceled shows that a context's end is the handshake's.
func TestHandshakeCanceled(t *testing.T) {
	cc, _ := mayflytest.Configs(t)
	a, b := net.Pipe()
	defer b.Close()
	c := mayfly.Client(a, cc)
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = io.ReadFull(b, make([]byte, 5))
		cancel()
	}()
	if err := c.HandshakeContext(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

// TestRekey changes keys by hand and by policy, in both directions, under load.
func TestRekey(t *testing.T) {
	cc, sc := mayflytest.Configs(t)
	cc.Rekey = mayfly.RekeyPolicy{Records: 10, MinInterval: -1}
	sc.Rekey = mayfly.RekeyPolicy{Bytes: 50_000, MinInterval: -1}
	c, s := mayflytest.PairConfig(t, cc, sc)
	data := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(data)
	var wg sync.WaitGroup
	for _, p := range [][2]*mayfly.Conn{{c, s}, {s, c}} {
		wg.Go(func() {
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 1000)
				if _, err := p[0].Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
			if err := p[0].Rekey(t.Context()); err != nil {
				t.Error(err)
			}
			_ = p[0].CloseWrite()
		})
		wg.Go(func() {
			got, err := io.ReadAll(p[1])
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("ReadAll: %v, %d bytes", err, len(got))
			}
		})
	}
	wg.Wait()
	for _, c := range []*mayfly.Conn{c, s} {
		if st := c.Stats(); st.KeysSent < 30 || st.KeysReceived < 30 || st.BytesReceived != uint64(len(data)) {
			t.Errorf("stats: %+v", st)
		}
	}
}

// TestRekeyWaitPeer shows that a peer answers a request with its own next keys.
func TestRekeyWaitPeer(t *testing.T) {
	c, s := mayflytest.Pair(t)
	go func() { // an echo: the answer goes before its next record
		buf := make([]byte, 64)
		for {
			n, err := s.Read(buf)
			if err != nil {
				return
			}
			if _, err := s.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	for generation := uint64(1); generation <= 5; generation++ {
		if err := c.Rekey(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitPeer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := c.Stats(); st.KeysSent != generation || st.KeysReceived != generation {
			t.Fatalf("stats: %+v, want generation %d", st, generation)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.Rekey(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.WaitPeer(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("WaitPeer: %v", err)
	}
}

func TestMaxLifetime(t *testing.T) {
	cc, sc := mayflytest.Configs(t)
	cc.MaxLifetime = 50 * time.Millisecond
	c, s := mayflytest.PairConfig(t, cc, sc)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, mayfly.ErrLifetime) {
		t.Fatalf("Read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, mayfly.ErrLifetime) {
		t.Fatalf("Write: %v", err)
	}
	var e *mayfly.AlertError
	if _, err := s.Read(make([]byte, 1)); !errors.As(err, &e) || !e.Remote {
		t.Fatalf("the peer's Read: %v", err)
	}
}

func TestExporterAgrees(t *testing.T) {
	c, s := mayflytest.Pair(t)
	x, err1 := c.ExportKeyingMaterial("EXPERIMENTAL mayfly", []byte("ctx"), 40)
	y, err2 := s.ExportKeyingMaterial("EXPERIMENTAL mayfly", []byte("ctx"), 40)
	z, err3 := s.ExportKeyingMaterial("EXPERIMENTAL mayfly", nil, 40)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) || bytes.Equal(y, z) || len(x) != 40 {
		t.Fatalf("%x %x %x", x, y, z)
	}
}
