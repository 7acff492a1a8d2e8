// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// A world is a target, a server in front of it, and a client in front of that.
type world struct {
	target         net.Listener
	server, client *Tunnel
	secure         string                        // where the server listens
	plain          Address                       // where the client does
	serves, dials  atomic.Pointer[mayfly.Config] // of server and client
}

// newWorld makes a world whose ends are dialled and accepted by the test.
func newWorld(t *testing.T, change func(server, client *Config)) *world {
	t.Helper()
	a, b := identity(t), identity(t)
	w := new(world)
	w.serves.Store(&mayfly.Config{Identity: a, Peers: mayfly.NewPinSet(b.Pin())})
	w.dials.Store(&mayfly.Config{Identity: b, Peers: mayfly.NewPinSet(a.Pin())})
	log := newLog(t)
	server, client := Config{Security: w.serves.Load, Log: log}, Config{Security: w.dials.Load, Log: log}
	if change != nil {
		change(&server, &client)
	}
	w.target = listen(t, Address{"tcp", "127.0.0.1:0"})
	secure, plain := listen(t, Address{"tcp", "127.0.0.1:0"}), listen(t, Address{"tcp", "127.0.0.1:0"})
	w.secure, w.plain = secure.Addr().String(), Address{"tcp", plain.Addr().String()}
	var err error
	if w.server, err = NewServer(secure, Address{"tcp", w.target.Addr().String()}, server); err != nil {
		t.Fatal(err)
	}
	if w.client, err = NewClient(plain, Address{"tcp", w.secure}, client); err != nil {
		t.Fatal(err)
	}
	serve(t, w.server)
	serve(t, w.client)
	return w
}

// newLog keeps a log, for tests that fail.
func newLog(t *testing.T) *slog.Logger {
	w := new(logBuffer)
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if t.Failed() {
			t.Log(w.text.String())
		}
	})
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *logBuffer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func identity(t *testing.T) *mayfly.Identity {
	t.Helper()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func listen(t *testing.T, a Address) net.Listener {
	t.Helper()
	ln, err := a.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// serve runs a tunnel until the test ends, and shows that it then ends, too.
func serve(t *testing.T, tunnel *Tunnel) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- tunnel.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		tunnel.Drain(ctx)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func dial(t *testing.T, a Address) net.Conn {
	t.Helper()
	c, err := net.Dial(a.Network, a.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return bound(t, c)
}

func accept(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return bound(t, c)
}

// bound keeps a test that hangs from hanging for long.
func bound(t *testing.T, c net.Conn) net.Conn {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

// expectEnd reads an end, expectCut something that cannot be taken for one.
func expectEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("%d, %v: want the end", n, err)
	}
}

func expectCut(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("%d, %v: want a reset", n, err)
	}
}

// expectTurnedAway shows that a new connection is cut, be it before it was noticed.
func expectTurnedAway(t *testing.T, a Address) {
	t.Helper()
	c, err := net.Dial(a.Network, a.Addr)
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	expectCut(t, bound(t, c))
}

// change gives a new Config to the handshakes to come.
func change(in *atomic.Pointer[mayfly.Config], f func(*mayfly.Config)) {
	c := in.Load().Clone()
	f(c)
	in.Store(c)
}

// eventually waits for a change of a tunnel.
func eventually(t *testing.T, tunnel *Tunnel, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := tunnel.wait(ctx, done); err != nil {
		t.Fatalf("%v: %+v", err, tunnel.Stats())
	}
}

func closeWrite(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(stream).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, first := range []string{"the application", "the target"} {
		t.Run(first, func(t *testing.T) {
			one := dial(t, w.plain)
			other := accept(t, w.target)
			if first == "the target" {
				one, other = other, one
			}
			send(t, one, "question")
			closeWrite(t, one)
			expect(t, other, "question")
			expectEnd(t, other)
			send(t, other, "answer")
			expect(t, one, "answer")
			send(t, other, ", and more")
			closeWrite(t, other)
			expect(t, one, ", and more")
			expectEnd(t, one)
		})
	}
	eventually(t, w.server, func() bool { return len(w.server.pairs) == 0 })
	if s := w.server.Stats(); s.Accepted != 2 || s.Ended != 2 || s.Sent+s.Received != 2*uint64(len("questionanswer, and more")) {
		t.Errorf("%+v", s)
	}
}

// TestTargetIsDialledForAcceptedPeersAlone lets strangers knock, silent ones, ones with a
// wrong key and ones without any: the first that the target sees is the right client.
func TestTargetIsDialledForAcceptedPeersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	dial(t, Address{"tcp", w.secure}) // says nothing
	send(t, dial(t, Address{"tcp", w.secure}), "GET / HTTP/1.0\r\n\r\n")
	for _, id := range []*mayfly.Identity{identity(t), nil} {
		d := mayfly.Dialer{Config: &mayfly.Config{Identity: id, Peers: w.dials.Load().Peers}, Confirm: true}
		c, err := d.DialConn(t.Context(), "tcp", w.secure)
		if err == nil {
			_ = c.Close()
			t.Fatal("a stranger was accepted")
		}
	}
	send(t, dial(t, w.plain), "hello")
	expect(t, accept(t, w.target), "hello")
	eventually(t, w.server, func() bool { return w.server.counts.refused.Load() == 2 })
	if s := w.server.Stats(); s.Accepted != 1 {
		t.Errorf("%+v", s)
	}
}

// TestRefusedClient shows that who is not on the server's list sees a cut.
func TestRefusedClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	change(&w.serves, func(c *mayfly.Config) { c.Peers = mayfly.NewPinSet(identity(t).Pin()) })
	expectTurnedAway(t, w.plain)
	eventually(t, w.client, func() bool { return len(w.client.pairs) == 0 })
	if s := w.client.Stats(); s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTargetAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	_ = w.target.Close()
	expectTurnedAway(t, w.plain)
	if s := w.server.Stats(); s.Unreachable != 1 {
		t.Errorf("%+v", s)
	}
}

func TestServerAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w.server.Drain(gone)
	expectTurnedAway(t, w.plain)
	if s := w.client.Stats(); s.Unreachable != 1 {
		t.Errorf("%+v", s)
	}
}

// TestCutIsNoEnd resets one end: the other must not take what it has for all there was.
func TestCutIsNoEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	app, target := dial(t, w.plain), accept(t, w.target)
	send(t, target, "the first half")
	expect(t, app, "the first half")
	reset(target)
	expectCut(t, app)

	app, target = dial(t, w.plain), accept(t, w.target)
	send(t, app, "the first half")
	expect(t, target, "the first half")
	reset(app)
	expectCut(t, target)
}

func TestIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(server, _ *Config) { server.Idle = 50 * time.Millisecond })
	app, target := dial(t, w.plain), accept(t, w.target)
	expectCut(t, app)
	expectCut(t, target)
	eventually(t, w.server, func() bool { return len(w.server.pairs) == 0 })
	if s := w.server.Stats(); s.Idle != 1 || s.Cut != 1 {
		t.Errorf("%+v", s)
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	change(&w.serves, func(c *mayfly.Config) { c.MaxLifetime = 50 * time.Millisecond })
	app, target := dial(t, w.plain), accept(t, w.target)
	expectCut(t, app)
	expectCut(t, target)
}

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_, client *Config) { client.MaxConnections = 1 })
	app, target := dial(t, w.plain), accept(t, w.target)
	expectTurnedAway(t, w.plain)
	send(t, app, "still here")
	expect(t, target, "still here")
	closeWrite(t, app)
	closeWrite(t, target)
	expectEnd(t, app)
	eventually(t, w.client, func() bool { return len(w.client.pairs) == 0 })
	send(t, dial(t, w.plain), "there is a place")
	expect(t, accept(t, w.target), "there is a place")
	if s := w.client.Stats(); s.Crowded != 1 || s.Accepted != 2 {
		t.Errorf("%+v", s)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	app, target := dial(t, w.plain), accept(t, w.target)
	eventually(t, w.client, func() bool { return len(w.client.pairs) == 1 })
	var done atomic.Bool
	cut := make(chan int)
	go func() {
		n := w.client.Drain(t.Context())
		if !done.Load() {
			t.Error("Drain has not waited")
		}
		cut <- n
	}()
	eventually(t, w.client, func() bool { return w.client.closing })
	send(t, app, "question")
	expect(t, target, "question")
	send(t, target, "answer")
	expect(t, app, "answer")
	done.Store(true)
	closeWrite(t, app)
	closeWrite(t, target)
	if n := <-cut; n != 0 {
		t.Errorf("%d were cut", n)
	}
	if c, err := net.Dial("tcp", w.plain.Addr); err == nil {
		_ = c.Close()
		t.Error("the tunnel still listens")
	}
}

func TestDrainCuts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	app, target := dial(t, w.plain), accept(t, w.target)
	eventually(t, w.server, func() bool { return len(w.server.pairs) == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n := w.server.Drain(ctx); n != 1 {
		t.Errorf("%d were cut", n)
	}
	expectCut(t, app)
	expectCut(t, target)
}

// TestNewSecurity changes a server's key: the next connection sees the new one, the one
// that is there goes on.
func TestNewSecurity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	app, target := dial(t, w.plain), accept(t, w.target)
	send(t, app, "before")
	expect(t, target, "before")

	id := identity(t)
	change(&w.serves, func(c *mayfly.Config) { c.Identity = id })
	expectTurnedAway(t, w.plain) // the client does not know it yet
	change(&w.dials, func(c *mayfly.Config) { c.Peers = mayfly.NewPinSet(id.Pin()) })
	send(t, dial(t, w.plain), "after")
	expect(t, accept(t, w.target), "after")
	send(t, target, "still")
	expect(t, app, "still")
}

func TestUnixSockets(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no Unix sockets here")
	}
	dir := t.TempDir()
	w := newWorld(t, nil)
	target := Address{"unix", filepath.Join(dir, "target")}
	plain := Address{"unix", filepath.Join(dir, "plain")}
	ln := listen(t, target)
	secure := listen(t, Address{"tcp", "127.0.0.1:0"})
	server, err := NewServer(secure, target, Config{Security: w.serves.Load})
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(listen(t, plain), Address{"tcp", secure.Addr().String()}, Config{Security: w.dials.Load})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, server)
	serve(t, client)
	app := dial(t, plain)
	send(t, app, "question")
	closeWrite(t, app)
	other := accept(t, ln)
	expect(t, other, "question")
	expectEnd(t, other)
	send(t, other, "answer")
	closeWrite(t, other)
	expect(t, app, "answer")
	expectEnd(t, app)
}

// failingListener fails to accept as a process does that is out of descriptors.
type failingListener struct {
	net.Listener
	left int
}

func (f *failingListener) Accept() (net.Conn, error) {
	if f.left--; f.left < 0 {
		return nil, net.ErrClosed
	}
	return nil, syscall.EMFILE
}

// TestFailuresToAcceptAreLoggedSeldom fails to accept a few times in a row: the log says so
// once.
func TestFailuresToAcceptAreLoggedSeldom(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f := &plainFront{Listener: &failingListener{left: 5}, log: slog.New(slog.NewTextHandler(&log, nil)), ctx: t.Context()}
	if _, err := f.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "cannot be accepted") {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// TestServerLogsDescriptorLimitsSeldom has a server tunnel that is out of descriptors: first
// it cannot accept, then it cannot reach its target. The log says so once.
func TestServerLogsDescriptorLimitsSeldom(t *testing.T) {
	t.Parallel()
	var log lockedLog
	tun := newTunnel(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer tun.cancel()
	hook := tun.trace().AcceptError
	full := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept", syscall.EMFILE)}
	for range 50 {
		hook(t.Context(), mayfly.AcceptErrorInfo{Err: full})
	}
	tun.reach = func(context.Context, net.Conn) (*pair, error) {
		return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	}
	for range 50 {
		a, b := net.Pipe()
		if !tun.enter() {
			t.Fatal("the tunnel takes no connection")
		}
		tun.connect(a)
		_ = b.Close()
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "failures=1") {
		t.Errorf("%d lines: %s", n, log.String())
	}
	hook(t.Context(), mayfly.AcceptErrorInfo{RemoteAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, Err: errors.New("another reason")})
	if !strings.Contains(log.String(), "another reason") {
		t.Error("a connection that was turned away is not logged")
	}
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
