// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/message"
)

// pattern is a content of n bytes, of which no two parts are the same.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(n) + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func seal(t testing.TB, plain []byte, to []*message.Recipient, o *message.SealOptions) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := message.Seal(&out, to, o)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write(plain); err != nil || n != len(plain) {
		t.Fatal(n, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// open opens from what cannot be sought in.
func open(sealed []byte, k *message.Key, o *message.OpenOptions) ([]byte, error) {
	m, err := message.Open(io.MultiReader(bytes.NewReader(sealed)), k, o)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return io.ReadAll(m)
}

func key(t testing.TB, pemText []byte) *message.Key {
	t.Helper()
	k, err := message.ParseKey(pemText)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func recipientIn(t testing.TB, pemText []byte) *message.Recipient {
	t.Helper()
	block, _ := pem.Decode(pemText)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	r, err := message.CertificateRecipient(cert)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newKey(t testing.TB) (*message.Key, *message.Recipient) {
	t.Helper()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k, err := message.NewKey(id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := k.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	return k, r
}

// certificate makes a certificate for a key that signs it itself.
func certificate(t testing.TB, name string, private crypto.Signer, usage x509.KeyUsage) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xc0ffee), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: usage,
		IsCA: usage&x509.KeyUsageCertSign != 0, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}

var signerKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := make(map[string]crypto.Signer)
	must := func(name string, k crypto.Signer, err error) {
		if err != nil {
			panic(err)
		}
		keys[name] = k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must("Ed25519", ed, err)
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		must("ECDSA "+c.Params().Name, k, err)
	}
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must("RSA-PSS", k, err)
	return keys
})

// signers are one of each kind.
func signers(t testing.TB) map[string]*message.Signer {
	t.Helper()
	all := make(map[string]*message.Signer)
	for name, k := range signerKeys() {
		s, err := message.CertificateSigner(certificate(t, name, k, x509.KeyUsageDigitalSignature))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = s
	}
	return all
}
