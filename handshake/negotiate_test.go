// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A server that asks for a round trip gets the hybrid group rather than the share
// that it was sent; one that prefers a classical group saves the round trip.
func TestGroupPreference(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		server, shares []kex.Group
		want           kex.Group
		retry          bool
	}{
		{nil, nil, kex.X25519MLKEM768, false},
		{nil, []kex.Group{kex.X25519}, kex.X25519MLKEM768, true},
		{[]kex.Group{kex.P256, kex.X25519}, nil, kex.X25519, false},
		{[]kex.Group{kex.X25519, kex.X25519MLKEM768, kex.P256}, []kex.Group{kex.P256}, kex.P256, false},
		{[]kex.Group{kex.P256}, nil, kex.P256, true},
		{[]kex.Group{kex.MLKEM1024, kex.P256}, []kex.Group{kex.P256}, kex.MLKEM1024, true},
		{[]kex.Group{kex.X25519MLKEM768, kex.X25519, kex.MLKEM1024}, []kex.Group{kex.X25519, kex.MLKEM1024}, kex.MLKEM1024, false},
		{[]kex.Group{kex.P256, kex.MLKEM1024}, []kex.Group{kex.MLKEM1024}, kex.MLKEM1024, false},
	} {
		p := newPair(t,
			clientConfig(func(c *Config) {
				if c.KeyShares = test.shares; test.shares != nil {
					c.Groups = kex.All()
				}
			}),
			serverConfig(func(c *Config) { c.Groups = test.server }))
		p.mustSucceed(t)
		if s := p.client.m.Summary(); s.Group != test.want || s.HelloRetry != test.retry {
			t.Errorf("%v against shares %v: %v, retry %v", test.server, test.shares, s.Group, s.HelloRetry)
		}
	}
}

type testJar struct{}

func (testJar) Seal(state []byte) ([]byte, error) { return append([]byte("cookie:"), state...), nil }
func (testJar) Open(cookie []byte) ([]byte, bool) { return bytes.CutPrefix(cookie, []byte("cookie:")) }

// The default order of suites follows the side without hardware AES.
func TestSuitePreference(t *testing.T) {
	t.Parallel()
	aes, chacha := suite.AES128GCM, suite.ChaCha20Poly1305
	for _, test := range []struct {
		server, client []suite.ID
		want           suite.ID
	}{
		{nil, []suite.ID{chacha, aes}, chacha},
		{nil, []suite.ID{aes, chacha}, suite.Preferred()[0]},
		{[]suite.ID{aes, chacha}, []suite.ID{chacha, aes}, aes},
		{[]suite.ID{chacha, aes}, []suite.ID{aes, chacha}, chacha},
	} {
		p := newPair(t,
			clientConfig(func(c *Config) { c.Suites = test.client }),
			serverConfig(func(c *Config) { c.Suites = test.server }))
		p.mustSucceed(t)
		if got := p.client.m.Summary().Suite; got != test.want {
			t.Errorf("server %v, client %v: %v, want %v", test.server, test.client, got, test.want)
		}
	}
}

func TestALPN(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		client, server []string
		want           string
	}{
		{[]string{"a", "b"}, []string{"b", "a"}, "b"},
		{[]string{"a"}, nil, ""},
		{nil, []string{"a"}, ""},
	} {
		p := newPair(t, clientConfig(func(c *Config) { c.ALPN = test.client }), serverConfig(func(c *Config) { c.ALPN = test.server }))
		p.mustSucceed(t)
		if got := p.client.m.Summary().ALPN; got != test.want {
			t.Errorf("client %v, server %v: %q, want %q", test.client, test.server, got, test.want)
		}
	}
}

func TestRecordSizeLimit(t *testing.T) {
	t.Parallel()
	p := newPair(t, clientConfig(func(c *Config) { c.RecordSizeLimit = 100 }), serverConfig(func(c *Config) { c.RecordSizeLimit = 16385 }))
	p.mustSucceed(t)
	for _, test := range []struct {
		e    *endpoint
		want RecordLimit
	}{{p.client, RecordLimit{Send: 16385, Receive: 100}}, {p.server, RecordLimit{Send: 100, Receive: 16385}}} {
		if got := eventsOf[RecordLimit](test.e); !slices.Equal(got, []RecordLimit{test.want}) {
			t.Errorf("limits %v, want %v", got, test.want)
		}
	}
	p = newPair(t, clientConfig(func(c *Config) { c.RecordSizeLimit = 100 }), serverConfig())
	p.mustSucceed(t)
	if n := len(eventsOf[RecordLimit](p.client)) + len(eventsOf[RecordLimit](p.server)); n != 0 {
		t.Error("a limit that was not negotiated is in effect")
	}
}

// OCSP responses and timestamps pass through where they were asked for.
func TestStapling(t *testing.T) {
	t.Parallel()
	stapled := *ids().x509P256
	stapled.OCSPResponse, stapled.SCTs = []byte("a response"), [][]byte{[]byte("one"), []byte("two")}
	for _, asked := range []bool{true, false} {
		ask := func(c *Config) {
			c.Credentials, c.RequestPeer = []*credential.Credential{&stapled}, true
			c.RequestOCSP, c.RequestSCT = asked, asked
		}
		p := newPair(t, clientConfig(ask), serverConfig(ask))
		p.mustSucceed(t)
		for who, e := range map[string]*endpoint{"client": p.client, "server": p.server} {
			peer := e.m.Summary().Peer
			if got := string(peer.OCSPResponse) == "a response" && len(peer.SCTs) == 2; got != asked {
				t.Errorf("%s asked %v, got %v", who, asked, got)
			}
		}
	}
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	both := []*credential.Credential{ids().x509Ed25519, ids().x509P256}
	wanted := [][]byte{ids().x509P256.Leaf.RawIssuer}
	strange := [][]byte{[]byte("\x30\x00")}
	run := func(client, server [][]byte) (c, s *credential.Peer) {
		p := newPair(t,
			clientConfig(func(c *Config) { c.Credentials, c.Authorities, c.PeerTypes = both, client, nil }),
			serverConfig(func(c *Config) { c.Credentials, c.Authorities, c.PeerTypes, c.RequestPeer = both, server, nil, true }))
		p.mustSucceed(t)
		return p.server.m.Summary().Peer, p.client.m.Summary().Peer
	}
	c, s := run(wanted, wanted)
	if c == nil || c.Certificates[0].DNSNames[0] != "ec.example" || s.Certificates[0].DNSNames[0] != "ec.example" {
		t.Error("the authorities did not guide the choice")
	}
	c, s = run(strange, strange)
	if c != nil {
		t.Error("a client showed itself to a server that looks for others")
	}
	if s.Certificates[0].DNSNames[0] != "ed.example" {
		t.Error("a server whose authorities are not wanted must fall back on its first")
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	var asked []*Request
	choose := func(cred *credential.Credential) func(*Config) {
		return func(c *Config) {
			c.OwnTypes, c.RequirePeer = bothTypes, true
			c.Credentials = []*credential.Credential{ids().rawEd25519}
			c.Select = func(r *Request) (*credential.Credential, error) { asked = append(asked, r); return cred, nil }
		}
	}
	p := newPair(t, clientConfig(choose(ids().rawP256)), serverConfig(choose(ids().rawP256)))
	p.mustSucceed(t)
	for _, e := range []*endpoint{p.client, p.server} {
		if e.m.Summary().OwnCredential != ids().rawP256 {
			t.Error("the selected credential was not shown")
		}
	}
	if len(asked) != 2 || asked[0].Hello == nil || asked[0].ServerName != "ed.example" || asked[1].Hello != nil ||
		!slices.Equal(asked[0].Types, bothTypes) || len(asked[1].Types) != 1 || len(asked[1].Schemes) == 0 {
		t.Errorf("Select was asked %+v", asked)
	}
	// One of a type that is not wanted, and none at all: the others count.
	for _, cred := range []*credential.Credential{ids().x509P256, nil} {
		p = newPair(t, clientConfig(choose(cred)), serverConfig(choose(cred)))
		p.mustSucceed(t)
		if p.client.m.Summary().OwnCredential != ids().rawEd25519 {
			t.Error("the credential of the wanted type was not shown")
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	chosen := serverConfig(func(c *Config) { c.ALPN = []string{"chosen"} })
	p := newPair(t, clientConfig(func(c *Config) { c.ALPN = []string{"chosen"} }), &Config{
		Choose: func(h *wire.ClientHello) (*Config, error) {
			if h.ServerName != "ed.example" {
				return nil, errors.New("asked about another name")
			}
			return chosen, nil
		},
	})
	p.mustSucceed(t)
	if got := p.server.m.Summary().ALPN; got != "chosen" {
		t.Errorf("ALPN %q", got)
	}
	kept := serverConfig(func(c *Config) { c.Choose = func(*wire.ClientHello) (*Config, error) { return nil, nil } })
	newPair(t, clientConfig(), kept).mustSucceed(t)
}

// TestServerNameThatIsNoHostName has a client send an address as its server_name, as
// other implementations do: the server goes on without a name.
func TestServerNameThatIsNoHostName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"::1", "[2001:db8::1]", "fe80::1%eth0", "192.0.2.1", "db.example.", "db.example:443"} {
		var seen []string
		p := newPair(t, clientConfig(func(c *Config) { c.ServerName = name }), serverConfig(func(c *Config) {
			c.Choose = func(h *wire.ClientHello) (*Config, error) { seen = append(seen, h.ServerName); return nil, nil }
		}))
		p.run()
		if p.client.err != nil || p.server.err != nil || !p.client.m.Done() || !p.server.m.Done() {
			t.Errorf("%q: %v, %v", name, p.client.err, p.server.err)
		}
		if got := p.server.m.Summary().ServerName; got != "" || len(seen) != 1 || seen[0] != "" {
			t.Errorf("%q reached the server as %q and %q", name, seen, got)
		}
	}
}
