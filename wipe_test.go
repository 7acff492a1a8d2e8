// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/record"
)

// wiped reports whether nothing of a connection's keys is left where the library
// knows of them.
func wiped(h *parts) bool {
	h.in.mu.Lock()
	defer h.in.mu.Unlock()
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.keys.mu.Lock()
	defer h.keys.mu.Unlock()
	_, err := h.out.sealer.Seal(nil, record.ApplicationData, nil)
	return err != nil && !h.in.opener.Protected() && h.keys.exporter == nil && h.keys.machine == nil &&
		len(h.in.plain) == 0
}

// TestWipedAfter ends a connection in each way, and looks for its keys.
func TestWipedAfter(t *testing.T) {
	for name, end := range map[string]func(victim, hostile *Conn){
		"Close": func(victim, _ *Conn) { _ = victim.Close() },
		"a fatal alert": func(victim, hostile *Conn) {
			go func() { _ = hostile.hostile(record.Alert, []byte{2, 40}) }()
			_, _ = victim.Read(make([]byte, 1))
		},
		"a forged record": func(victim, hostile *Conn) {
			go func() {
				_, _ = hostile.inner.Write(append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...))
				_, _ = io.Copy(io.Discard, hostile.inner)
			}()
			_, _ = victim.Read(make([]byte, 1))
		},
		"Close with data unread": func(victim, hostile *Conn) {
			go func() { _, _ = hostile.Write([]byte("two bytes and more")) }()
			_, _ = victim.Read(make([]byte, 2))
			_ = victim.Close()
		},
		"an Abort beside a Read that succeeds": func(victim, hostile *Conn) {
			sent, err := hostile.out.sealer.Seal(nil, record.ApplicationData, []byte("d"))
			if err != nil {
				t.Error(err)
			}
			victim.inner = &flood{Conn: victim.inner, next: func() []byte {
				b := sent
				if sent = nil; b != nil {
					_ = victim.Abort(49) // it cannot wait for the Read
				}
				return b
			}}
			if n, err := victim.Read(make([]byte, 2)); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		},
		"an Abort beside a Detach that fails": func(victim, _ *Conn) {
			resume, err := victim.interrupt(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = victim.Abort(49) // it waits for nobody
			resume()
		},
		"an Abort beside a Write that fails": func(victim, _ *Conn) {
			victim.inner = &broken{victim.inner, func() error {
				_ = victim.Abort(49) // while the Write looks for an alert
				return os.ErrDeadlineExceeded
			}}
			if _, err := victim.Write([]byte("d")); err == nil {
				t.Error("the Write has not failed")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			victim, hostile := hostilePair(t)
			h := victim.parts
			if wiped(h) {
				t.Fatal("there is nothing to wipe: the test shows nothing")
			}
			go func() { _, _ = io.Copy(io.Discard, hostile.inner) }()
			end(victim, hostile)
			if !wiped(h) {
				t.Error("keys are left")
			}
		})
	}
}

// broken is a transport that takes nothing, and from which nothing comes.
type broken struct {
	net.Conn
	read func() error
}

func (b *broken) Read([]byte) (int, error)  { return 0, b.read() }
func (b *broken) Write([]byte) (int, error) { return 0, net.ErrWriteToConnected }

// TestWipedOnTheWay has errors come where secrets are between two owners.
func TestWipedOnTheWay(t *testing.T) {
	victim, _ := hostilePair(t)
	keys := suite.ByID(suite.AES128GCM).NewKeys(make([]byte, 16), make([]byte, suite.NonceLen))
	early := []byte("early data that nobody has read")
	victim.in.early = early
	victim.in.mu.Lock()
	defer victim.in.mu.Unlock()
	victim.out.mu.Lock()
	defer victim.out.mu.Unlock()
	victim.out.sealer.Wipe()
	err := victim.apply([]handshake.Event{handshake.Send{Messages: make([]byte, 4)}, handshake.InstallWrite{Keys: keys}})
	if err == nil || keys.AEAD != nil {
		t.Errorf("%v, and keys behind it are left: %v", err, keys.AEAD != nil)
	}
	_ = victim.failHandshake(err)
	if victim.in.early != nil || !bytes.Equal(early, make([]byte, len(early))) {
		t.Error("early data is left")
	}
}

// TestWipedWhenDropped forgets a connection without Close.
func TestWipedWhenDropped(t *testing.T) {
	id, err := GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	h, over := dropped(t, a, b, id)
	for range 500 {
		runtime.GC()
		select {
		case <-over:
			if !wiped(h) {
				t.Error("keys are left")
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("the connection was never found")
}

// dropped makes a connection that nothing leads to but its parts.
func dropped(t *testing.T, a, b net.Conn, id *Identity) (*parts, <-chan struct{}) {
	t.Helper()
	c := Client(a, &Config{Peers: Pins(id.Pin())})
	done := make(chan error, 1)
	go func() {
		s := Server(b, &Config{Identity: id, Peers: NoClientAuth()})
		done <- s.Handshake()
	}()
	if err := errors.Join(c.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	h := c.parts
	if wiped(h) {
		t.Fatal("there is nothing to wipe: the test shows nothing")
	}
	over := c.parts.over.Done()
	runtime.KeepAlive(c) // until here: the collector could wipe it while wiped looks
	return h, over
}

// TestAcceptedConnsAreWipedWhenDropped drops connections of a Listener whose handshakes
// ran side by side, while the Listener waits for others.
func TestAcceptedConnsAreWipedWhenDropped(t *testing.T) {
	id, err := GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := Listen("tcp", "127.0.0.1:0", &Config{Identity: id, Peers: NoClientAuth()})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	over := acceptAndDrop(t, ln, id, 24)
	for i := range over {
		for n := 0; ; n++ {
			runtime.GC()
			select {
			case <-over[i].over.Done():
			case <-time.After(10 * time.Millisecond):
				if n < 500 {
					continue
				}
				t.Errorf("connection %d of %d was never wiped", i+1, len(over))
				return
			}
			break
		}
		if !wiped(over[i]) {
			t.Errorf("keys of connection %d are left", i+1)
		}
	}
}

// acceptAndDrop accepts n connections, keeps nothing of them but their parts, and returns
// while the Listener's goroutine waits for the next connection.
func acceptAndDrop(t *testing.T, ln *Listener, id *Identity, n int) []*parts {
	t.Helper()
	pin := id.Pin().String()
	dialed := make(chan error, n)
	for range n {
		go func() {
			raw, err := net.Dial("tcp", ln.Addr().String())
			if err == nil {
				t.Cleanup(func() { _ = raw.Close() })
				err = Client(raw, &Config{Peers: MustParsePins(pin)}).Handshake()
			}
			dialed <- err
		}()
	}
	var held []*parts
	for range n {
		c, err := ln.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		if wiped(c.parts) {
			t.Fatal("there is nothing to wipe: the test shows nothing")
		}
		held = append(held, c.parts)
		runtime.KeepAlive(c)
	}
	for range n {
		if err := <-dialed; err != nil {
			t.Fatal(err)
		}
	}
	return held
}

// TestIdleHoldsLittle shows what a connection that waits has given up.
func TestIdleHoldsLittle(t *testing.T) {
	victim, hostile := hostilePair(t)
	go func() { _, _ = hostile.Write(make([]byte, 1000)) }()
	if _, err := io.ReadFull(victim, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if victim.machine != nil || victim.settings != nil || !victim.in.Empty() || victim.in.plain != nil || victim.out.pending != nil {
		t.Error("it has a machine, settings, or a buffer")
	}
	if i := victim.intro; i.settings != nil || i.m != nil || i.ctx != nil {
		t.Error("it knows what only handshakes need")
	}
	if ctx, ok := victim.tell().ctx.(interface{ Done() <-chan struct{} }); ok && ctx.Done() != nil {
		t.Error("it holds the context of its handshake")
	}
}

// slow is a transport whose Read is slow to return when its deadline has passed.
type slow struct {
	net.Conn
	reading chan struct{} // closed when the first Read begins
	once    sync.Once
}

func (s *slow) Read(p []byte) (int, error) {
	s.once.Do(func() { close(s.reading) })
	n, err := s.Conn.Read(p)
	if err != nil {
		time.Sleep(interruptTimeout / 2)
	}
	return n, err
}

// TestWipedWhenItReturns ends connections while another call is under way, and looks for
// keys and unread data as soon as the end has been reported.
func TestWipedWhenItReturns(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, victim, hostile *Conn){
		"Abort with data unread": func(t *testing.T, victim, hostile *Conn) {
			go func() { _, _ = hostile.Write([]byte("two bytes and more")) }()
			_, _ = victim.Read(make([]byte, 2))
			_ = victim.Abort(49)
			if n, err := victim.Read(make([]byte, 2)); n != 0 || err == nil {
				t.Errorf("Read after Abort: %d, %v", n, err)
			}
		},
		"Abort beside a Read": func(_ *testing.T, victim, _ *Conn) {
			read(victim)
			_ = victim.Abort(49)
		},
		"the second of two Closes": func(_ *testing.T, victim, _ *Conn) {
			read(victim)
			go func() { _ = victim.Close() }()
			synctest.Wait()
			_ = victim.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				victim, hostile := hostilePair(t)
				go func() { _, _ = io.Copy(io.Discard, hostile.inner) }()
				end(t, victim, hostile)
				if !victim.in.mu.TryLock() {
					t.Fatal("a Read is under way, and has the keys")
				}
				victim.in.mu.Unlock()
				if !victim.out.mu.TryLock() {
					t.Fatal("a Write is under way, and has the keys")
				}
				victim.out.mu.Unlock()
				if !wiped(victim.parts) {
					t.Error("keys are left")
				}
			})
		})
	}
}

// read starts a Read that waits for data.
func read(victim *Conn) {
	transport := &slow{Conn: victim.inner, reading: make(chan struct{})}
	victim.inner = transport
	go func() { _, _ = victim.Read(make([]byte, 1)) }()
	<-transport.reading
}

// TestCloseWithinCallback closes a connection in a callback of its own handshake, which
// wipes the keys when the callback has returned.
func TestCloseWithinCallback(t *testing.T) {
	id, err := GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		var victim *Conn
		victim = Client(a, &Config{Peers: AllOf(Pins(id.Pin()), Verify(func(context.Context, Peer) error {
			return victim.Close()
		}))})
		server := Server(b, &Config{Identity: id, Peers: NoClientAuth()})
		defer server.Close()
		go func() { _ = server.Handshake() }()
		if err := victim.Handshake(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the handshake: %v", err)
		}
		if !wiped(victim.parts) {
			t.Error("keys are left")
		}
	})
}
