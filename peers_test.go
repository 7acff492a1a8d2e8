// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
)

var judgeTime = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func asClient(name string) judgeFacts {
	return judgeFacts{ServerName: name, Now: func() time.Time { return judgeTime }}
}

func asServer() judgeFacts {
	return judgeFacts{Server: true, Now: func() time.Time { return judgeTime }}
}

// rawPeer is a peer that shows a raw public key.
func rawPeer(t testing.TB, id *Identity) *credential.Peer {
	t.Helper()
	p, err := credential.ParsePeer(credential.RawPublicKey, [][]byte{id.key.spki})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// certPeer is a peer that shows a certificate.
func certPeer(t testing.TB, cert tls.Certificate) *credential.Peer {
	t.Helper()
	p, err := credential.ParsePeer(credential.X509, cert.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// issuedBy makes a certificate for id's key, signed by ca.
func issuedBy(t testing.TB, ca, id *Identity, name string, until time.Time) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: judgeTime.Add(-time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authorityOf(t, ca), id.Public(), ca.key.signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}}
}

func authorityOf(t testing.TB, ca *Identity) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority " + ca.Pin().String()[8:16]},
		NotBefore: judgeTime.Add(-time.Hour), NotAfter: judgeTime.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ca.Public(), ca.key.signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func poolOf(t testing.TB, cas ...*Identity) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(authorityOf(t, ca))
	}
	return pool
}

// TestJudge has each kind of Peers judge each kind of peer.
func TestJudge(t *testing.T) {
	t.Parallel()
	ca, otherCA, known, stranger := seeded(10), seeded(11), seeded(1), seeded(2)
	later := judgeTime.Add(time.Hour)
	raw, rawStranger := rawPeer(t, known), rawPeer(t, stranger)
	cert := certPeer(t, issuedBy(t, ca, known, "db.example", later))
	expired := certPeer(t, issuedBy(t, ca, known, "db.example", judgeTime.Add(-time.Minute)))
	foreign := certPeer(t, issuedBy(t, otherCA, known, "db.example", later))
	certStranger := certPeer(t, issuedBy(t, ca, stranger, "db.example", later))
	pins, roots := Pins(known.Pin()), Roots(poolOf(t, ca))
	refuses := Verify(func(context.Context, Peer) error { return errors.New("not today") })
	accepts := Verify(func(context.Context, Peer) error { return nil })
	client := asClient("db.example")
	for _, test := range []struct {
		name  string
		peers Peers
		facts judgeFacts
		peer  *credential.Peer
		code  alert.Code // 0: it is accepted
		says  string     // for a refusal: part of the error, and " " if it is ErrPeerRefused
		kind  PeerKind
		label string
	}{
		{"pins, raw", pins, client, raw, 0, "", RawKey, ""},
		{"pins, certificate", pins, client, cert, 0, "", X509, ""},
		{"pins, expired", pins, client, expired, 0, "", X509, ""},
		{"pins, another authority", pins, client, foreign, 0, "", X509, ""},
		{"pins, another name", pins, asClient("web.example"), cert, 0, "", X509, ""},
		{"pins, stranger", pins, client, rawStranger, alert.AccessDenied, " " + stranger.Pin().String(), 0, ""},
		{"pins, stranger's certificate", pins, asServer(), certStranger, alert.AccessDenied, " not on the list", 0, ""},
		{"pins, nobody", pins, asServer(), nil, alert.CertificateRequired, "no key", 0, ""},

		{"roots, server", roots, client, cert, 0, "", X509, "db.example"},
		{"roots, client", roots, asServer(), cert, 0, "", X509, ""},
		{"roots, raw", roots, client, raw, alert.UnsupportedCertificate, "raw public key", 0, ""},
		{"roots, expired", roots, client, expired, alert.CertificateExpired, "expired", 0, ""},
		{"roots, another name", roots, asClient("web.example"), cert, alert.BadCertificate, "another name", 0, ""},
		{"roots, another authority", roots, client, foreign, alert.UnknownCA, "authority", 0, ""},
		{"roots, nobody", roots, asServer(), nil, alert.CertificateRequired, "no key", 0, ""},

		{"any key, raw", AnyKey(), asServer(), raw, 0, "", RawKey, ""},
		{"any key, expired", AnyKey(), asServer(), expired, 0, "", X509, ""},
		{"any key, nobody", AnyKey(), asServer(), nil, alert.CertificateRequired, "no key", 0, ""},
		{"any server", InsecureAnyServer(), client, rawStranger, 0, "", RawKey, ""},
		{"no client auth, nobody", NoClientAuth(), asServer(), nil, 0, "", Anonymous, ""},
		{"no client auth, raw", NoClientAuth(), asServer(), raw, alert.AccessDenied, " show no key", 0, ""},
		{"no client auth, as a client", NoClientAuth(), client, nil, alert.AccessDenied, " show no key", 0, ""},

		{"any of, first", AnyOf(pins, roots), client, cert, 0, "", X509, ""},
		{"any of, second", AnyOf(pins, roots), client, certStranger, 0, "", X509, "db.example"},
		{"any of, raw stranger", AnyOf(roots, pins), client, rawStranger, alert.AccessDenied, " not on the list", 0, ""},
		{"any of, another name", AnyOf(pins, roots), asClient("web.example"), certStranger, alert.BadCertificate, " another name", 0, ""},
		{"any of, or nobody", AnyOf(pins, NoClientAuth()), asServer(), nil, 0, "", Anonymous, ""},
		{"any of, or nobody, stranger", AnyOf(pins, NoClientAuth()), asServer(), rawStranger, alert.AccessDenied, " not on the list", 0, ""},
		{"any of, nobody", AnyOf(pins, roots), asServer(), nil, alert.CertificateRequired, "no key", 0, ""},

		{"all of", AllOf(pins, roots), client, cert, 0, "", X509, "db.example"},
		{"all of, stranger", AllOf(roots, pins), client, certStranger, alert.AccessDenied, " not on the list", 0, ""},
		{"all of, another authority", AllOf(pins, roots), client, foreign, alert.UnknownCA, "authority", 0, ""},
		{"all of, Verify accepts", AllOf(accepts, pins), client, raw, 0, "", RawKey, ""},
		{"all of, Verify accepts a stranger", AllOf(accepts, pins), client, rawStranger, alert.AccessDenied, " not on the list", 0, ""},
		{"all of, Verify refuses", AllOf(pins, refuses), client, raw, alert.AccessDenied, " Verify said: not today", 0, ""},
		{"all of, Verify alone decides", AllOf(AnyKey(), accepts), asServer(), rawStranger, 0, "", RawKey, ""},
		{"all of, Verify, nobody", AllOf(AnyKey(), accepts), asServer(), nil, alert.CertificateRequired, "no key", 0, ""},
		{"any of all of", AnyOf(roots, AllOf(pins, refuses)), client, raw, alert.AccessDenied, " not today", 0, ""},
		{"Verify by itself", accepts, client, raw, alert.InternalError, "AllOf", 0, ""},
	} {
		got, err := test.peers.judge(t.Context(), test.facts, test.peer)
		if test.code == 0 {
			if err != nil || got.Kind != test.kind || got.Name != test.label {
				t.Errorf("%s: %v, %q, %v", test.name, got.Kind, got.Name, err)
			}
			if err == nil && test.peer != nil && (got.Pin != test.peer.Pin() || got.PublicKey == nil || len(got.Certificates) != len(test.peer.Certificates)) {
				t.Errorf("%s: %+v", test.name, got)
			}
			continue
		}
		if err == nil || alert.Of(err) != test.code || !strings.Contains(err.Error(), strings.TrimSpace(test.says)) {
			t.Errorf("%s: %v, want %v and %q", test.name, err, test.code, test.says)
		}
		if errors.Is(err, ErrPeerRefused) != strings.HasPrefix(test.says, " ") {
			t.Errorf("%s: ErrPeerRefused is %t: %v", test.name, !strings.HasPrefix(test.says, " "), err)
		}
		if got.Kind != Anonymous || got.PublicKey != nil {
			t.Errorf("%s: a refused peer is %+v", test.name, got)
		}
	}
}

// TestSelf shows that everything that accepts keys refuses this side's own.
func TestSelf(t *testing.T) {
	t.Parallel()
	ca, me := seeded(10), seeded(1)
	cert := certPeer(t, issuedBy(t, ca, me, "db.example", judgeTime.Add(time.Hour)))
	pins, roots := Pins(me.Pin()), Roots(poolOf(t, ca))
	for name, test := range map[string]struct {
		peers Peers
		peer  *credential.Peer
	}{
		"pins":  {pins, rawPeer(t, me)},
		"roots": {roots, cert},
		"keys":  {AnyKey(), rawPeer(t, me)},
		"any":   {AnyOf(pins, roots), cert},
		"all":   {AllOf(pins, roots), cert},
		"no":    {AnyOf(NoClientAuth(), pins), rawPeer(t, me)},
	} {
		facts := asServer()
		facts.Own = []Pin{seeded(9).Pin(), me.Pin()}
		_, err := test.peers.judge(t.Context(), facts, test.peer)
		if alert.Of(err) != alert.AccessDenied || !errors.Is(err, ErrPeerRefused) || !strings.Contains(err.Error(), "AllowSelf") {
			t.Errorf("%s: %v", name, err)
		}
		facts.AllowSelf = true
		if _, err := test.peers.judge(t.Context(), facts, test.peer); err != nil {
			t.Errorf("%s, with AllowSelf: %v", name, err)
		}
	}
}

// TestVerifyLast shows that Verify runs once, after all checks, with what they
// found, and that its error can be found.
func TestVerifyLast(t *testing.T) {
	t.Parallel()
	ca, known := seeded(10), seeded(1)
	cert := certPeer(t, issuedBy(t, ca, known, "db.example", judgeTime.Add(time.Hour)))
	said := errors.New("no")
	var saw []Peer
	look := Verify(func(_ context.Context, p Peer) error { saw = append(saw, p); return said })
	peers := AllOf(AllOf(look, Pins(known.Pin())), Roots(poolOf(t, ca)))
	if _, err := peers.judge(t.Context(), asClient("db.example"), cert); !errors.Is(err, said) || !errors.Is(err, ErrPeerRefused) {
		t.Errorf("got %v", err)
	}
	if len(saw) != 1 || len(saw[0].Chains) != 1 || saw[0].Name != "db.example" || saw[0].Pin != known.Pin() {
		t.Errorf("Verify saw %+v", saw)
	}
	if _, err := peers.judge(t.Context(), asClient("web.example"), cert); errors.Is(err, said) || len(saw) != 1 {
		t.Errorf("Verify was asked about a certificate for another name: %v", err)
	}
}

// TestPeersMisuse pins the sentences about Peers that cannot work.
func TestPeersMisuse(t *testing.T) {
	t.Parallel()
	yes := Verify(func(context.Context, Peer) error { return nil })
	pins, pool := Pins(seeded(1).Pin()), poolOf(t, seeded(10))
	named := configFacts{ServerName: "db.example"}
	for _, test := range []struct {
		name   string
		peers  Peers
		server bool
		facts  configFacts
		says   string // empty: it works
	}{
		{"pins, client", pins, false, configFacts{}, ""},
		{"pins, server", pins, true, configFacts{}, ""},
		{"no pins", Pins(), true, configFacts{}, "list of pins is empty"},
		{"an empty set", NewPinSet(), false, configFacts{}, "list of pins is empty"},
		{"a nil set", (*PinSet)(nil), false, configFacts{}, "list of pins is empty"},
		{"roots, client", Roots(pool), false, named, ""},
		{"roots, server", Roots(pool), true, configFacts{}, ""},
		{"roots without a name", Roots(pool), false, configFacts{}, "set ServerName"},
		{"the system's roots without a name", systemRoots(), false, configFacts{}, "set ServerName"},
		{"the system's roots", systemRoots(), false, named, ""},
		{"nil roots", Roots(nil), true, configFacts{}, "Roots(nil)"},
		{"empty roots", Roots(x509.NewCertPool()), true, configFacts{}, "empty pool"},
		{"AnyKey, server", AnyKey(), true, configFacts{}, ""},
		{"AnyKey, client", AnyKey(), false, named, "AnyKey is a server's"},
		{"NoClientAuth, server", NoClientAuth(), true, configFacts{}, ""},
		{"NoClientAuth, client", NoClientAuth(), false, named, "NoClientAuth is a server's"},
		{"InsecureAnyServer, client", InsecureAnyServer(), false, configFacts{}, ""},
		{"InsecureAnyServer, server", InsecureAnyServer(), true, configFacts{}, "InsecureAnyServer is a client's"},
		{"Verify alone", yes, true, configFacts{}, "AllOf(Pins(…), Verify(f))"},
		{"Verify twice", AllOf(yes, yes), true, configFacts{}, "AllOf(Pins(…), Verify(f))"},
		{"Verify as an alternative", AnyOf(pins, yes), true, configFacts{}, "AllOf(Pins(…), Verify(f))"},
		{"Verify alone as an alternative", AnyOf(pins, AllOf(yes)), true, configFacts{}, "AllOf(Pins(…), Verify(f))"},
		{"Verify of nothing", AllOf(pins, Verify(nil)), true, configFacts{}, "Verify was given no function"},
		{"AllOf with Verify", AllOf(pins, yes), true, configFacts{}, ""},
		{"AllOf(AnyKey(), Verify)", AllOf(AnyKey(), yes), true, configFacts{}, ""},
		{"AllOf(InsecureAnyServer(), Verify)", AllOf(InsecureAnyServer(), yes), false, configFacts{}, ""},
		{"AnyOf of nothing", AnyOf(), true, configFacts{}, "AnyOf is empty"},
		{"AllOf of nothing", AllOf(), true, configFacts{}, "AllOf is empty"},
		{"AllOf of nothing within", AllOf(pins, AllOf()), true, configFacts{}, "AllOf is empty"},
		{"AnyOf of nil", AnyOf(pins, nil), true, configFacts{}, "AnyOf has a member that is nil"},
		{"AllOf of nil", AllOf(pins, nil), true, configFacts{}, "AllOf has a member that is nil"},
		{"AnyOf with NoClientAuth", AnyOf(pins, NoClientAuth()), true, configFacts{}, ""},
		{"AllOf with NoClientAuth", AllOf(pins, NoClientAuth()), true, configFacts{}, "NoClientAuth cannot be in AllOf"},
		{"AllOf with NoClientAuth within", AllOf(yes, AnyOf(pins, NoClientAuth())), true, configFacts{}, "NoClientAuth cannot be in AllOf"},
		{"AnyOf with InsecureAnyServer", AnyOf(pins, InsecureAnyServer()), false, configFacts{}, "InsecureAnyServer accepts every server"},
		{"AnyOf with a bad member", AnyOf(pins, Roots(pool)), false, configFacts{}, "set ServerName"},
		{"AllOf with a bad member", AllOf(pins, AnyKey()), false, configFacts{}, "AnyKey is a server's"},
	} {
		_ = test.peers.explicitName() // is asked before validate
		err := test.peers.validate(test.server, test.facts)
		if test.says == "" && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "mayfly: ")) {
			t.Errorf("%s: %v, want a sentence with %q", test.name, err, test.says)
		}
	}
}

// TestRequirement pins what each asks of the peer.
func TestRequirement(t *testing.T) {
	t.Parallel()
	one, two := poolOf(t, seeded(10)), poolOf(t, seeded(11), seeded(10))
	pins := Pins(seeded(1).Pin())
	cert := []credential.Type{credential.X509}
	both := []credential.Type{credential.RawPublicKey, credential.X509}
	for _, test := range []struct {
		name             string
		peers            Peers
		request, require bool
		types            []credential.Type
		authorities      int
	}{
		{"pins", pins, true, true, both, 0},
		{"roots", Roots(one), true, true, cert, 1},
		{"two roots", Roots(two), true, true, cert, 2},
		{"AnyKey", AnyKey(), true, true, both, 0},
		{"NoClientAuth", NoClientAuth(), false, false, nil, 0},
		{"system", systemRoots(), true, true, cert, 0},
		{"any", AnyOf(Roots(one), pins), true, true, []credential.Type{credential.X509, credential.RawPublicKey}, 0},
		{"any roots", AnyOf(Roots(one), Roots(two)), true, true, cert, 3},
		{"any or none", AnyOf(Roots(one), NoClientAuth()), true, false, cert, 0},
		{"all", AllOf(pins, Roots(one)), true, true, cert, 1},
		{"all with Verify", AllOf(pins, Verify(nil)), true, true, both, 0},
	} {
		request, require, types := test.peers.requirement(true)
		if request != test.request || require != test.require || !slices.Equal(types, test.types) || len(test.peers.authorities()) != test.authorities {
			t.Errorf("%s: %t, %t, %v, %d authorities", test.name, request, require, types, len(test.peers.authorities()))
		}
	}
	if names := Roots(one).authorities(); !bytes.Equal(names[0], authorityOf(t, seeded(10)).RawSubject) {
		t.Errorf("the name is %x", names[0])
	}
	many := x509.NewCertPool()
	for n := range byte(250) {
		many.AddCert(authorityOf(t, seeded(n)))
	}
	if names := Roots(many).authorities(); names != nil {
		t.Errorf("%d authorities are sent", len(names))
	}
}

// TestRootsAreCopied shows that a pool that grows later changes nothing.
func TestRootsAreCopied(t *testing.T) {
	t.Parallel()
	pool := poolOf(t, seeded(10))
	roots := Roots(pool)
	pool.AddCert(authorityOf(t, seeded(11)))
	peer := certPeer(t, issuedBy(t, seeded(11), seeded(1), "db.example", judgeTime.Add(time.Hour)))
	if _, err := roots.judge(t.Context(), asClient("db.example"), peer); alert.Of(err) != alert.UnknownCA {
		t.Errorf("got %v", err)
	}
}

// TestSwap changes a PinSet under the judgements of others.
func TestSwap(t *testing.T) {
	t.Parallel()
	a, b := seeded(1), seeded(2)
	s := NewPinSet(a.Pin())
	peer := rawPeer(t, a)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if _, err := s.judge(t.Context(), asServer(), peer); err != nil {
					t.Errorf("a pin that is always there: %v", err)
				}
			}
		})
	}
	for range 200 {
		s.Add(b.Pin())
		s.Remove(b.Pin())
		s.Replace(a.Pin(), b.Pin())
	}
	wg.Wait()
	s.Remove(a.Pin())
	if _, err := s.judge(t.Context(), asServer(), peer); !errors.Is(err, ErrPeerRefused) {
		t.Errorf("removed: %v", err)
	}
}

// TestNoPeerBytes shows that what a peer writes into its certificate turns up in
// no error.
func TestNoPeerBytes(t *testing.T) {
	t.Parallel()
	const chosen = "chosen.example"
	ca := seeded(10)
	peer := certPeer(t, issuedBy(t, ca, seeded(1), chosen, judgeTime.Add(time.Hour)))
	for _, peers := range []Peers{
		Roots(poolOf(t, ca)), Roots(poolOf(t, seeded(11))), Pins(seeded(9).Pin()),
		AnyOf(Pins(seeded(9).Pin()), Roots(poolOf(t, ca))), AllOf(Roots(poolOf(t, ca)), Verify(nil)),
	} {
		_, err := peers.judge(t.Context(), asClient("db.example"), peer)
		if text := fmt.Sprintf("%v %+v %s", err, err, err); err == nil || strings.Contains(text, chosen) {
			t.Errorf("%T: %s", peers, text)
		}
	}
}

func TestPeerKind(t *testing.T) {
	t.Parallel()
	want := "anonymous, raw public key, X.509 certificate, pre-shared key, PeerKind(4)"
	if got := fmt.Sprintf("%v, %v, %v, %v, %v", Anonymous, RawKey, X509, PSK, PeerKind(4)); got != want {
		t.Errorf("got %s", got)
	}
	if (Peer{}).Kind != Anonymous {
		t.Error("the zero Peer is somebody")
	}
}
