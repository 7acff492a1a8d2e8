// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// A paddedTickets is what a crypto/tls server keeps of its sessions: its tickets are as
// long as size says.
type paddedTickets struct {
	size int

	mu     sync.Mutex
	states [][]byte
}

func (p *paddedTickets) wrap(_ tls.ConnectionState, state *tls.SessionState) ([]byte, error) {
	b, err := state.Bytes()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states = append(p.states, b)
	return binary.BigEndian.AppendUint32(make([]byte, p.size-4), uint32(len(p.states)-1)), nil
}

func (p *paddedTickets) unwrap(ticket []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(ticket) != p.size {
		return nil, nil
	}
	return tls.ParseSessionState(p.states[binary.BigEndian.Uint32(ticket[len(ticket)-4:])])
}

// serveTLS runs a crypto/tls server whose tickets have that size. It sends a byte, and waits
// for the client's close_notify.
func serveTLS(t *testing.T, cert tls.Certificate, size int) (addr string) {
	t.Helper()
	tickets := &paddedTickets{size: size}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{cert}, WrapSession: tickets.wrap, UnwrapSession: tickets.unwrap,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Write([]byte("x"))
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return ln.Addr().String()
}

// A storeOf is a SessionStore that is no SessionCache, and so is called in a goroutine.
type storeOf struct {
	cache *mayfly.SessionCache
	put   chan struct{}
}

func (s storeOf) Put(ctx context.Context, name string, session *mayfly.Session) error {
	defer func() { s.put <- struct{}{} }()
	return s.cache.Put(ctx, name, session)
}

func (s storeOf) Take(ctx context.Context, name string) (*mayfly.Session, error) {
	return s.cache.Take(ctx, name)
}

// TestDialWithLargeTickets dials a crypto/tls server again and again whose tickets grow up to
// what the wire has room for: no connection fails, and what fits into a ClientHello that
// servers read is resumed.
func TestDialWithLargeTickets(t *testing.T) {
	t.Parallel()
	cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	for _, test := range []struct {
		size    int
		resumes bool
	}{
		{1 << 10, true}, {1<<15 - 1, true}, {1 << 15, true}, {1<<15 + 1, true}, {40 << 10, true}, {63000, true},
		{65000, false}, {65200, false}, {65279, false}, {65280, false}, {65529, false}, {65535, false},
	} {
		for _, kind := range []string{"cache", "store", "file"} {
			t.Run(fmt.Sprint(test.size, " ", kind), func(t *testing.T) {
				t.Parallel()
				addr := serveTLS(t, cert, test.size)
				cache := mayfly.NewSessionCache(0)
				config := &mayfly.Config{ServerName: "db.example", Peers: mayfly.Roots(pool), Sessions: cache}
				store := storeOf{cache, make(chan struct{}, 8)}
				if kind == "store" {
					config.Sessions = store
				}
				for i := range 5 {
					c, err := mayfly.Dial("tcp", addr, config)
					if err != nil {
						t.Fatalf("Dial %d: %v", i, err)
					}
					if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
						t.Fatal(err)
					}
					if kind == "store" && test.size <= 65279 {
						<-store.put // the ticket came before the byte
					}
					if got, want := c.ConnectionState().DidResume, test.resumes && i > 0; got != want {
						t.Errorf("Dial %d: resumed %t, want %t", i, got, want)
					}
					if err := c.Close(); err != nil {
						t.Fatal(err)
					}
					if kind == "file" {
						file, key := filepath.Join(t.TempDir(), "sessions"), mayfly.GenerateSealingKey()
						if err := mayfly.SaveSessions(file, key, cache); err != nil {
							t.Fatal(err)
						}
						if config.Sessions, err = mayfly.LoadSessions(file, key, 0); err != nil {
							t.Fatal(err)
						}
						cache = config.Sessions.(*mayfly.SessionCache)
					}
				}
			})
		}
	}
}

// TestLargeTicketOfAnotherKey has a server receive an identity that is as long as can be,
// which it cannot open: a full handshake follows, after a HelloRetryRequest too.
func TestLargeTicketOfAnotherKey(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1 << 15, 40 << 10, 62000, 63700, 65535} {
		for _, kind := range []string{"plain", "retry", "early data", "key's name"} {
			t.Run(fmt.Sprint(size, " ", kind), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				if kind == "retry" {
					r.server.CurvePreferences = []tls.CurveID{tls.CurveP384}
				}
				r.connect(t)
				before := r.cache.Len()
				r.cache.Each(func(_ string, s *mayfly.Session) bool {
					mayfly.AlterTicket(s, func(ticket []byte) []byte {
						long := make([]byte, size)
						if kind == "key's name" {
							copy(long, ticket)
						}
						return long
					})
					if kind == "early data" {
						mayfly.AllowEarly(s, 1000)
					}
					return true
				})
				client, server, clientErr, serverErr := r.try(t)
				if err := errors.Join(clientErr, serverErr); err != nil {
					t.Fatal(err)
				}
				mustBe(t, false, client, server)
				exchangeOnce(t, client, server)
				if r.cache.Len() < min(before, 2) {
					t.Errorf("%d sessions are left of %d", r.cache.Len(), before)
				}
			})
		}
	}
}

// TestForeignClientWithLargeTicket has a crypto/tls client offer a ticket that is as long as
// it can send: the server goes on with a full handshake.
func TestForeignClientWithLargeTicket(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1 << 15, 40 << 10, 64000, 65270} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
			pool := x509.NewCertPool()
			pool.AddCert(cert.Leaf)
			cache := &alteredCache{size: size}
			for i := range 2 {
				a, b := tcpPair(t)
				server := mayfly.Server(b, &mayfly.Config{Certificates: []tls.Certificate{cert}, Peers: mayfly.NoClientAuth(), TicketKeys: mayfly.NewTicketRing(mayfly.GenerateSealingKey())})
				client := tls.Client(a, &tls.Config{ServerName: "db.example", RootCAs: pool, ClientSessionCache: cache, CurvePreferences: []tls.CurveID{tls.X25519}})
				done := make(chan error, 1)
				go func() { done <- server.Handshake() }()
				if err := errors.Join(client.Handshake(), <-done); err != nil {
					t.Fatalf("connection %d: %v", i, err)
				}
				exchangeOnce(t, client, server)
				mustBe(t, false, server)
			}
			if cache.gave == 0 {
				t.Error("crypto/tls has offered no session")
			}
		})
	}
}

// An alteredCache gives a crypto/tls client its sessions with tickets of another length.
type alteredCache struct {
	size, gave int
	last       *tls.ClientSessionState
}

func (c *alteredCache) Put(_ string, s *tls.ClientSessionState) { c.last = s }

func (c *alteredCache) Get(string) (*tls.ClientSessionState, bool) {
	if c.last == nil {
		return nil, false
	}
	_, state, err := c.last.ResumptionState()
	if err != nil {
		return nil, false
	}
	s, err := tls.NewResumptionState(make([]byte, c.size), state)
	c.gave++
	return s, err == nil
}

// TestLargeTicketBesideKeys has a client that also holds pre-shared keys with long names:
// these are offered, and the session only where there is room left.
func TestLargeTicketBesideKeys(t *testing.T) {
	t.Parallel()
	for size, resumes := range map[int]bool{30_000: true, 50_000: false, 65_000: false} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
			pool := x509.NewCertPool()
			pool.AddCert(cert.Leaf)
			var keys []*mayfly.PresharedKey
			for i := range 4 {
				keys = append(keys, imported(t, fmt.Sprintf("%2040d", i), secretKey(t), "client", "server"))
			}
			config := &mayfly.Config{
				ServerName: "db.example", Sessions: mayfly.NewSessionCache(0),
				Peers: mayfly.AnyOf(mayfly.Roots(pool), mayfly.PSKs(keys...)),
			}
			addr := serveTLS(t, cert, size)
			for i := range 3 {
				c, err := mayfly.Dial("tcp", addr, config)
				if err != nil {
					t.Fatalf("Dial %d: %v", i, err)
				}
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				if got, want := c.ConnectionState().DidResume, resumes && i > 0; got != want {
					t.Errorf("Dial %d: resumed %t, want %t", i, got, want)
				}
				_ = c.Close()
			}
		})
	}
}

// TestHandoffBesideLargeTickets hands off a client's connection while the server's large
// tickets are on their way, and resumes with what the destination received.
func TestHandoffBesideLargeTickets(t *testing.T) {
	t.Parallel()
	cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	addr := serveTLS(t, cert, 60_000)
	config := &mayfly.Config{ServerName: "db.example", Peers: mayfly.Roots(pool), Sessions: mayfly.NewSessionCache(0)}
	for i := range 3 {
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := mayfly.Client(raw, config)
		if err := c.Handshake(); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		next := handOn(t, c, config)
		if _, err := io.ReadFull(next, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if got := next.ConnectionState().DidResume; got != (i > 0) {
			t.Errorf("connection %d: resumed %t", i, got)
		}
		_ = next.Close()
	}
}

// TestSessionFileOfLargeTickets saves more sessions than a file holds: the newest of them
// can be loaded.
func TestSessionFileOfLargeTickets(t *testing.T) {
	t.Parallel()
	const room, size = 64 << 20, 60_000
	r := newRig(t)
	r.connect(t)
	one := newest(t, r.cache)
	cache := mayfly.NewSessionCache(room/size + 10)
	for range room/size + 10 {
		s := mayfly.CopySession(one)
		mayfly.AlterTicket(s, func([]byte) []byte { return make([]byte, size) })
		if err := cache.Put(t.Context(), "old", s); err != nil {
			t.Fatal(err)
		}
	}
	if err := cache.Put(t.Context(), "newest", mayfly.CopySession(one)); err != nil {
		t.Fatal(err)
	}
	file, key := filepath.Join(t.TempDir(), "sessions"), mayfly.GenerateSealingKey()
	if err := mayfly.SaveSessions(file, key, cache); err != nil {
		t.Fatal(err)
	}
	loaded, err := mayfly.LoadSessions(file, key, cache.Len())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := loaded.Take(t.Context(), "newest"); err != nil || s == nil {
		t.Errorf("the newest session is not there: %v", err)
	}
	if n := loaded.Len(); n < room/size-10 || n >= cache.Len() {
		t.Errorf("%d sessions were loaded of %d", n, cache.Len())
	}
}
