// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// listen starts a Listener, and returns a function that connects to it.
func (r *rig) listen(t *testing.T) (*mayfly.Listener, func() (client, server *mayfly.Conn, err error)) {
	t.Helper()
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", r.server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	accepted := make(chan *mayfly.Conn, 16)
	go func() {
		for {
			c, err := ln.AcceptConn()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	d := mayfly.Dialer{Config: r.client, Confirm: true}
	return ln, func() (client, server *mayfly.Conn, err error) {
		if client, err = d.DialConn(t.Context(), "tcp", ln.Addr().String()); err != nil {
			return nil, nil, err
		}
		server = <-accepted
		t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
		exchangeOnce(t, client, server)
		return client, server, nil
	}
}

// TestTenantsShareNoSessions has a Listener choose, by ALPN, among two servers that
// have keys of their own. A session with one of them must not lead to the other, whose
// key the client would refuse, though both have the Listener's ticket keys and neither
// has a name.
func TestTenantsShareNoSessions(t *testing.T) {
	t.Parallel()
	for _, given := range []bool{false, true} {
		r := newRig(t)
		r.client.ServerName = ""
		r.client.NextProtos = []string{"one", "two"}
		one, two := r.server.Clone(), r.server.Clone()
		for _, tenant := range []*mayfly.Config{one, two} {
			tenant.TicketKeys = nil
		}
		other, err := mayfly.GenerateIdentity()
		if err != nil {
			t.Fatal(err)
		}
		two.Identity = other
		var chosen atomic.Pointer[mayfly.Config]
		chosen.Store(one)
		r.server.GetConfig = func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) { return chosen.Load(), nil }
		if !given {
			r.server.TicketKeys = nil
		}
		_, dial := r.listen(t)
		for n := range 2 {
			conn, _, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			mustBe(t, n > 0, conn)
		}
		chosen.Store(two)
		if conn, _, err := dial(); err == nil {
			t.Errorf("a client reached a server whose key it does not know, as %v, resumed: %v", conn.Peer().Pin, conn.Peer().Resumed)
		}
	}
}

// TestVerifySeesResumed: a callback can tell a peer that has just proved its key from
// one that did so before, whatever the peer is known by.
func TestVerifySeesResumed(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{1, 2, 3, 4}, 8)
	key := func(self, peer string) mayfly.Peers {
		k, err := mayfly.NewPresharedKey("key", secret, self, peer)
		if err != nil {
			t.Fatal(err)
		}
		return mayfly.PSKs(k)
	}
	r := newRig(t)
	r.client.Identity, r.server.Identity = nil, nil
	var mu sync.Mutex
	var seen []bool
	note := mayfly.Verify(func(_ context.Context, p mayfly.Peer) error {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, p.Resumed)
		return nil
	})
	r.client.Peers = key("client", "server")
	r.server.Peers = mayfly.AllOf(key("server", "client"), note)
	for n := range 3 {
		client, server := r.connect(t)
		mustBe(t, n > 0, client, server)
		mu.Lock()
		if len(seen) != n+1 || seen[n] != (n > 0) {
			t.Errorf("connection %d: Verify saw %v", n, seen)
		}
		mu.Unlock()
	}
}

// TestWipedPresharedKey: a session that was made with a pre-shared key ends with it.
func TestWipedPresharedKey(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{1, 2, 3, 4}, 8)
	of := func(self, peer string) *mayfly.PresharedKey {
		k, err := mayfly.NewPresharedKey("key", secret, self, peer)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	r := newRig(t)
	r.client.Identity, r.server.Identity = nil, nil
	r.client.Peers = mayfly.PSKs(of("client", "server"))
	held := of("server", "client")
	r.server.Peers = mayfly.PSKs(held)
	_, dial := r.listen(t)
	for n := range 2 {
		client, server, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		mustBe(t, n > 0, client, server)
	}
	held.Wipe()
	if _, _, err := dial(); err == nil {
		t.Error("the server let a peer in by a session whose key was wiped")
	}
}

// TestAnonymousResume: whoever showed no key is nobody when it resumes, and a server
// that has come to want keys wants one.
func TestAnonymousResume(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.client.Identity = nil
	client := r.server.Peers
	r.server.Peers = mayfly.NoClientAuth()
	for n := range 2 {
		c, s := r.connect(t)
		mustBe(t, n > 0, c, s)
		if s.Peer().Kind != mayfly.Anonymous {
			t.Errorf("the client is %+v", s.Peer())
		}
	}
	r.server.Peers = client
	if _, _, clientErr, serverErr := r.try(t); clientErr == nil && serverErr == nil {
		t.Error("a client without a key was let in by a ticket")
	}
}

// TestManyTickets has a server send tickets without end to a client whose store is
// stuck: what waits for the store stays bounded.
func TestManyTickets(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	store := &countingStore{release: stuck}
	r := newRig(t)
	r.server.Tickets.Count = 8
	r.client.Sessions = store
	var mu sync.Mutex
	refused := 0
	r.client.Trace = &mayfly.Trace{SessionError: func(_ context.Context, info mayfly.SessionErrorInfo) {
		mu.Lock()
		defer mu.Unlock()
		refused++
	}}
	client, server := r.connect(t)
	for range 20 {
		if err := mayfly.SendTickets(server, 10); err != nil {
			t.Fatal(err)
		}
		exchangeOnce(t, client, server)
	}
	store.mu.Lock()
	if store.waiting > 16 {
		t.Errorf("%d calls of Put wait", store.waiting)
	}
	store.mu.Unlock()
	mu.Lock()
	if refused < 180 {
		t.Errorf("%d tickets were reported lost, of 208", refused)
	}
	mu.Unlock()
	close(stuck)
}

// A countingStore has Put wait.
type countingStore struct {
	release chan struct{}
	mu      sync.Mutex
	waiting int
	kept    []*mayfly.Session
}

func (s *countingStore) Put(_ context.Context, _ string, got *mayfly.Session) error {
	s.mu.Lock()
	s.waiting++
	s.kept = append(s.kept, got)
	s.mu.Unlock()
	<-s.release
	return errors.New("nothing is kept here")
}

func (s *countingStore) Take(context.Context, string) (*mayfly.Session, error) { return nil, nil }

// TestFailedPut: a session that could not be stored is destroyed.
func TestFailedPut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &countingStore{release: make(chan struct{})}
	close(store.release)
	r.client.Sessions = store
	told := make(chan struct{}, 4)
	r.client.Trace = &mayfly.Trace{SessionError: func(context.Context, mayfly.SessionErrorInfo) { told <- struct{}{} }}
	r.connect(t)
	for range 2 {
		<-told
	}
	store.mu.Lock()
	defer store.mu.Unlock()
	for _, s := range store.kept {
		if !mayfly.SessionWiped(s) {
			t.Error("a session that nobody has is left")
		}
	}
}

// TestNoAddress has a transport without addresses.
func TestNoAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.client.ServerName = ""
	for n := range 2 {
		a, b := tcpPair(t)
		client, server := mayfly.Client(nowhere{a}, r.client), mayfly.Server(nowhere{b}, r.server)
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		if err := errors.Join(client.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		exchangeOnce(t, client, server)
		mustBe(t, n > 0, client, server)
	}
}

type nowhere struct{ net.Conn }

func (nowhere) RemoteAddr() net.Addr { return nil }
func (nowhere) LocalAddr() net.Addr  { return nil }

// TestRotation has a Listener change its keys: tickets outlive one change, as long as
// they live, and new ones are under the new key.
func TestRotation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.TicketKeys, r.server.Tickets.Count = nil, 1
	ln, dial := r.listen(t)
	// connect returns the name of the key of the ticket that came.
	connect := func(resumed bool) string {
		t.Helper()
		client, server, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		mustBe(t, resumed, client, server)
		var name string
		mayfly.AlterTicket(newest(t, r.cache), func(b []byte) []byte { name = string(b[:16]); return b })
		return name
	}
	first := connect(false)
	if connect(true) != first {
		t.Error("the key was changed at once")
	}
	r.clock.advance(13 * time.Hour)
	second := connect(true)
	if second == first {
		t.Error("the key was not changed in 13 hours")
	}
	if n := mayfly.RingSize(ln); n != 2 {
		t.Errorf("%d keys are held, want the old one too", n)
	}
	r.clock.advance(23*time.Hour + 59*time.Minute)
	if third := connect(true); third == second {
		t.Error("the key was not changed again")
	}
	if n := mayfly.RingSize(ln); n != 2 {
		t.Errorf("%d keys are held: the first is good for nothing any more", n)
	}
	r.clock.advance(48 * time.Hour)
	connect(false)
	if n := mayfly.RingSize(ln); n != 1 {
		t.Errorf("%d keys are held after two days", n)
	}
	// A clock that runs wild makes keys without end, of which few are kept.
	for range 100 {
		r.clock.advance(-time.Hour)
		if _, _, err := dial(); err != nil {
			t.Fatal(err)
		}
	}
	if n := mayfly.RingSize(ln); n > 40 {
		t.Errorf("%d keys are held", n)
	}
	_ = ln.Close()
	if n := mayfly.RingSize(ln); n != 0 {
		t.Errorf("%d keys are held by a Listener that is closed", n)
	}
}

// TestSharedTicketKeys has two servers of one service accept each other's tickets, by
// a store that gives them, while keys are added and retired.
func TestSharedTicketKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	second := r.server.Clone()
	second.TicketKeys = &farKeys{near: r.keys}
	servers := []*mayfly.Config{r.server, second}
	old := mayfly.GenerateSealingKey()
	r.keys.Set(old)
	connect := func(n int, resumed bool) {
		t.Helper()
		r.server = servers[n%2]
		client, server := r.connect(t)
		mustBe(t, resumed, client, server)
	}
	connect(0, false)
	connect(1, true)
	connect(0, true)
	next := mayfly.GenerateSealingKey()
	r.keys.Set(old, next)
	connect(1, true)
	r.keys.Set(next, old)
	connect(0, true)
	connect(1, true)
	r.keys.Set(next)
	r.cache.Wipe() // with it what is sealed under the old one
	connect(0, false)
	connect(1, true)
	old.Wipe()
	connect(0, true)
	next.Wipe() // while it is in use
	connect(1, false)
	r.keys.Set(nil)
	connect(0, false)
	// Of two services, whose servers have the same keys, each has its own sessions.
	r.keys.Set(mayfly.GenerateSealingKey())
	r.cache.Wipe()
	second.Service = "another"
	connect(0, false)
	connect(1, false)
}

// farKeys come over a network, and honour the context.
type farKeys struct{ near mayfly.TicketKeys }

func (f *farKeys) Keys(ctx context.Context) ([]*mayfly.SealingKey, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, errors.New("asked without a deadline")
	}
	return f.near.Keys(ctx)
}

// TestSuiteOfSession has a client that knows the session's suite no more. That of a
// server is TestNoWiderTrust's.
func TestSuiteOfSession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.CipherSuites = []uint16{tls.TLS_AES_256_GCM_SHA384, tls.TLS_AES_128_GCM_SHA256}
	r.connect(t)
	r.client.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256}
	client, server := r.connect(t)
	mustBe(t, false, client, server)
}

// TestTicketRequest has a client say how many tickets it wants (RFC 9149): its store
// does not fill up with what it will not use.
func TestTicketRequest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ asked, policy, want, resumed int }{
		{0, 3, 3, 1}, {1, 3, 1, 1}, {5, 1, 5, 5}, {300, 1, 8, 8}, {4, -1, 0, 0},
	} {
		r := newRig(t)
		r.client.Tickets.Count, r.server.Tickets.Count = test.asked, test.policy
		for n := range 3 {
			before, want := r.cache.Len(), test.want
			client, _ := r.connect(t)
			if n > 0 && client.Peer().Resumed {
				before-- // it was used
				want = test.resumed
			}
			if got := r.cache.Len() - before; got != want {
				t.Errorf("asked for %d of a server that gives %d: %d came", test.asked, test.policy, got)
			}
		}
	}
}

// TestServerJudgesAlone has a client offer what it should not: its own checks are off,
// and the server's must do.
func TestServerJudgesAlone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		change  func(r *rig, s *mayfly.Session)
		resumed bool
	}{
		{"nothing", func(*rig, *mayfly.Session) {}, true},
		{"another name", func(r *rig, s *mayfly.Session) {
			r.client.ServerName = "other.example"
			mayfly.RenameSession(s, "other.example")
		}, false},
		{"no name", func(r *rig, s *mayfly.Session) {
			r.client.ServerName = ""
			mayfly.RenameSession(s, "")
		}, false},
		{"an expired ticket", func(r *rig, _ *mayfly.Session) { r.server.Time = later(r, 24*time.Hour) }, false},
		{"a ticket of a session that is too old", func(r *rig, _ *mayfly.Session) {
			r.server.Tickets.MaxAge = time.Hour
			r.server.Time = later(r, 2*time.Hour)
		}, false},
		{"a ticket from the future", func(r *rig, _ *mayfly.Session) { r.server.Time = later(r, -2*time.Hour) }, false},
		{"an age that is wrong", func(_ *rig, s *mayfly.Session) { mayfly.AgeSession(s, 5*time.Hour) }, true}, // early data's concern
		{"a clock that is wrong by hours", func(r *rig, _ *mayfly.Session) { r.client.Time = later(r, 5*time.Hour) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			again := &replayingStore{put: make(chan struct{}, 8)}
			r.client.Sessions = again
			r.connect(t)
			<-again.put
			test.change(r, again.first)
			client, server := r.connect(t)
			mustBe(t, test.resumed, client, server)
		})
	}
}

func later(r *rig, d time.Duration) func() time.Time {
	return func() time.Time { return r.clock.now().Add(d) }
}

// TestClientCertificateExpired: it is the server that notices, and no ticket helps.
func TestClientCertificateExpired(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	until := r.clock.now().Add(30 * time.Minute)
	client, server := testCertificate(t, "db.example", until), testCertificate(t, "db.example", until)
	pool := x509.NewCertPool()
	pool.AddCert(client.Leaf)
	r.client.Identity, r.client.Certificates = nil, []tls.Certificate{client}
	r.server.Identity, r.server.Certificates = nil, []tls.Certificate{server}
	r.server.Peers, r.client.Peers = mayfly.Roots(pool), mayfly.Pins(mayfly.PinOfCertificate(server.Leaf))
	for n := range 2 {
		c, s := r.connect(t)
		mustBe(t, n > 0, c, s)
	}
	r.server.Time = later(r, time.Hour)
	_, _, clientErr, serverErr := r.try(t)
	if e, ok := errors.AsType[*mayfly.AlertError](serverErr); !ok || e.Remote || e.Code.String() != "certificate_expired" {
		t.Errorf("the server says %v, the client %v", serverErr, clientErr)
	}
}

// TestWrongBinder has a client hold the wrong secret for a good ticket: RFC 9846,
// Section 4.3.11 wants decrypt_error, not a full handshake.
func TestWrongBinder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.connect(t)
	mayfly.SecretOf(newest(t, r.cache))[0] ^= 1
	_, _, _, serverErr := r.try(t)
	if e, ok := errors.AsType[*mayfly.AlertError](serverErr); !ok || e.Remote || e.Code.String() != "decrypt_error" {
		t.Errorf("the server says %v", serverErr)
	}
}
