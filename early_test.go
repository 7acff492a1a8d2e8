// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// newEarlyRig is a rig whose server takes early data.
func newEarlyRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.server.MaxEarlyData = 1000
	r.server.Replay = mayfly.NewReplayGuard(0)
	r.clock.advance(time.Second) // what was issued from now on is younger than the guard
	return r
}

// An earlyResult is what came of a handshake with early data.
type earlyResult struct {
	client, server *mayfly.Conn
	accepted       bool
	read           []byte // by the server, with ReadEarly
	clientErr      error
	serverErr      error
}

// sendEarly has the client send early data, and the server read it.
func (r *rig) sendEarly(t *testing.T, early string) (res earlyResult) {
	t.Helper()
	a, b := tcpPair(t)
	return r.sendEarlyOver(t, a, b, early)
}

func (r *rig) sendEarlyOver(t *testing.T, a, b net.Conn, early string) (res earlyResult) {
	t.Helper()
	res.client, res.server = mayfly.Client(a, r.client), mayfly.Server(b, r.server)
	t.Cleanup(func() { _ = res.client.Close(); _ = res.server.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res.read, res.serverErr = readEarly(res.server); res.serverErr == nil {
			res.serverErr = res.server.Handshake()
		}
	}()
	res.accepted, res.clientErr = res.client.HandshakeEarly(t.Context(), []byte(early))
	<-done
	return res
}

// readEarly reads all early data.
func readEarly(c *mayfly.Conn) (all []byte, err error) {
	p := make([]byte, 7)
	for {
		n, err := c.ReadEarly(p)
		if all = append(all, p[:n]...); err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
	}
}

func (res earlyResult) must(t *testing.T, accepted bool, early string) {
	t.Helper()
	if err := errors.Join(res.clientErr, res.serverErr); err != nil {
		t.Fatal(err)
	}
	if !accepted {
		early = ""
	}
	if res.accepted != accepted || string(res.read) != early || res.client.EarlyDataAccepted() != accepted || res.server.EarlyDataAccepted() != accepted {
		t.Fatalf("accepted %v, read %q; want %v", res.accepted, res.read, accepted)
	}
	exchangeOnce(t, res.client, res.server)
}

func TestEarlyData(t *testing.T) {
	t.Parallel()
	r := newEarlyRig(t)
	r.sendEarly(t, "there is no session yet").must(t, false, "")
	for _, early := range []string{"hello", strings.Repeat("x", 1000), ""} {
		res := r.sendEarly(t, early)
		res.must(t, early != "", early)
		mustBe(t, true, res.client, res.server)
		a, errA := res.client.ExportEarlyKeyingMaterial("x", nil, 32)
		b, errB := res.server.ExportEarlyKeyingMaterial("x", nil, 32)
		if accepted := early != ""; (errA == nil) != accepted || (errB == nil) != accepted || !bytes.Equal(a, b) {
			t.Errorf("exported early: %x, %v and %x, %v", a, errA, b, errB)
		}
	}
	r.sendEarly(t, strings.Repeat("x", 1001)).must(t, false, "") // all or nothing
}

// TestEarlyDataDeclined changes one thing: what was sent is not read, and the
// handshake goes on.
func TestEarlyDataDeclined(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rig){
		"no guard, shared keys":          func(r *rig) { r.server.Replay = nil },
		"the guard refuses":              func(r *rig) { r.server.Replay = guardFunc(func() (bool, error) { return false, nil }) },
		"the guard fails":                func(r *rig) { r.server.Replay = guardFunc(func() (bool, error) { return true, errors.New("gone") }) },
		"an older ticket than the guard": func(r *rig) {},
		"none is taken any more":         func(r *rig) { r.server.MaxEarlyData = 0 },
		"other ticket keys":              func(r *rig) { r.keys.Set(mayfly.GenerateSealingKey()) },
		"another protocol":               func(r *rig) { r.server.NextProtos, r.client.NextProtos = []string{"a"}, []string{"a"} },
		"the peer is refused resumed": func(r *rig) {
			r.server.Peers = mayfly.AllOf(r.server.Peers, mayfly.Verify(func(_ context.Context, p mayfly.Peer) error {
				if p.Resumed {
					return errors.New("no")
				}
				return nil
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newEarlyRig(t)
			if strings.HasPrefix(name, "an older ticket") {
				r.clock.advance(-time.Minute)
			}
			r.connect(t)
			change(r)
			r.sendEarly(t, "hello").must(t, false, "")
		})
	}
}

type guardFunc func() (bool, error)

func (f guardFunc) Admit(context.Context, mayfly.EarlyUse) (bool, error) { return f() }

// TestEarlyDataOnce sends the first flight of a client again, byte by byte: nothing of
// it is read a second time, by the same server or another that shares the guard.
func TestEarlyDataOnce(t *testing.T) {
	t.Parallel()
	r := newEarlyRig(t)
	r.connect(t)
	a, b := tcpPair(t)
	recorder := &recording{Conn: a}
	r.sendEarlyOver(t, recorder, b, "pay 5 to Bob").must(t, true, "pay 5 to Bob")
	for range 3 {
		a, b := tcpPair(t)
		server := mayfly.Server(b, r.server)
		t.Cleanup(func() { _ = server.Close() })
		go func() {
			_, _ = a.Write(recorder.first)
			_ = a.(*net.TCPConn).CloseWrite()
		}()
		if read, err := readEarly(server); len(read) != 0 {
			t.Fatalf("a replay was read: %q, %v", read, err)
		}
		if err := server.Handshake(); err == nil || server.EarlyDataAccepted() {
			t.Fatalf("a replay became a connection: %v", err)
		}
	}
}

// A recording keeps what was written first.
type recording struct {
	net.Conn
	first []byte
}

func (r *recording) Write(p []byte) (int, error) {
	if r.first == nil {
		r.first = bytes.Clone(p)
	}
	return r.Conn.Write(p)
}

// TestEarlyDataFreshness: a first flight that was held back is no early data.
func TestEarlyDataFreshness(t *testing.T) {
	t.Parallel()
	for delay, accepted := range map[time.Duration]bool{0: true, 9 * time.Second: true, 11 * time.Second: false, -11 * time.Second: false} {
		r := newEarlyRig(t)
		r.connect(t)
		r.server.Time = func() time.Time { return r.clock.now().Add(delay) }
		r.sendEarly(t, "hello").must(t, accepted, "hello")
	}
}

// TestEarlyDataUnread: who does not ask for early data gets none, and Read never
// returns it.
func TestEarlyDataUnread(t *testing.T) {
	t.Parallel()
	r := newEarlyRig(t)
	r.connect(t)
	a, b := tcpPair(t)
	client, server := mayfly.Client(a, r.client), mayfly.Server(b, r.server)
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	accepted, err := client.HandshakeEarly(t.Context(), []byte("early"))
	if err := errors.Join(err, <-done); err != nil || accepted {
		t.Fatalf("accepted %v, %v", accepted, err)
	}
	if _, err := client.Write([]byte("later")); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 100)
	if n, err := server.Read(p); err != nil || string(p[:n]) != "later" {
		t.Fatalf("Read: %q, %v", p[:n], err)
	}
	if n, err := server.ReadEarly(p); n != 0 || err != io.EOF {
		t.Fatalf("ReadEarly: %d, %v", n, err)
	}
}

// TestAcceptEarly answers before the handshake is done.
func TestAcceptEarly(t *testing.T) {
	t.Parallel()
	r := newEarlyRig(t)
	r.server.TicketKeys, r.server.Replay, r.server.Time, r.client.Time = nil, nil, nil, nil
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", r.server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	answered := make(chan error, 2)
	go func() {
		for range 2 {
			c, err := ln.AcceptEarly()
			if err != nil {
				answered <- err
				return
			}
			early, err := readFirst(c)
			if err == nil && early != nil && c.Peer().Pin != r.client.Identity.Pin() {
				err = errors.New("who sent it is not known")
			}
			if err == nil && early != nil {
				_, err = c.WriteEarly(append([]byte("re: "), early...))
			}
			if err == nil {
				_, err = c.Write([]byte("."))
			}
			answered <- errors.Join(err, c.CloseWrite())
		}
	}()
	for n := range 2 {
		client, accepted, err := (&mayfly.Dialer{Config: r.client}).DialEarly(t.Context(), "tcp", ln.Addr().String(), []byte("hello"))
		if err != nil || accepted != (n == 1) {
			t.Fatalf("accepted %v, %v", accepted, err)
		}
		want := "."
		if accepted {
			want = "re: hello."
		}
		got, err := io.ReadAll(client)
		if err := errors.Join(err, <-answered); err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
		_ = client.Close()
	}
}

// readFirst returns the first early data, nil if there is none.
func readFirst(c *mayfly.Conn) ([]byte, error) {
	p := make([]byte, 100)
	n, err := c.ReadEarly(p)
	if err == io.EOF {
		return nil, nil
	}
	return p[:n], err
}

func TestEarlyDataMisuse(t *testing.T) {
	t.Parallel()
	r := newEarlyRig(t)
	client, server := r.connect(t)
	if _, err := client.HandshakeEarly(t.Context(), []byte("x")); err == nil || !strings.Contains(err.Error(), "has begun") {
		t.Errorf("HandshakeEarly after the handshake: %v", err)
	}
	if _, err := server.HandshakeEarly(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "by clients") {
		t.Errorf("HandshakeEarly on a server: %v", err)
	}
	if _, err := client.ReadEarly(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "by servers") {
		t.Errorf("ReadEarly on a client: %v", err)
	}
	a, b := tcpPair(t)
	if _, err := mayfly.Server(b, r.server).WriteEarly([]byte("x")); err == nil || !strings.Contains(err.Error(), "only a server that was sent early data") {
		t.Errorf("WriteEarly before the client has come: %v", err)
	}
	_ = a.Close()
}

// clogged is a transport whose Write runs into a deadline while it is shut.
type clogged struct {
	net.Conn
	shut atomic.Bool
}

func (c *clogged) Write(p []byte) (int, error) {
	if c.shut.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Write(p)
}

// TestWriteEarlyContinued shows that WriteEarly, like Write, seals no more than one chunk
// for a client that does not read, however often it is called, and loses nothing of it.
func TestWriteEarlyContinued(t *testing.T) {
	r := newEarlyRig(t)
	r.sendEarly(t, "there is no session yet").must(t, false, "")
	a, b := tcpPair(t)
	transport := &clogged{Conn: b}
	client, server := mayfly.Client(a, r.client), mayfly.Server(transport, r.server)
	defer client.Close()
	defer server.Close()
	data := noise(1 << 20)
	done := make(chan error, 1)
	go func() {
		_, err := client.HandshakeEarly(t.Context(), []byte("early"))
		got, readErr := io.ReadAll(client)
		if !bytes.Equal(got, data) {
			t.Errorf("%d bytes came of %d, or others", len(got), len(data))
		}
		done <- errors.Join(err, readErr)
	}()
	if early, err := readFirst(server); err != nil || string(early) != "early" {
		t.Fatalf("%q, %v", early, err)
	}
	transport.shut.Store(true)
	sealed := 0
	for range 20 {
		n, err := server.WriteEarly(data[sealed:])
		if sealed += n; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	if sealed == 0 || sealed > 128<<10 {
		t.Errorf("%d bytes were sealed for a client that does not read", sealed)
	}
	transport.shut.Store(false)
	n, err := server.WriteEarly(data[sealed:])
	if err = errors.Join(err, server.CloseWrite(), <-done); err != nil || n != len(data)-sealed {
		t.Fatal(n, err)
	}
}
