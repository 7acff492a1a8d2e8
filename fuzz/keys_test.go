// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/credential"
)

// now is the time at which all certificates are valid.
var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// serverName is the name in all certificates.
const serverName = "server.example"

// An owner is somebody with a key, shown raw or in a certificate.
type owner struct {
	identity *mayfly.Identity
	cert     tls.Certificate
	raw      *credential.Credential
	x509     *credential.Credential
}

func (o *owner) pin() string { return o.identity.Pin().String() }

// A cast is the owners of all keys, made once.
type cast struct {
	pool           *x509.CertPool
	authority      *x509.Certificate
	serverEd       *owner
	serverP256     *owner
	client         *owner // Ed25519
	clientP256     *owner
	stranger       *owner // of whom nobody has heard; the same authority has signed
	outcast        *owner // whose authority nobody trusts
	rsa, p384, old *owner // no raw keys
}

var people = sync.OnceValue(func() *cast {
	key := func(n byte) crypto.Signer {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = n
		return ed25519.NewKeyFromSeed(seed)
	}
	p256 := func(n byte) crypto.Signer {
		b := make([]byte, 32)
		b[31] = n
		return must(ecdsa.ParseRawPrivateKey(elliptic.P256(), b))
	}
	root, rootKey := authority("root", key(1))
	other, otherKey := authority("other", key(2))
	c := &cast{pool: x509.NewCertPool(), authority: root}
	c.pool.AddCert(root)
	c.serverEd = issue(key(3), root, rootKey, now.Add(time.Hour))
	c.serverP256 = issue(p256(4), root, rootKey, now.Add(time.Hour))
	c.client = issue(key(5), root, rootKey, now.Add(time.Hour))
	c.clientP256 = issue(p256(6), root, rootKey, now.Add(time.Hour))
	c.stranger = issue(key(7), root, rootKey, now.Add(time.Hour))
	c.outcast = issue(key(8), other, otherKey, now.Add(time.Hour))
	c.rsa = issue(must(rsa.GenerateKey(rand.Reader, 2048)), root, rootKey, now.Add(time.Hour))
	c.p384 = issue(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), root, rootKey, now.Add(time.Hour))
	c.old = issue(key(9), root, rootKey, now.Add(-time.Minute))
	return c
})

func authority(name string, key crypto.Signer) (*x509.Certificate, crypto.Signer) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return must(x509.ParseCertificate(der)), key
}

func issue(key crypto.Signer, issuer *x509.Certificate, by crypto.Signer, until time.Time) *owner {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: now.Add(-time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), by))
	o := &owner{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}}
	o.x509 = &credential.Credential{Type: credential.X509, Entries: [][]byte{der}, Signer: key, Leaf: o.cert.Leaf}
	if id, err := mayfly.NewIdentity(key); err == nil { // the kinds of key that may be shown raw
		o.identity = id
		o.raw = &credential.Credential{Type: credential.RawPublicKey, Entries: [][]byte{must(x509.MarshalPKIXPublicKey(key.Public()))}, Signer: key}
	}
	return o
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
