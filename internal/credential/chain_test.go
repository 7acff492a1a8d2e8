// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// These stand for whatever a peer writes into its certificates: they must not turn
// up in the text of an error.
const (
	secretName = "chosen-by-the-peer"
	rootName   = "chosen-by-its-authority-"
)

var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// An order is a certificate to be made.
type order struct {
	x509.Certificate
	key    any // the subject's public key
	issuer *x509.Certificate
	by     crypto.Signer
}

// issue makes a certificate, a leaf of authority 100 unless it is changed. Keys
// come from numbers.
func issue(t testing.TB, change func(*order)) *x509.Certificate {
	t.Helper()
	o := &order{
		Certificate: x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: secretName},
			DNSNames: []string{"db.example", secretName + ".example"}, IPAddresses: []net.IP{net.ParseIP("fe80::1"), net.IPv4(127, 0, 0, 1)},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		},
		key: edKey(1).Public(), issuer: authority(100, ""), by: edKey(100),
	}
	if change != nil {
		change(o)
	}
	der, err := x509.CreateCertificate(rand.Reader, &o.Certificate, o.issuer, o.key, o.by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// authority is what an authority's certificate would be made from.
func authority(n byte, permitted string) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(n)), Subject: pkix.Name{CommonName: rootName + string('a'+rune(n%26))},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, MaxPathLen: -1,
	}
	if permitted != "" {
		template.PermittedDNSDomains, template.PermittedDNSDomainsCritical = []string{permitted}, true
	}
	return template
}

// root is the certificate of an authority that signed itself.
func root(t testing.TB, n byte) *x509.Certificate {
	return issue(t, func(o *order) {
		o.Certificate, o.key, o.by = *authority(n, ""), edKey(n).Public(), edKey(n)
		o.issuer = &o.Certificate
	})
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

// between makes an authority under authority 100, and gives a leaf to it.
func between(t testing.TB, change func(*order)) []*x509.Certificate {
	var signer crypto.Signer = edKey(101)
	middle := issue(t, func(o *order) {
		o.Certificate, o.key = *authority(101, ""), signer
		if change != nil {
			change(o)
		}
		signer = o.key.(crypto.Signer)
		o.key = signer.Public()
	})
	leaf := issue(t, func(o *order) { o.issuer, o.by = middle, signer })
	return []*x509.Certificate{leaf, middle}
}

func TestVerifyChain(t *testing.T) {
	t.Parallel()
	leaf := func(change func(*order)) []*x509.Certificate { return []*x509.Certificate{issue(t, change)} }
	long := between(t, nil)
	self := issue(t, func(o *order) { o.issuer, o.by = &o.Certificate, edKey(1) })
	unknownCritical := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte(secretName)}
	for _, test := range []struct {
		name   string
		chain  []*x509.Certificate
		change func(*VerifyOptions)
		want   alert.Code // 0: it is accepted
	}{
		{"a leaf", leaf(nil), nil, 0},
		{"through another authority", long, nil, 0},
		{"with what nobody needs", append(slices.Clone(long), root(t, 55), long[0]), nil, 0},
		{"in another order", []*x509.Certificate{long[0], root(t, 100), long[1]}, nil, 0},
		{"a leaf among the roots", []*x509.Certificate{self}, func(o *VerifyOptions) { o.Roots = pool(self) }, 0},
		{"an address", leaf(nil), func(o *VerifyOptions) { o.Name = "127.0.0.1" }, 0},
		{"an address with a zone", leaf(nil), func(o *VerifyOptions) { o.Name = "fe80::1%eth0" }, 0},
		{"a name in capitals", leaf(nil), func(o *VerifyOptions) { o.Name = "DB.Example." }, 0},
		{"a client", leaf(nil), func(o *VerifyOptions) { o.Server, o.Name = false, "" }, 0},
		{"a client, whatever the name", leaf(nil), func(o *VerifyOptions) { o.Server = false; o.Name = "x" }, 0},

		{"another name", leaf(nil), func(o *VerifyOptions) { o.Name = "web.example" }, alert.BadCertificate},
		{"another address", leaf(nil), func(o *VerifyOptions) { o.Name = "127.0.0.2" }, alert.BadCertificate},
		{"the common name", leaf(func(o *order) { o.DNSNames, o.IPAddresses = nil, nil }), func(o *VerifyOptions) { o.Name = secretName }, alert.BadCertificate},
		{"no name", leaf(nil), func(o *VerifyOptions) { o.Name = "" }, alert.InternalError},
		{"no time", leaf(nil), func(o *VerifyOptions) { o.Now = time.Time{} }, alert.InternalError},
		{"too late", leaf(nil), func(o *VerifyOptions) { o.Now = now.Add(2 * time.Hour) }, alert.CertificateExpired},
		{"too early", leaf(nil), func(o *VerifyOptions) { o.Now = now.Add(-2 * time.Hour) }, alert.CertificateExpired},
		{"another root", leaf(nil), func(o *VerifyOptions) { o.Roots = pool(root(t, 55)) }, alert.UnknownCA},
		{"another root of the same name", leaf(func(o *order) { o.by = edKey(55); o.issuer = authority(100, "") }), nil, alert.UnknownCA},
		{"self-signed", []*x509.Certificate{self}, nil, alert.UnknownCA},
		{"no root", leaf(nil), func(o *VerifyOptions) { o.Roots = pool() }, alert.UnknownCA},
		{"without what is between", long[:1], nil, alert.UnknownCA},
		{"not for servers", leaf(func(o *order) { o.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), nil, alert.UnsupportedCertificate},
		{"not for clients", leaf(func(o *order) { o.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			func(o *VerifyOptions) { o.Server = false }, alert.UnsupportedCertificate},
		{"not for signing", leaf(func(o *order) { o.KeyUsage = x509.KeyUsageKeyEncipherment }), nil, alert.UnsupportedCertificate},
		{"a critical extension", leaf(func(o *order) { o.ExtraExtensions = []pkix.Extension{unknownCritical} }), nil, alert.UnsupportedCertificate},
		{"issued by a leaf", between(t, func(o *order) { o.IsCA, o.KeyUsage = false, x509.KeyUsageDigitalSignature }), nil, alert.UnknownCA},
		{"outside of its authority's names", between(t, func(o *order) { o.PermittedDNSDomains = []string{"other.example"} }), nil, alert.BadCertificate},
		{"through a key of P-256", between(t, func(o *order) { o.key = ecKey(t, elliptic.P256(), 3) }), nil, 0},
		{"through a key of P-224", between(t, func(o *order) { o.key = ecKey(t, elliptic.P224(), 3) }), nil, alert.UnknownCA},
	} {
		o := VerifyOptions{Roots: pool(root(t, 100)), Name: "db.example", Now: now, Server: true}
		if test.change != nil {
			test.change(&o)
		}
		var entries [][]byte
		for _, c := range test.chain {
			entries = append(entries, c.Raw)
		}
		p, err := ParsePeer(X509, entries)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		chains, err := VerifyChain(p, o)
		if (err == nil) != (test.want == 0) || err != nil && alert.Of(err) != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if (err == nil) != (len(chains) > 0) {
			t.Errorf("%s: %d chains and %v", test.name, len(chains), err)
		}
		if err != nil && (strings.Contains(err.Error(), secretName) || strings.Contains(err.Error(), "example") || strings.Contains(err.Error(), rootName)) {
			t.Errorf("%s: the text holds what the peer chose: %v", test.name, err)
		}
	}
}

// TestCause shows that the error of crypto/x509 can be found, and does not speak.
func TestCause(t *testing.T) {
	t.Parallel()
	p, err := ParsePeer(X509, [][]byte{issue(t, nil).Raw})
	if err != nil {
		t.Fatal(err)
	}
	_, err = VerifyChain(p, VerifyOptions{Roots: pool(root(t, 100)), Name: "web.example", Now: now, Server: true})
	cause, ok := errors.AsType[x509.HostnameError](err)
	if !ok || !strings.Contains(cause.Error(), secretName) {
		t.Fatalf("the cause of %v is %v", err, cause)
	}
}

// TestRawKeyHasNoChain shows that VerifyChain never accepts a raw key.
func TestRawKeyHasNoChain(t *testing.T) {
	t.Parallel()
	p, err := ParsePeer(RawPublicKey, [][]byte{spkiOf(t, edKey(1).Public())})
	if err != nil {
		t.Fatal(err)
	}
	_, err = VerifyChain(p, VerifyOptions{Roots: pool(root(t, 100)), Name: "db.example", Now: now, Server: true})
	if alert.Of(err) != alert.UnsupportedCertificate {
		t.Errorf("got %v", err)
	}
}

// TestBrokenHash changes the algorithm in a certificate to SHA-1, which needs no
// valid signature to be refused.
func TestBrokenHash(t *testing.T) {
	t.Parallel()
	p, err := ParsePeer(X509, [][]byte{issue(t, nil).Raw})
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, want := range map[x509.SignatureAlgorithm]alert.Code{
		x509.SHA1WithRSA: alert.BadCertificate, x509.MD5WithRSA: alert.BadCertificate,
		x509.ECDSAWithSHA1: alert.BadCertificate, x509.SHA256WithRSA: alert.UnknownCA,
	} {
		changed := *p.Certificates[0]
		changed.SignatureAlgorithm = algorithm
		q := &Peer{Type: X509, Key: p.Key, SPKI: p.SPKI, Certificates: []*x509.Certificate{&changed}}
		_, err := VerifyChain(q, VerifyOptions{Roots: pool(root(t, 100)), Name: "db.example", Now: now, Server: true})
		if alert.Of(err) != want {
			t.Errorf("%v: %v, want %v", algorithm, err, want)
		}
	}
}

// TestOldVersion gives a certificate the number of an older version.
func TestOldVersion(t *testing.T) {
	t.Parallel()
	changed := *issue(t, nil)
	changed.Version = 1
	p := &Peer{Type: X509, Key: changed.PublicKey, Certificates: []*x509.Certificate{&changed}}
	_, err := VerifyChain(p, VerifyOptions{Roots: pool(root(t, 100)), Name: "db.example", Now: now, Server: true})
	if alert.Of(err) != alert.UnsupportedCertificate {
		t.Errorf("got %v", err)
	}
}

func TestIssuedBy(t *testing.T) {
	t.Parallel()
	chain := between(t, nil)
	c := &Credential{Type: X509, Entries: [][]byte{chain[0].Raw, chain[1].Raw}, Leaf: chain[0]}
	for _, test := range []struct {
		name        string
		authorities [][]byte
		want        bool
	}{
		{"the leaf's issuer", [][]byte{chain[1].RawSubject}, true},
		{"the root", [][]byte{{1}, root(t, 100).RawSubject}, true},
		{"itself", [][]byte{chain[0].RawSubject}, false},
		{"another", [][]byte{root(t, 55).RawSubject}, false},
		{"nobody", nil, false},
	} {
		if got := c.IssuedBy(test.authorities); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
		without := *c
		without.Leaf = nil
		if got := without.IssuedBy(test.authorities); got != test.want {
			t.Errorf("%s, without Leaf: %t", test.name, got)
		}
	}
	raw := &Credential{Type: RawPublicKey, Entries: c.Entries}
	if raw.IssuedBy([][]byte{chain[0].RawIssuer}) {
		t.Error("a raw key has an issuer")
	}
}

// FuzzParsePeer looks for panics, and for peers that Verify or VerifyChain accept
// although nobody signed anything for them.
func FuzzParsePeer(f *testing.F) {
	f.Add(uint8(X509), issue(f, nil).Raw)
	f.Add(uint8(X509), root(f, 100).Raw)
	f.Add(uint8(RawPublicKey), spkiOf(f, edKey(1).Public()))
	f.Add(uint8(RawPublicKey), spkiOf(f, ecKey(f, elliptic.P256(), 3).Public()))
	roots := pool(root(f, 55))
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1
	f.Fuzz(func(t *testing.T, typ uint8, entry []byte) {
		p, err := ParsePeer(Type(typ), [][]byte{entry})
		if err != nil {
			if strings.Contains(err.Error(), secretName) || alert.Of(err) == alert.InternalError {
				t.Errorf("the error %v", err)
			}
			return
		}
		if len(p.schemes()) == 0 || !bytes.Contains(entry, p.SPKI) {
			t.Errorf("a peer with schemes %v and the key %x", p.schemes(), p.SPKI)
		}
		for _, s := range Schemes() {
			if Verify(p, s, []byte("content"), forged) == nil {
				t.Errorf("%v accepted a forgery", s)
			}
		}
		if _, err := VerifyChain(p, VerifyOptions{Roots: roots, Name: "db.example", Now: now, Server: true}); err == nil {
			t.Error("a stranger's chain was accepted")
		}
	})
}
