// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package tunnel

import (
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// TestHandOver moves both ends of a tunnel, again and again, while connections carry
// random data both ways: not a byte is lost.
func TestHandOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	go echo(w.target)
	const conns, size, moves = 20, 1 << 20, 10
	var running sync.WaitGroup
	for i := range conns {
		c := dial(t, w.plain)
		running.Go(func() { exchange(t, c, byte(i), size) })
	}
	for range moves {
		w.server = handOver(t, w.server, NewServer, Address{"tcp", w.target.Addr().String()}, w.server.config)
		w.client = handOver(t, w.client, NewClient, Address{"tcp", w.secure}, w.client.config)
	}
	c := dial(t, w.plain)
	exchange(t, c, conns, 1000)
	running.Wait()
}

// handOver gives what one tunnel has to a new one.
func handOver(t *testing.T, from *Tunnel, make func(net.Listener, Address, Config) (*Tunnel, error), to Address, config Config) *Tunnel {
	t.Helper()
	ours, file, err := NewLink()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := LinkOf(file)
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		moved int
		err   error
	}
	done := newResult(func() result {
		defer ours.Close()
		moved, err := from.HandOver(t.Context(), ours, nil)
		return result{moved, err}
	})
	ln, _, err := theirs.Inherit()
	if err != nil {
		t.Fatal(err)
	}
	heir, err := make(ln, to, config)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, heir)
	taken, err := heir.TakeOver(theirs)
	_ = theirs.Close()
	if r := <-done; err != nil || r.err != nil || r.moved != taken {
		t.Fatalf("%d were handed on, %d taken over: %v; %v", r.moved, taken, r.err, err)
	}
	from.Drain(t.Context())
	return heir
}

func newResult[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// echo answers each connection with what it says.
func echo(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// exchange sends random bytes, and compares what comes back until the end.
func exchange(t *testing.T, c net.Conn, seed byte, size int) {
	sent := sha256.New()
	go func() {
		r := rand.NewChaCha8([32]byte{seed})
		if _, err := io.CopyN(io.MultiWriter(c, sent), r, int64(size)); err != nil {
			t.Error(err)
		}
		_ = c.(stream).CloseWrite()
	}()
	back := sha256.New()
	n, err := io.Copy(back, c)
	if err != nil || n != int64(size) || [32]byte(back.Sum(nil)) != [32]byte(sent.Sum(nil)) {
		t.Errorf("connection %d: %d of %d bytes came back, %v", seed, n, size, err)
	}
}

// TestHeirThatFails ends the heir at two points: the tunnel goes on.
func TestHeirThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	go echo(w.target)
	for _, when := range []string{"before it begins", "with the listener"} {
		ours, file, err := NewLink()
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := LinkOf(file)
		if err != nil {
			t.Fatal(err)
		}
		failed := newResult(func() error {
			_, err := w.client.HandOver(t.Context(), ours, nil)
			return err
		})
		if when == "with the listener" {
			ln, _, err := theirs.Inherit()
			if err != nil {
				t.Fatal(err)
			}
			r, err := mayfly.NewReceiver()
			if err == nil {
				err = theirs.send(message{Offer: r.Offer()})
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = ln.Close()
		}
		_ = theirs.Close()
		if err := <-failed; err == nil {
			t.Errorf("%s: no error", when)
		}
		_ = ours.Close()
		exchange(t, dial(t, w.plain), 1, 1000)
	}
}

// A stuck transport sends nothing, once that is wanted, until its deadline has passed.
type stuck struct {
	*net.TCPConn
	now  atomic.Bool
	tell chan struct{} // gets one for each Write that waits
	over chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	if !s.now.Load() {
		return s.TCPConn.Write(p)
	}
	s.tell <- struct{}{}
	<-s.over
	return 0, os.ErrDeadlineExceeded
}

func (s *stuck) SetWriteDeadline(t time.Time) error {
	if s.now.Load() && !t.IsZero() {
		close(s.over)
	}
	return s.TCPConn.SetWriteDeadline(t)
}

// TestSealedAndNotSent hands a connection on whose last words, or whose end, were sealed
// and not sent: the heir sends them, although the peer is silent until it has them.
func TestSealedAndNotSent(t *testing.T) {
	t.Parallel()
	t.Run("words", func(t *testing.T) {
		ln, peer, secure := handOnUnsent(t, func(c *mayfly.Conn) error {
			n, err := io.WriteString(c, "the last words")
			if n != len("the last words") {
				t.Errorf("%d were written", n)
			}
			return err
		})
		app := dial(t, Address{"tcp", ln.Addr().String()})
		p := newPair(secure, accept(t, ln))
		ran := newResult(func() error { return p.run(0) })
		expect(t, peer, "the last words")
		closeWrite(t, app)
		closeWrite(t, peer)
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	t.Run("end", func(t *testing.T) {
		ln, peer, secure := handOnUnsent(t, (*mayfly.Conn).CloseWrite)
		app := dial(t, Address{"tcp", ln.Addr().String()})
		p := newPair(secure, accept(t, ln))
		p.up.ended = true
		ran := newResult(func() error { return p.run(0) })
		expectEnd(t, peer)
		send(t, peer, "the other half")
		expect(t, app, "the other half")
		closeWrite(t, peer)
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

// handOnUnsent returns a listener to make more of, and a connection that was handed on
// while its transport did not send the last that was sealed.
func handOnUnsent(t *testing.T, last func(*mayfly.Conn) error) (ln net.Listener, peer, heir *mayfly.Conn) {
	t.Helper()
	ln = listen(t, Address{"tcp", "127.0.0.1:0"})
	here, there := identity(t), identity(t)
	config := &mayfly.Config{Identity: here, Peers: mayfly.NewPinSet(there.Pin())}
	peer = mayfly.Client(dial(t, Address{"tcp", ln.Addr().String()}), &mayfly.Config{Identity: there, Peers: mayfly.NewPinSet(here.Pin())})
	tcp := accept(t, ln).(*net.TCPConn)
	transport := &stuck{TCPConn: tcp, tell: make(chan struct{}, 10), over: make(chan struct{})}
	donor := mayfly.Server(transport, config)
	shaken := newResult(peer.Handshake)
	if err := errors.Join(donor.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	send(t, donor, "begin")
	expect(t, peer, "begin")

	transport.now.Store(true)
	said := newResult(func() error { return last(donor) })
	<-transport.tell
	r, err := mayfly.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	blob, _, err := donor.Detach(t.Context(), r.Offer())
	if err != nil {
		t.Fatal(err)
	}
	if err := <-said; !errors.Is(err, mayfly.ErrDetached) {
		t.Fatal(err)
	}
	if heir, err = r.Attach(tcp, blob, config); err != nil {
		t.Fatal(err)
	}
	return ln, peer, heir
}

// TestForgedHandover sends what the process before never sends: each message is an
// error, and none a panic.
func TestForgedHandover(t *testing.T) {
	t.Parallel()
	sock, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	beside := sock.(syscall.Conn)
	for name, forged := range map[string]struct {
		m     message
		files []syscall.Conn
	}{
		"a pair and listeners":       {message{Pair: &pairState{}, Sockets: []string{"a", "b", "c"}}, []syscall.Conn{beside, beside}},
		"a pair for the listeners":   {message{Pair: &pairState{}}, []syscall.Conn{beside, beside}},
		"listeners of one name":      {message{Sockets: []string{listening, listening}}, []syscall.Conn{beside, beside}},
		"too few descriptors":        {message{Sockets: []string{listening, "a"}}, []syscall.Conn{beside}},
		"a descriptor with no name":  {message{}, []syscall.Conn{beside}},
		"no listener of the tunnel":  {message{Sockets: []string{"a"}}, []syscall.Conn{beside}},
		"nothing":                    {message{}, nil},
		"a name without descriptors": {message{Sockets: []string{listening}}, nil},
	} {
		ours, file, err := NewLink()
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := LinkOf(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := ours.send(forged.m, forged.files...); err != nil {
			t.Fatal(err)
		}
		if _, _, err := theirs.Inherit(); err == nil {
			t.Errorf("%s: no error", name)
		}
		_, _ = ours.Close(), theirs.Close()
	}
}
