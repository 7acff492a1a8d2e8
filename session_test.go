// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// A rig is a server that gives tickets, and a client that keeps them.
type rig struct {
	client, server *mayfly.Config
	cache          *mayfly.SessionCache
	keys           *mayfly.TicketRing
	clock          *clock
}

// A clock is set by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{cache: mayfly.NewSessionCache(0), keys: mayfly.NewTicketRing(mayfly.GenerateSealingKey()), clock: &clock{t: time.Now()}}
	r.client, r.server = mayflytest.Configs(t)
	r.client.ServerName = "db.example"
	r.client.Sessions, r.server.TicketKeys = r.cache, r.keys
	r.client.Time, r.server.Time = r.clock.now, r.clock.now
	return r
}

// connect makes one connection, and has the client read what the server has to say.
func (r *rig) connect(t *testing.T) (client, server *mayfly.Conn) {
	t.Helper()
	client, server, cerr, serr := r.try(t)
	if err := errors.Join(cerr, serr); err != nil {
		t.Fatal(err)
	}
	exchangeOnce(t, client, server)
	return client, server
}

// try makes one connection, which may fail.
func (r *rig) try(t *testing.T) (client, server *mayfly.Conn, clientErr, serverErr error) {
	t.Helper()
	a, b := tcpPair(t)
	client, server = mayfly.Client(a, r.client), mayfly.Server(b, r.server)
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	clientErr = client.Handshake()
	return client, server, clientErr, <-done
}

func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a, b
}

// exchangeOnce sends a byte each way: the client has its tickets then.
func exchangeOnce(t *testing.T, client, server net.Conn) {
	t.Helper()
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		if _, err := way[0].Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

// mustBe checks on both sides whether a session was resumed.
func mustBe(t *testing.T, resumed bool, conns ...*mayfly.Conn) {
	t.Helper()
	for _, c := range conns {
		if got := c.ConnectionState().DidResume; got != resumed || c.Peer().Resumed != resumed {
			t.Fatalf("resumed: %v, Peer %v; want %v", got, c.Peer().Resumed, resumed)
		}
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, firstServer := r.connect(t)
	mustBe(t, false, first, firstServer)
	if r.cache.Len() != 2 {
		t.Fatalf("%d sessions, want 2", r.cache.Len())
	}
	for range 5 {
		client, server := r.connect(t)
		mustBe(t, true, client, server)
		if client.Peer().Pin != first.Peer().Pin || server.Peer().Pin != firstServer.Peer().Pin ||
			client.Peer().Kind != mayfly.RawKey || client.Peer().PublicKey == nil {
			t.Errorf("the peers are %+v and %+v", client.Peer(), server.Peer())
		}
	}
	if r.cache.Len() != 2 {
		t.Errorf("%d sessions are left, want 2: each connection takes one and brings one", r.cache.Len())
	}
}

// TestResumeListener resumes with a Listener's own keys, which end with it.
func TestResumeListener(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.TicketKeys = nil
	for range 2 {
		ln, err := mayfly.Listen("tcp", "127.0.0.1:0", r.server)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			accepted := make(chan *mayfly.Conn, 1)
			go func() {
				c, err := ln.AcceptConn()
				if err != nil {
					t.Error(err)
				}
				accepted <- c
			}()
			client, err := mayfly.Dial("tcp", ln.Addr().String(), r.client)
			if err != nil {
				t.Fatal(err)
			}
			server := <-accepted
			exchangeOnce(t, client, server)
			mustBe(t, n > 0, client, server) // the second Listener has other keys
			_ = client.Close()
			_ = server.Close()
		}
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNoWiderTrust changes one thing after the first connection. What was learned
// there must not get the peer further than a full handshake does.
func TestNoWiderTrust(t *testing.T) {
	t.Parallel()
	other, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		change  func(*rig)
		resumed bool
		refused bool // by the full handshake that follows
	}{
		{"nothing", func(*rig) {}, true, false},
		{"the client's key is removed", func(r *rig) { r.server.Peers = mayfly.Pins(other.Pin()) }, false, true},
		{"the server's key is removed", func(r *rig) { r.client.Peers = mayfly.Pins(other.Pin()) }, false, true},
		{"a pin is added", func(r *rig) {
			r.server.Peers = mayfly.Pins(r.client.Identity.Pin(), other.Pin())
		}, true, false},
		{"the client's key is another", func(r *rig) {
			r.client.Identity = other
			r.server.Peers = mayfly.AnyKey()
		}, false, false},
		{"the client wants another name", func(r *rig) { r.client.ServerName = "other.example" }, false, false},
		{"the server has another service", func(r *rig) { r.server.Service = "other" }, false, false},
		{"the server has other keys", func(r *rig) { r.keys.Set(mayfly.GenerateSealingKey()) }, false, false},
		{"the server has no keys", func(r *rig) { r.keys.Set() }, false, false},
		{"the server has a new key in front", func(r *rig) {
			keys, _ := r.keys.Keys(context.Background())
			r.keys.Set(append([]*mayfly.SealingKey{mayfly.GenerateSealingKey()}, keys...)...)
		}, true, false},
		{"the server gives no tickets any more", func(r *rig) { r.server.Tickets.Count = -1 }, false, false},
		{"the ticket has expired", func(r *rig) { r.clock.advance(24 * time.Hour) }, false, false},
		{"the ticket has almost expired", func(r *rig) { r.clock.advance(24*time.Hour - time.Minute) }, true, false},
		{"the server's age limit is lower", func(r *rig) {
			r.server.Tickets.MaxAge = time.Minute
			r.clock.advance(2 * time.Minute)
		}, false, false},
		{"the client's age limit is lower", func(r *rig) {
			r.client.Tickets.MaxAge = time.Minute
			r.clock.advance(2 * time.Minute)
		}, false, false},
		{"the clock is an hour back", func(r *rig) { r.clock.advance(-2 * time.Hour) }, false, false},
		{"the server's Verify says no", func(r *rig) {
			r.server.Peers = mayfly.AllOf(r.server.Peers, mayfly.Verify(func(_ context.Context, p mayfly.Peer) error { return errors.New("no") }))
		}, false, true},
		{"the server's Verify says no to the resumed", func(r *rig) {
			r.server.Peers = mayfly.AllOf(r.server.Peers, mayfly.Verify(func(_ context.Context, p mayfly.Peer) error {
				if p.Resumed {
					return errors.New("prove it again")
				}
				return nil
			}))
		}, false, false},
		{"the server's VerifyConnection says no to the resumed", func(r *rig) {
			r.server.VerifyConnection = func(s tls.ConnectionState) error {
				if s.DidResume {
					return errors.New("prove it again")
				}
				return nil
			}
		}, false, false},
		{"the suite has another hash", func(r *rig) { r.server.CipherSuites = []uint16{tls.TLS_AES_256_GCM_SHA384} }, false, false},
		{"the suite has the same hash", func(r *rig) { r.server.CipherSuites = []uint16{tls.TLS_CHACHA20_POLY1305_SHA256} }, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.server.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256}
			r.connect(t)
			test.change(r)
			client, server, clientErr, serverErr := r.try(t)
			if test.refused {
				if clientErr == nil && serverErr == nil {
					t.Fatal("the peer was let in")
				}
				return
			}
			if err := errors.Join(clientErr, serverErr); err != nil {
				t.Fatal(err)
			}
			mustBe(t, test.resumed, client, server)
		})
	}
}

// TestResumeX509 has certificates verified again: chains, names and times.
func TestResumeX509(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		change  func(*testing.T, *rig)
		resumed bool
		refused bool
	}{
		{"nothing", func(*testing.T, *rig) {}, true, false},
		{"the root is withdrawn", func(t *testing.T, r *rig) { r.server.Peers = mayfly.Roots(otherPool(t)) }, false, true},
		{"the server's root is withdrawn", func(t *testing.T, r *rig) { r.client.Peers = mayfly.Roots(otherPool(t)) }, false, true},
		{"the certificates have expired", func(_ *testing.T, r *rig) { r.clock.advance(time.Hour) }, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			until := r.clock.now().Add(30 * time.Minute)
			pool := x509.NewCertPool()
			r.client.Identity, r.server.Identity = nil, nil
			for _, c := range []*mayfly.Config{r.client, r.server} {
				cert := testCertificate(t, "db.example", until)
				pool.AddCert(cert.Leaf)
				c.Certificates = []tls.Certificate{cert}
			}
			r.client.Peers, r.server.Peers = mayfly.Roots(pool), mayfly.Roots(pool)
			first, _ := r.connect(t)
			test.change(t, r)
			client, server, clientErr, serverErr := r.try(t)
			if test.refused {
				if clientErr == nil && serverErr == nil {
					t.Fatal("the peer was let in")
				}
				return
			}
			if err := errors.Join(clientErr, serverErr); err != nil {
				t.Fatal(err)
			}
			mustBe(t, test.resumed, client, server)
			if len(client.Peer().Chains) == 0 || len(client.ConnectionState().PeerCertificates) == 0 ||
				!client.Peer().Certificates[0].Equal(first.Peer().Certificates[0]) {
				t.Errorf("the peer is %+v", client.Peer())
			}
		})
	}
}

func otherPool(t *testing.T) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(testCertificate(t, "db.example", time.Now().Add(time.Hour)).Leaf)
	return pool
}

// TestBadTickets has tickets come back altered: a full handshake follows each.
func TestBadTickets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Tickets.Count = 8
	r.connect(t)
	if r.cache.Len() != 8 {
		t.Fatalf("%d tickets", r.cache.Len())
	}
	for _, name := range []string{"flipped at the key's name", "flipped at the salt", "flipped within", "flipped at the end", "cut", "longer"} {
		mayfly.AlterTicket(newest(t, r.cache), func(b []byte) []byte {
			switch {
			case strings.HasSuffix(name, "name"):
				b[0] ^= 1
			case strings.HasSuffix(name, "salt"):
				b[20] ^= 1
			case strings.HasSuffix(name, "within"):
				b[60] ^= 1
			case strings.HasSuffix(name, "end"):
				b[len(b)-1] ^= 1
			case name == "cut":
				return b[:len(b)-1]
			default:
				return append(b, 0)
			}
			return b
		})
		client, server, clientErr, serverErr := r.try(t)
		if err := errors.Join(clientErr, serverErr); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		mustBe(t, false, client, server)
	}
}

func newest(t *testing.T, cache *mayfly.SessionCache) (last *mayfly.Session) {
	t.Helper()
	cache.Each(func(_ string, s *mayfly.Session) bool { last = s; return true })
	if last == nil {
		t.Fatal("there is no session")
	}
	return last
}

// TestReplayedTicket uses a ticket twice, which costs privacy and nothing else: the
// session is resumed, with other keys.
func TestReplayedTicket(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Tickets.Count = 1
	again := &replayingStore{put: make(chan struct{}, 3)}
	r.client.Sessions = again
	r.connect(t)
	<-again.put
	var exported []string
	for range 2 {
		client, server := r.connect(t)
		mustBe(t, true, client, server)
		b, err := client.ExportKeyingMaterial("x", nil, 32)
		if err != nil {
			t.Fatal(err)
		}
		exported = append(exported, string(b))
	}
	if exported[0] == exported[1] {
		t.Error("two connections have the same keys")
	}
}

// A replayingStore gives the first session again and again.
type replayingStore struct {
	mu    sync.Mutex
	first *mayfly.Session
	put   chan struct{}
}

func (s *replayingStore) Put(_ context.Context, _ string, got *mayfly.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = got
	}
	s.put <- struct{}{}
	return nil
}

func (s *replayingStore) Take(context.Context, string) (*mayfly.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		return nil, nil
	}
	return mayfly.CopySession(s.first), nil
}

// TestBrokenStores has stores that fail and that never answer: handshakes are full.
func TestBrokenStores(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	failure := errors.New("the disk is gone")
	for name, store := range map[string]*brokenStore{"fails": {err: failure}, "is stuck": {stuck: stuck}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.client.Sessions = store
			var mu sync.Mutex
			said := make(map[string]error)
			told := make(chan struct{}, 8)
			r.client.Trace = &mayfly.Trace{SessionError: func(_ context.Context, info mayfly.SessionErrorInfo) {
				mu.Lock()
				defer mu.Unlock()
				said[info.Action] = info.Err
				told <- struct{}{}
			}}
			client, server := r.connect(t)
			mustBe(t, false, client, server)
			if store.err != nil {
				for range 3 { // one take, two puts
					<-told
				}
				mu.Lock()
				defer mu.Unlock()
				if !errors.Is(said["take"], failure) || !errors.Is(said["put"], failure) {
					t.Errorf("told %v", said)
				}
			}
		})
		t.Run("keys: "+name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.connect(t)
			r.server.TicketKeys = brokenKeys{store}
			client, server := r.connect(t)
			mustBe(t, false, client, server)
			if r.cache.Len() != 1 {
				t.Errorf("%d sessions, want the one that was not offered", r.cache.Len())
			}
		})
	}
}

type brokenStore struct {
	err   error
	stuck chan struct{}
}

func (s *brokenStore) Put(context.Context, string, *mayfly.Session) error { return s.fail() }
func (s *brokenStore) Take(context.Context, string) (*mayfly.Session, error) {
	return nil, s.fail()
}

func (s *brokenStore) fail() error {
	if s.stuck != nil {
		<-s.stuck
	}
	return s.err
}

type brokenKeys struct{ *brokenStore }

func (k brokenKeys) Keys(context.Context) ([]*mayfly.SealingKey, error) { return nil, k.fail() }

// TestTicketCounts: what the policy says, and what the client can use.
func TestTicketCounts(t *testing.T) {
	t.Parallel()
	for count, want := range map[int]int{-1: 0, 0: 2, 1: 1, 5: 5, 100: 8} {
		r := newRig(t)
		r.server.Tickets.Count = count
		r.connect(t)
		if r.cache.Len() != want {
			t.Errorf("Count %d: %d tickets, want %d", count, r.cache.Len(), want)
		}
	}
	// A ticket lives no longer than the session may.
	r := newRig(t)
	r.server.Tickets.MaxAge = time.Hour
	r.connect(t)
	r.cache.Each(func(name string, s *mayfly.Session) bool {
		if d := s.Expires().Sub(r.clock.now()); d > time.Hour || d < time.Hour-time.Minute {
			t.Errorf("a ticket lives for %v", d)
		}
		if !strings.HasPrefix(name, "db.example ") || s.ServerName() != "db.example" || s.MaxEarlyData() != 0 {
			t.Errorf("a session under %q, for %q", name, s.ServerName())
		}
		return true
	})
}

// TestFirstAuthenticated: tickets that come by tickets do not make a session younger.
func TestFirstAuthenticated(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Tickets.MaxAge = 10 * time.Hour
	r.connect(t)
	var resumed []bool
	for range 4 {
		r.clock.advance(4 * time.Hour)
		client, _ := r.connect(t)
		resumed = append(resumed, client.Peer().Resumed)
	}
	if want := []bool{true, true, false, true}; !slices.Equal(resumed, want) {
		t.Errorf("resumed after 4, 8, 12 and 16 hours: %v, want %v", resumed, want)
	}
}

// TestSessionMisuse pins the sentences.
func TestSessionMisuse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		says   string
		server bool
		edit   func(*rig)
	}{
		{"Sessions is a client's", true, func(r *rig) { r.server.Sessions = r.cache }},
		{"set Sessions too", false, func(r *rig) { r.client.Sessions, r.client.Tickets.Count = nil, 1 }},
		{"set Sessions too", false, func(r *rig) { r.client.Tickets.Count = -1 }},
		{"TicketKeys, Service and Tickets", false, func(r *rig) { r.client.TicketKeys = r.keys }},
		{"MaxTicketAgeSkew and Replay are a server's", false, func(r *rig) { r.client.MaxEarlyData = 1 }},
		{"up to seven days", true, func(r *rig) { r.server.Tickets.Lifetime = 8 * 24 * time.Hour }},
		{"from 0 to 65536", true, func(r *rig) { r.server.MaxEarlyData = 1 << 20 }},
	} {
		r := newRig(t)
		test.edit(r)
		a, b := tcpPair(t)
		c := mayfly.Client(a, r.client)
		if test.server {
			c = mayfly.Server(b, r.server)
		}
		if err := c.Handshake(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v, want a sentence with %q", err, test.says)
		}
	}
	for _, secret := range [][]byte{nil, make([]byte, 31), make([]byte, 32), make([]byte, 33)} {
		if _, err := mayfly.NewSealingKey(secret); err == nil {
			t.Errorf("a key of %d zeros was taken", len(secret))
		}
	}
}

// testCertificate is self-signed.
func testCertificate(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: until.Add(-24 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}
