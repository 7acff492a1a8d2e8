// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// identityOf is an Identity with a key of one kind.
func identityOf(t *testing.T, kind string) *mayfly.Identity {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "RSA":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "P-256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "P-521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	default:
		id, err := mayfly.GenerateIdentity()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if err != nil {
		t.Fatal(err)
	}
	id, err := mayfly.NewIdentity(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestRawKeyKinds shows raw keys of every kind to both sides.
func TestRawKeyKinds(t *testing.T) {
	t.Parallel()
	for kind, scheme := range map[string]tls.SignatureScheme{
		"Ed25519": tls.Ed25519, "P-256": tls.ECDSAWithP256AndSHA256, "P-384": tls.ECDSAWithP384AndSHA384,
		"P-521": tls.ECDSAWithP521AndSHA512, "RSA": tls.PSSWithSHA256,
	} {
		ck, sk := identityOf(t, kind), identityOf(t, kind)
		text, err := ck.MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := mayfly.ParseIdentity(text); err != nil || again.Pin() != ck.Pin() {
			t.Errorf("%s: %v", kind, err)
		}
		client, server, clientErr, serverErr := shake(t,
			&mayfly.Config{Identity: ck, Peers: mayfly.Pins(sk.Pin())}, &mayfly.Config{Identity: sk, Peers: mayfly.Pins(ck.Pin())})
		if clientErr != nil || serverErr != nil {
			t.Fatalf("%s: %v; %v", kind, clientErr, serverErr)
		}
		for _, p := range []mayfly.Peer{client.Peer(), server.Peer()} {
			if p.Kind != mayfly.RawKey || p.Scheme != scheme {
				t.Errorf("%s: %v by %v", kind, p.Kind, p.Scheme)
			}
		}
	}
}

// TestCredentials has a server and a client choose among several, by what the other
// side accepts.
func TestCredentials(t *testing.T) {
	t.Parallel()
	ed, p256, rsaKey := identityOf(t, "Ed25519"), identityOf(t, "P-256"), identityOf(t, "RSA")
	certA, certB := testCertificate(t, "a.example", time.Now().Add(time.Hour)), testCertificate(t, "b.example", time.Now().Add(time.Hour))
	pinA, pinB := mayfly.PinOfCertificate(certA.Leaf), mayfly.PinOfCertificate(certB.Leaf)
	raw := func(id *mayfly.Identity) mayfly.Credential { return mayfly.Credential{Identity: id} }
	chain := func(cert tls.Certificate, rule mayfly.IssuerRule) mayfly.Credential {
		return mayfly.Credential{Certificate: &cert, Issuers: rule}
	}
	type kinds = []mayfly.PeerKind
	for _, test := range []struct {
		name    string
		shown   []mayfly.Credential
		kinds   kinds
		schemes []tls.SignatureScheme
		names   []tls.Certificate // whose issuers are named
		want    mayfly.Pin
		kind    mayfly.PeerKind
		asks    bool   // a client alone answers so
		answers bool   // a server alone answers so
		fails   string // the alert of the side that shows
	}{
		{name: "the first", shown: []mayfly.Credential{raw(p256), raw(ed)}, want: p256.Pin(), kind: mayfly.RawKey},
		{name: "by kind", shown: []mayfly.Credential{raw(p256), chain(certA, 0)}, kinds: kinds{mayfly.X509}, want: pinA, kind: mayfly.X509},
		{name: "in the order of the server that shows", answers: true, shown: []mayfly.Credential{chain(certA, 0), raw(p256)}, kinds: kinds{mayfly.RawKey, mayfly.X509}, want: pinA, kind: mayfly.X509},
		{name: "by scheme", shown: []mayfly.Credential{raw(p256), raw(rsaKey), raw(ed)}, schemes: []tls.SignatureScheme{tls.Ed25519, tls.PSSWithSHA512}, want: rsaKey.Pin(), kind: mayfly.RawKey},
		{name: "by its own schemes", shown: []mayfly.Credential{{Identity: rsaKey, SignatureSchemes: []tls.SignatureScheme{tls.PSSWithSHA256}}, raw(ed)}, schemes: []tls.SignatureScheme{tls.PSSWithSHA512, tls.Ed25519}, want: ed.Pin(), kind: mayfly.RawKey},
		{name: "by issuer", shown: []mayfly.Credential{chain(certA, mayfly.PreferIssuers), chain(certB, mayfly.RequireIssuers)}, names: []tls.Certificate{certB}, want: pinB, kind: mayfly.X509},
		{name: "by one of two issuers", shown: []mayfly.Credential{chain(certA, mayfly.PreferIssuers), chain(certB, mayfly.PreferIssuers)}, names: []tls.Certificate{testCertificate(t, "c.example", time.Now().Add(time.Hour)), certB}, want: pinB, kind: mayfly.X509},
		{name: "whatever the issuer", shown: []mayfly.Credential{chain(certB, mayfly.IgnoreIssuers)}, names: []tls.Certificate{certA}, want: pinB, kind: mayfly.X509},
		{name: "no issuer named", shown: []mayfly.Credential{chain(certB, mayfly.RequireIssuers), chain(certA, mayfly.PreferIssuers)}, kinds: kinds{mayfly.X509}, want: pinA, kind: mayfly.X509},
		{name: "no such issuer", asks: true, shown: []mayfly.Credential{chain(certB, mayfly.PreferIssuers)}, names: []tls.Certificate{certA}, fails: "handshake_failure"},
		{name: "a server shows something", answers: true, shown: []mayfly.Credential{chain(certB, mayfly.PreferIssuers)}, names: []tls.Certificate{certA}, want: pinB, kind: mayfly.X509},
		{name: "not without its issuer", shown: []mayfly.Credential{chain(certB, mayfly.RequireIssuers)}, names: []tls.Certificate{certA}, fails: "handshake_failure"},
		{name: "no such scheme", shown: []mayfly.Credential{raw(p256)}, schemes: []tls.SignatureScheme{tls.Ed25519}, fails: "handshake_failure"},
	} {
		other := identityOf(t, "")
		for _, server := range []bool{false, true} {
			if server && test.asks || !server && test.answers {
				continue
			}
			shows := &mayfly.Config{Credentials: test.shown, Peers: mayfly.Pins(other.Pin()), NeverAnonymous: !server}
			sees := &mayfly.Config{Identity: other, PeerKinds: test.kinds, SignatureSchemes: test.schemes}
			for _, cert := range test.names {
				sees.Authorities = append(sees.Authorities, cert.Leaf.RawIssuer)
			}
			var seen, shown *mayfly.Conn
			var seenErr, shownErr error
			if server {
				sees.Peers = mayfly.InsecureAnyServer()
				shows.Peers = mayfly.AnyKey()
				seen, shown, seenErr, shownErr = shake(t, sees, shows)
			} else {
				sees.Peers = mayfly.AnyKey()
				shown, seen, shownErr, seenErr = shake(t, shows, sees)
			}
			_ = shown
			if test.fails != "" {
				if got := alertOf(shownErr); got != test.fails {
					t.Errorf("%s, server %v: %v; %v", test.name, server, shownErr, seenErr)
				}
				continue
			}
			if p := seen.Peer(); seenErr != nil || p.Kind != test.kind || p.Pin != test.want {
				t.Errorf("%s, server %v: %v, %v; %v, %v", test.name, server, p.Kind, p.Pin, seenErr, shownErr)
			}
		}
	}
}

// TestNeverAnonymous has a server that would like a key, and a client whose key does not
// suit: it goes on as nobody, unless it is never to.
func TestNeverAnonymous(t *testing.T) {
	t.Parallel()
	id := identityOf(t, "P-256")
	for _, never := range []bool{false, true} {
		sc := &mayfly.Config{Identity: identityOf(t, ""), SignatureSchemes: []tls.SignatureScheme{tls.Ed25519}, Peers: mayfly.AnyOf(mayfly.AnyKey(), mayfly.NoClientAuth())}
		cc := &mayfly.Config{Identity: id, Peers: mayfly.InsecureAnyServer(), NeverAnonymous: never}
		_, server, clientErr, serverErr := shake(t, cc, sc)
		if !never && (clientErr != nil || serverErr != nil || server.Peer().Kind != mayfly.Anonymous) {
			t.Errorf("%v; %v; %v", clientErr, serverErr, server.Peer().Kind)
		}
		if never {
			if got := alertOf(clientErr); got != "handshake_failure" {
				t.Errorf("a client that is never anonymous: %v; %v", clientErr, serverErr)
			}
		}
	}
}

// TestCredentialsMisuse has lists that cannot work.
func TestCredentialsMisuse(t *testing.T) {
	t.Parallel()
	id := identityOf(t, "")
	cert, err := id.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	good := []mayfly.Credential{{Identity: id}}
	for says, config := range map[string]*mayfly.Config{
		"either an Identity or a Certificate": {Credentials: []mayfly.Credential{{}}},
		"an Identity or a Certificate":        {Credentials: []mayfly.Credential{{Identity: id, Certificate: &cert}}},
		"in the place of":                     {Credentials: good, Identity: id},
		"IssuerRule":                          {Credentials: []mayfly.Credential{{Certificate: &cert, Issuers: 3}}},
		"each once":                           {Credentials: good, PeerKinds: []mayfly.PeerKind{mayfly.X509, mayfly.X509}},
		"hold RawKey and X509":                {Credentials: good, OwnKinds: []mayfly.PeerKind{mayfly.PSK}},
		"leave it nil":                        {Credentials: good, OwnKinds: []mayfly.PeerKind{}},
		"DER of distinguished names":          {Credentials: good, Authorities: [][]byte{[]byte("an authority")}},
		"8 KiB at most":                       {Credentials: good, Authorities: slices.Repeat([][]byte{cert.Leaf.RawIssuer}, 1000)},
		"PeerKinds has none":                  {Credentials: good, PeerKinds: []mayfly.PeerKind{mayfly.RawKey}, Peers: mayfly.Roots(mustPool(t, cert)), ServerName: "a"},
	} {
		if config.Peers == nil {
			config.Peers = mayfly.InsecureAnyServer()
		}
		if err := mayfly.Client(nowhere{}, config).Handshake(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want a sentence with %q", err, says)
		}
	}
	for _, config := range []*mayfly.Config{
		{Identity: id, Peers: mayfly.AnyKey(), NeverAnonymous: true}, {Identity: id, Peers: mayfly.AnyKey(), OwnKinds: []mayfly.PeerKind{mayfly.RawKey}},
	} {
		if err := mayfly.Server(nowhere{}, config).Handshake(); err == nil || !strings.Contains(err.Error(), "a client's") {
			t.Errorf("a server: %v", err)
		}
	}
}

func mustPool(t *testing.T, cert tls.Certificate) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return pool
}

// TestKeyUsage shows a certificate whose key is not for signing to sides that judge it
// by its pin alone: it is refused all the same.
func TestKeyUsage(t *testing.T) {
	t.Parallel()
	id := identityOf(t, "P-256")
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	for usage, fails := range map[x509.KeyUsage]bool{0: false, x509.KeyUsageDigitalSignature: false, x509.KeyUsageKeyAgreement: true} {
		template.KeyUsage = usage
		der, err := x509.CreateCertificate(rand.Reader, template, template, id.Public(), id)
		if err != nil {
			t.Fatal(err)
		}
		cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: id}
		shows := func(peers mayfly.Peers) *mayfly.Config {
			return &mayfly.Config{Certificates: []tls.Certificate{cert}, Peers: peers}
		}
		other := identityOf(t, "")
		_, _, clientErr, _ := shake(t, &mayfly.Config{Peers: mayfly.InsecureAnyServer()}, shows(mayfly.NoClientAuth()))
		_, _, _, serverErr := shake(t, shows(mayfly.InsecureAnyServer()), &mayfly.Config{Identity: other, Peers: mayfly.AnyKey()})
		for _, err := range []error{clientErr, serverErr} {
			if got := alertOf(err); fails != (got == "unsupported_certificate") {
				t.Errorf("%b: %v", usage, err)
			}
		}
	}
}

// TestAuthoritiesNamed shows crypto/tls whose certificates a server asks for.
func TestAuthoritiesNamed(t *testing.T) {
	t.Parallel()
	cert, one, two := testCertificate(t, "db.example", time.Now().Add(time.Hour)), newAuthority(t).cert, newAuthority(t).cert
	pool := x509.NewCertPool()
	pool.AddCert(one)
	for _, test := range []struct {
		name        string
		authorities [][]byte
		peers       mayfly.Peers
		want        [][]byte
	}{
		{"those of Roots", nil, mayfly.Roots(pool), [][]byte{one.RawSubject}},
		{"others than those of Roots", [][]byte{two.RawSubject, one.RawIssuer}, mayfly.Roots(pool), [][]byte{two.RawSubject, one.RawIssuer}},
		{"nobody's", [][]byte{}, mayfly.Roots(pool), nil},
		{"without Roots", [][]byte{two.RawSubject}, mayfly.AnyKey(), [][]byte{two.RawSubject}},
		{"no wish", nil, mayfly.AnyKey(), nil},
	} {
		a, b := net.Pipe()
		server := mayfly.Server(b, &mayfly.Config{Certificates: []tls.Certificate{cert}, Peers: test.peers, Authorities: test.authorities})
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		asked := false
		_ = tls.Client(a, &tls.Config{ // refused: it shows nothing
			InsecureSkipVerify: true,
			GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				if !slices.EqualFunc(r.AcceptableCAs, test.want, bytes.Equal) {
					t.Errorf("%s: %q", test.name, r.AcceptableCAs)
				}
				return nil, errors.New("that was all")
			},
		}).Handshake()
		_ = a.Close()
		if err := <-done; err == nil || !asked {
			t.Errorf("%s: %v, asked: %v", test.name, err, asked)
		}
		_ = server.Close()
	}
}

// TestMaxCertificates has a server show a chain with more certificates than anybody
// needs, to clients that take so many, and that do not.
func TestMaxCertificates(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	chain := func(n int) tls.Certificate {
		cert := authority.issue("db.example")
		for len(cert.Certificate) < n {
			cert.Certificate = append(cert.Certificate, authority.cert.Raw)
		}
		return cert
	}
	for _, test := range []struct {
		most, shown int
		ok          bool
	}{{0, 10, true}, {0, 11, false}, {2, 2, true}, {2, 3, false}, {100, 100, true}, {100, 101, false}} {
		cc := &mayfly.Config{Peers: mayfly.Roots(authority.pool), ServerName: "db.example", MaxCertificates: test.most}
		sc := &mayfly.Config{Certificates: []tls.Certificate{chain(test.shown)}, Peers: mayfly.NoClientAuth()}
		client, _, err, _ := shake(t, cc, sc)
		switch {
		case test.ok && (err != nil || len(client.Peer().Certificates) != test.shown):
			t.Errorf("%d, where %d may be: %v", test.shown, test.most, err)
		case !test.ok && alertOf(err) != "bad_certificate":
			t.Errorf("%d, where %d may be: %v", test.shown, test.most, err)
		}
	}
	for _, most := range []int{-1, 101} {
		err := mayfly.Client(nowhere{}, &mayfly.Config{Peers: mayfly.InsecureAnyServer(), MaxCertificates: most}).Handshake()
		if err == nil || !strings.Contains(err.Error(), "MaxCertificates") {
			t.Errorf("%d: %v", most, err)
		}
	}
}
