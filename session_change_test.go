// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// TestTenantsByCallback is TestTenantsShareNoSessions where the servers have callbacks
// that choose their certificates, or leave it at those that they hold.
func TestTenantsByCallback(t *testing.T) {
	t.Parallel()
	for name, falls := range map[string]bool{"a callback that chooses": false, "a callback that falls back": true, "a callback beside a raw key": false} {
		r := newRig(t)
		raw := strings.HasSuffix(name, "a raw key")
		r.client.ServerName = ""
		r.server.TicketKeys = nil
		var tenants []*mayfly.Config
		for _, host := range []string{"one", "two"} {
			cert := testCertificate(t, host, r.clock.now().Add(time.Hour))
			tenant := r.server.Clone()
			if tenant.Identity = nil; raw {
				tenant.Identity = newIdentity(t)
			}
			tenant.GetCertificate = func(context.Context, *mayfly.ClientHello) (*tls.Certificate, error) {
				if falls {
					return nil, nil
				}
				return &cert, nil
			}
			if falls {
				tenant.Certificates = []tls.Certificate{cert}
			}
			if tenants = append(tenants, tenant); host == "one" {
				r.client.Peers = mayfly.Pins(mayfly.PinOfCertificate(cert.Leaf))
				if raw {
					r.client.Peers = mayfly.Pins(tenant.Identity.Pin())
				}
			}
		}
		var chosen atomic.Pointer[mayfly.Config]
		chosen.Store(tenants[0])
		r.server.GetConfig = func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) { return chosen.Load(), nil }
		_, dial := r.listen(t)
		for n := range 3 {
			client, server, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			mustBe(t, n > 0, client, server)
		}
		chosen.Store(tenants[1])
		if conn, _, err := dial(); err == nil {
			t.Errorf("%s: a client reached a server whose key it does not know, resumed: %v", name, conn.Peer().Resumed)
		}
		chosen.Store(tenants[0])
		if conn, server, err := dial(); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			mustBe(t, true, conn, server)
		}
	}
}

// TestSessionOfOldWays has a side come to refuse the way in which the other proved its key
// in the first connection: it has to prove it again, in another.
func TestSessionOfOldWays(t *testing.T) {
	t.Parallel()
	certs := func(t *testing.T, r *rig) {
		for _, c := range []*mayfly.Config{r.client, r.server} {
			cert, err := c.Identity.SelfSigned()
			if err != nil {
				t.Fatal(err)
			}
			c.Identity, c.Credentials = nil, []mayfly.Credential{{Certificate: &cert}, {Identity: c.Identity}}
			c.PeerKinds = []mayfly.PeerKind{mayfly.X509, mayfly.RawKey}
		}
	}
	raw, other := []mayfly.PeerKind{mayfly.RawKey}, []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}
	for _, test := range []struct {
		name    string
		change  func(*rig)
		resumed bool
		refused bool // by the full handshake: there is no other way
	}{
		{"nothing", func(*rig) {}, true, false},
		{"the server wants raw keys", func(r *rig) { r.server.PeerKinds = raw }, false, false},
		{"the client wants raw keys", func(r *rig) { r.client.PeerKinds = raw }, false, false},
		{"the server wants ECDSA", func(r *rig) { r.server.SignatureSchemes = other }, false, true},
		{"the client wants ECDSA", func(r *rig) { r.client.SignatureSchemes = other }, false, true},
		{"the server wants ECDSA or what there was", func(r *rig) {
			r.server.SignatureSchemes = append(other, tls.Ed25519)
		}, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			certs(t, r)
			first, firstServer := r.connect(t)
			if first.Peer().Kind != mayfly.X509 || firstServer.Peer().Kind != mayfly.X509 {
				t.Fatalf("the peers are %v and %v", first.Peer().Kind, firstServer.Peer().Kind)
			}
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

// TestSessionOfLongChain has both sides show more certificates than usual, where that is
// allowed: sessions hold them, in tickets and in files, until it is allowed no more.
func TestSessionOfLongChain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	authority := newAuthority(t)
	cert := authority.issue("db.example")
	for range 20 {
		cert.Certificate = append(cert.Certificate, authority.cert.Raw)
	}
	for _, c := range []*mayfly.Config{r.client, r.server} {
		c.Identity, c.Certificates, c.Peers, c.MaxCertificates = nil, []tls.Certificate{cert}, mayfly.Roots(authority.pool), 21
		c.AllowSelf = true
	}
	r.connect(t)
	client, server := r.connect(t)
	mustBe(t, true, client, server)

	path, key := filepath.Join(t.TempDir(), "sessions"), mayfly.GenerateSealingKey()
	if err := mayfly.SaveSessions(path, key, r.cache); err != nil {
		t.Fatal(err)
	}
	cache, err := mayfly.LoadSessions(path, key, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.client.Sessions = cache
	client, server = r.connect(t)
	mustBe(t, true, client, server)

	for name, narrow := range map[string]*mayfly.Config{"server": r.server, "client": r.client} {
		narrow.MaxCertificates = 20
		if client, _, clientErr, serverErr := r.try(t); clientErr == nil && serverErr == nil {
			t.Errorf("the %s took a chain that is too long, resumed: %t", name, client.Peer().Resumed)
		}
		narrow.MaxCertificates = 21
	}
}

// TestSessionsAtOnce has many connections of one client ask for its sessions at the same
// time: none is offered twice.
func TestSessionsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	once := new(register)
	r.server.Tickets = mayfly.TicketPolicy{Count: 8, Once: once}
	for range 2 {
		r.connect(t)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 4 {
				a, b := net.Pipe()
				client, server := mayfly.Client(a, r.client), mayfly.Server(b, r.server)
				go func() { _, _ = server.Write([]byte("x")) }() // behind the tickets
				if _, err := client.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
				_ = a.Close()
				_ = client.Close()
				_ = server.Close()
			}
		})
	}
	all.Wait()
	if len(once.uses) != len(once.seen) || len(once.uses) < 30 {
		t.Errorf("%d tickets were offered, %d of them for the first time", len(once.uses), len(once.seen))
	}
}

// TestReplacedPresharedKey has another key come under the name of the one that a session
// was made with: on either side the session is over, and a connection that was handed on
// is refused.
func TestReplacedPresharedKey(t *testing.T) {
	t.Parallel()
	of := func(secret byte, self, peer string) *mayfly.PresharedKey {
		k, err := mayfly.NewPresharedKey("key", bytes.Repeat([]byte{secret, 2, 3, 4}, 8), self, peer)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for name, peers := range map[string]func(*mayfly.PresharedKey) mayfly.Peers{
		"PSKs": func(k *mayfly.PresharedKey) mayfly.Peers { return mayfly.PSKs(k) },
		"PSKLookup": func(k *mayfly.PresharedKey) mayfly.Peers {
			return mayfly.PSKLookup(func(context.Context, mayfly.PSKOffer) (*mayfly.PresharedKey, error) { return k, nil })
		},
	} {
		r := newRig(t)
		r.client.Identity, r.server.Identity = nil, nil
		r.client.Peers, r.server.Peers = mayfly.PSKs(of(1, "client", "server")), peers(of(1, "server", "client"))
		r.connect(t)
		c, live := r.connect(t)
		mustBe(t, true, c, live)
		r.server.Peers = peers(of(9, "server", "client"))
		if _, _, clientErr, serverErr := r.try(t); clientErr == nil && serverErr == nil {
			t.Errorf("%s: the server let a peer in by a session with a key that was replaced", name)
		}
		receiver, err := mayfly.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		blob, raw, err := live.Detach(t.Context(), receiver.Offer())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := receiver.Attach(raw, blob, r.server); !errors.Is(err, mayfly.ErrPeerRefused) {
			t.Errorf("%s: a connection by the key before was taken over: %v", name, err)
		}
		r.client.Peers = mayfly.PSKs(of(9, "client", "server")) // which refuses the server of the sessions
		c, s := r.connect(t)
		mustBe(t, false, c, s)
	}
}

// TestSessionStaysWithCertificateShown has one Config whose GetCertificate chooses between
// two virtual servers, by local address for example. A session with one must not resume at
// the other, whose key the client refuses. A renewed certificate of the same key is the
// same server; another key under the same name is not.
func TestSessionStaysWithCertificateShown(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(server *mayfly.Config, one tls.Certificate){
		"the Listener's ticket keys": func(server *mayfly.Config, _ tls.Certificate) { server.TicketKeys = nil },
		"given ticket keys":          func(*mayfly.Config, tls.Certificate) {},
		"the first falls back":       func(server *mayfly.Config, one tls.Certificate) { server.Certificates = []tls.Certificate{one} },
		"the first falls back, in a list": func(server *mayfly.Config, one tls.Certificate) {
			server.Credentials = []mayfly.Credential{{Certificate: &one}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			one, two := testCertificate(t, "db.example", r.clock.now().Add(time.Hour)), testCertificate(t, "db.example", r.clock.now().Add(time.Hour))
			r.server.Identity = nil
			change(r.server, one)
			falls := len(r.server.Certificates)+len(r.server.Credentials) > 0
			var chosen atomic.Pointer[tls.Certificate]
			show := func(c *tls.Certificate) {
				if falls && c == &one {
					c = nil
				}
				chosen.Store(c)
			}
			r.server.GetCertificate = func(context.Context, *mayfly.ClientHello) (*tls.Certificate, error) { return chosen.Load(), nil }
			r.client.Peers = mayfly.Pins(mayfly.PinOfCertificate(one.Leaf))
			_, dial := r.listen(t)
			connects := func(resumed bool) {
				t.Helper()
				client, server, err := dial()
				if err != nil {
					t.Fatal(err)
				}
				mustBe(t, resumed, client, server)
			}
			refused := func() {
				t.Helper()
				if conn, _, err := dial(); err == nil {
					t.Errorf("a client reached a server whose key it does not know, resumed: %v", conn.Peer().Resumed)
				}
			}
			show(&one)
			connects(false)
			connects(true)
			show(&two)
			refused()
			show(&one)
			connects(true) // with the ticket that is left
			renewed := renew(t, one, r.clock.now().Add(2*time.Hour))
			show(&renewed)
			connects(true)
			r.cache.Wipe()
			r.client.Peers = mayfly.Pins(mayfly.PinOfCertificate(one.Leaf), mayfly.PinOfCertificate(two.Leaf))
			connects(false)
			show(&two) // the key has changed, and the client knows both
			connects(false)
		})
	}
}

// renew returns another certificate of the same key.
func renew(t *testing.T, cert tls.Certificate, until time.Time) tls.Certificate {
	t.Helper()
	tmpl := *cert.Leaf
	tmpl.SerialNumber, tmpl.NotAfter = big.NewInt(9), until
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, cert.Leaf.PublicKey, cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: cert.PrivateKey, Leaf: leaf}
}
