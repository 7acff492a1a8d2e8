// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// edKey is an Ed25519 key by a number.
func edKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// ecKey is an ECDSA key by a number.
func ecKey(t testing.TB, curve elliptic.Curve, n byte) *ecdsa.PrivateKey {
	t.Helper()
	d := make([]byte, (curve.Params().BitSize+7)/8)
	d[len(d)-1] = n
	key, err := ecdsa.ParseRawPrivateKey(curve, d)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func spkiOf(t testing.TB, key any) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

// bigRSA is a public key of so many bits; its modulus is no product of primes.
func bigRSA(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(12345)), E: 65537}
}

func TestParseRawKey(t *testing.T) {
	t.Parallel()
	good := spkiOf(t, edKey(1).Public())
	x25519, _ := ecdh.X25519().NewPublicKey(bytes.Repeat([]byte{9}, 32))
	withNull := append([]byte{0x30, 0x2c, 0x30, 0x07}, good[4:9]...)
	withNull = append(append(withNull, 5, 0), good[9:]...)
	longLength := append([]byte{0x30, 0x81, 0x2a}, good[2:]...)
	for _, test := range []struct {
		name    string
		entries [][]byte
		want    alert.Code // 0: it is accepted
	}{
		{"Ed25519", [][]byte{good}, 0},
		{"P-256", [][]byte{spkiOf(t, ecKey(t, elliptic.P256(), 5).Public())}, 0},
		{"none", nil, alert.DecodeError},
		{"empty", [][]byte{{}}, alert.DecodeError},
		{"two", [][]byte{good, good}, alert.IllegalParameter},
		{"cut", [][]byte{good[:len(good)-1]}, alert.DecodeError},
		{"with more behind it", [][]byte{append(slices.Clone(good), 0)}, alert.DecodeError},
		{"with parameters", [][]byte{withNull}, alert.DecodeError},
		{"with a length that is not DER", [][]byte{longLength}, alert.DecodeError},
		{"a certificate", [][]byte{issue(t, nil).Raw}, alert.DecodeError},
		{"P-384", [][]byte{spkiOf(t, ecKey(t, elliptic.P384(), 5).Public())}, 0},
		{"RSA", [][]byte{spkiOf(t, bigRSA(2048))}, 0},
		{"RSA of 2047 bits", [][]byte{spkiOf(t, bigRSA(2047))}, alert.UnsupportedCertificate},
		{"RSA of 8200 bits", [][]byte{spkiOf(t, bigRSA(8200))}, alert.UnsupportedCertificate},
		{"X25519", [][]byte{spkiOf(t, x25519)}, alert.UnsupportedCertificate},
		{"low order", [][]byte{spkiOf(t, ed25519.PublicKey(make([]byte, 32)))}, alert.BadCertificate},
	} {
		p, err := ParsePeer(RawPublicKey, test.entries)
		if (err == nil) != (test.want == 0) || err != nil && alert.Of(err) != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if err == nil && (p.Type != RawPublicKey || p.Key == nil || !bytes.Equal(p.SPKI, test.entries[0]) || p.Certificates != nil) {
			t.Errorf("%s: %+v", test.name, p)
		}
	}
}

// FuzzCanonical holds what a raw key's encoding must be against the standard
// library's.
func FuzzCanonical(f *testing.F) {
	for _, key := range []crypto.PublicKey{edKey(1).Public(), ecKey(f, elliptic.P256(), 1).Public(), ecKey(f, elliptic.P384(), 1).Public()} {
		spki, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(spki)
		f.Add(append(bytes.Clone(spki), 0))
		// The same with parameters after the algorithm's, NULL.
		long := append([]byte{spki[0], spki[1] + 2, spki[2], spki[3] + 2}, spki[4:4+int(spki[3])]...)
		f.Add(append(append(long, 5, 0), spki[4+int(spki[3]):]...))
	}
	f.Fuzz(func(t *testing.T, spki []byte) {
		key, err := x509.ParsePKIXPublicKey(spki)
		if err != nil {
			return
		}
		if _, ok := key.(ed25519.PublicKey); !ok {
			if _, ok := key.(*ecdsa.PublicKey); !ok {
				if _, ok := key.(*rsa.PublicKey); !ok {
					return
				}
			}
		}
		want, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if canonical(spki, key) != bytes.Equal(spki, want) {
			t.Errorf("%x: canonical: %v; the standard library: %x", spki, canonical(spki, key), want)
		}
	})
}

func TestParseChain(t *testing.T) {
	t.Parallel()
	leaf := issue(t, nil).Raw
	withKey := func(key any) []byte { return issue(t, func(o *order) { o.key = key }).Raw }
	many := func(n int) [][]byte { return slices.Repeat([][]byte{leaf}, n) }
	large := issue(t, func(o *order) {
		for i := range 1500 {
			o.DNSNames = append(o.DNSNames, strings.Repeat("a", 20)+string(rune('a'+i%26))+".example")
		}
	}).Raw
	for _, test := range []struct {
		name    string
		entries [][]byte
		want    alert.Code
	}{
		{"a leaf", many(1), 0},
		{"a hundred", many(MostCertificates), 0},
		{"more", many(MostCertificates + 1), alert.BadCertificate},
		{"a large extension", [][]byte{large}, alert.BadCertificate},
		{"a large certificate", [][]byte{make([]byte, maxCertificate+1)}, alert.BadCertificate},
		{"a large chain", [][]byte{leaf, make([]byte, maxChain)}, alert.BadCertificate},
		{"damaged", [][]byte{leaf[:len(leaf)-1]}, alert.DecodeError},
		{"a raw key", [][]byte{spkiOf(t, edKey(1).Public())}, alert.DecodeError},
		{"P-521", [][]byte{withKey(ecKey(t, elliptic.P521(), 9).Public())}, 0},
		{"P-224", [][]byte{withKey(ecKey(t, elliptic.P224(), 9).Public())}, alert.UnsupportedCertificate},
		{"RSA 8192", [][]byte{withKey(bigRSA(8192))}, 0},
		{"RSA 8200", [][]byte{withKey(bigRSA(8200))}, alert.UnsupportedCertificate},
		{"RSA 2048", [][]byte{withKey(bigRSA(2048))}, 0},
		{"RSA 2047", [][]byte{withKey(bigRSA(2047))}, alert.UnsupportedCertificate},
		{"RSA 8200 behind", [][]byte{leaf, withKey(bigRSA(8200))}, alert.UnsupportedCertificate},
		{"RSA 1024 behind", [][]byte{leaf, withKey(bigRSA(1024))}, 0},
		{"low order", [][]byte{withKey(ed25519.PublicKey(make([]byte, 32)))}, alert.BadCertificate},
	} {
		p, err := ParsePeer(X509, test.entries)
		if (err == nil) != (test.want == 0) || err != nil && alert.Of(err) != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if err == nil && (p.Type != X509 || len(p.Certificates) != len(test.entries) || !bytes.Equal(p.SPKI, p.Certificates[0].RawSubjectPublicKeyInfo)) {
			t.Errorf("%s: %+v", test.name, p)
		}
	}
	if p, err := ParsePeer(X509, [][]byte{leaf, {1}}); err != nil || alert.Of(p.Flaw()) != alert.DecodeError || len(p.Certificates) != 1 {
		t.Errorf("damaged behind: %+v, %v", p, err)
	}
	if _, err := ParsePeer(1, many(1)); alert.Of(err) != alert.UnsupportedCertificate {
		t.Errorf("OpenPGP: %v", err)
	}
}

// TestLowOrder lets the standard library show that each of the keys that are
// refused has signatures that nobody needed a private key for.
func TestLowOrder(t *testing.T) {
	t.Parallel()
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1 // R is the neutral element, and S is 0
	for _, y := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		key, _ := hex.DecodeString(y)
		for _, sign := range []byte{0, 0x80} {
			key[31] |= sign
			if !lowOrder(key) {
				t.Errorf("%x is not refused", key)
			}
			accepted := false
			for n := uint32(0); n < 200 && !accepted; n++ {
				accepted = ed25519.Verify(key, binary.BigEndian.AppendUint32(nil, n), forged)
			}
			if !accepted {
				t.Errorf("%x: no forgery was accepted, so that it need not be refused", key)
			}
		}
	}
	for n := range byte(50) {
		if lowOrder(edKey(n).Public().(ed25519.PublicKey)) {
			t.Errorf("key %d is refused", n)
		}
	}
}

// TestSign signs with each kind of key and has the peer's side verify it.
func TestSign(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	content := SignedContent(true, make([]byte, 32))
	for _, test := range []struct {
		key     crypto.Signer
		schemes []Scheme
	}{
		{edKey(1), []Scheme{Ed25519}},
		{ecKey(t, elliptic.P256(), 7), []Scheme{ECDSAP256SHA256}},
		{ecKey(t, elliptic.P384(), 7), []Scheme{ECDSAP384SHA384}},
		{ecKey(t, elliptic.P521(), 7), []Scheme{ECDSAP521SHA512}},
		{rsaKey, []Scheme{PSSRSAESHA256, PSSRSAESHA384, PSSRSAESHA512}},
		{device{edKey(2)}, []Scheme{Ed25519}},
	} {
		leaf := issue(t, func(o *order) { o.key = test.key.Public() })
		c := &Credential{Type: X509, Entries: [][]byte{leaf.Raw}, Signer: test.key, Leaf: leaf}
		p, err := ParsePeer(X509, c.Entries)
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := c.SchemeFor(Schemes()); !ok || s != test.schemes[0] {
			t.Errorf("%T: SchemeFor %v, %t", test.key, s, ok)
		}
		for _, s := range append(Schemes(), PKCS1SHA256, 0x0203, 0) {
			signature, err := c.Sign(nil, s, content)
			if !slices.Contains(test.schemes, s) {
				if alert.Of(err) != alert.InternalError || signature != nil {
					t.Errorf("%T signed with %v: %v", test.key, s, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%T, %v: %v", test.key, s, err)
			} else if err := Verify(p, s, content, signature); err != nil {
				t.Errorf("%T, %v: %v", test.key, s, err)
			}
		}
	}
	broken := &Credential{Type: RawPublicKey, Signer: failing{edKey(1)}}
	if _, err := broken.Sign(nil, Ed25519, content); alert.Of(err) != alert.InternalError || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a key that fails: %v", err)
	}
}

type device struct{ crypto.Signer }

type failing struct{ crypto.Signer }

func (failing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, io.ErrClosedPipe
}

func TestSchemeFor(t *testing.T) {
	t.Parallel()
	ed := &Credential{Signer: edKey(1)}
	if s, ok := ed.SchemeFor([]Scheme{ECDSAP256SHA256, PKCS1SHA256}); ok {
		t.Errorf("an Ed25519 key signs with %v", s)
	}
	rsaKey := &Credential{Signer: publicOnly{bigRSA(2048)}, Schemes: []Scheme{PKCS1SHA256, PSSRSAESHA512, PSSRSAESHA256}}
	if s, ok := rsaKey.SchemeFor(append(CertificateSchemes(), Schemes()...)); !ok || s != PSSRSAESHA512 {
		t.Errorf("the order of Schemes: %v, %t", s, ok)
	}
	small := &Credential{Signer: publicOnly{bigRSA(1024)}}
	if s, ok := small.SchemeFor([]Scheme{PSSRSAESHA512}); ok {
		t.Errorf("1024 bits have no room for %v", s)
	}
	if _, ok := (*Credential)(nil).SchemeFor(Schemes()); ok {
		t.Error("no credential has a scheme")
	}
}

type publicOnly struct{ key crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.key }
func (publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("it has no private key")
}

// TestNumbers pins the code points and names against RFC 9846, Section 4.3.3.
func TestNumbers(t *testing.T) {
	t.Parallel()
	names := map[uint16]string{
		0x0401: "rsa_pkcs1_sha256", 0x0501: "rsa_pkcs1_sha384", 0x0601: "rsa_pkcs1_sha512",
		0x0403: "ecdsa_secp256r1_sha256", 0x0503: "ecdsa_secp384r1_sha384", 0x0603: "ecdsa_secp521r1_sha512",
		0x0804: "rsa_pss_rsae_sha256", 0x0805: "rsa_pss_rsae_sha384", 0x0806: "rsa_pss_rsae_sha512",
		0x0807: "ed25519",
		0x0809: "rsa_pss_pss_sha256", 0x080a: "rsa_pss_pss_sha384", 0x080b: "rsa_pss_pss_sha512",
	}
	seen := map[Scheme]bool{}
	for _, s := range append(Schemes(), CertificateSchemes()...) {
		seen[s] = true
		if names[uint16(s)] != s.String() {
			t.Errorf("%#04x is called %v", uint16(s), s)
		}
	}
	if len(seen) != len(names) {
		t.Errorf("%d schemes, want %d", len(seen), len(names))
	}
	if s := Scheme(0x0203).String(); s != "SignatureScheme(0x0203)" {
		t.Error(s)
	}
	if X509.String() != "X509" || RawPublicKey.String() != "RawPublicKey" || Type(1).String() != "CertificateType(1)" {
		t.Error(X509, RawPublicKey, Type(1))
	}
}

// What cannot be parsed gets the same alert, whatever it should have been (RFC 9846,
// Section 6.2).
func TestCorruptRawKeyAndCorruptCertificateGetTheSameAlert(t *testing.T) {
	t.Parallel()
	spki, leaf := spkiOf(t, edKey(1).Public()), issue(t, func(*order) {}).Raw
	for name, corrupt := range map[string]func([]byte) []byte{
		"cut":         func(b []byte) []byte { return b[:len(b)-1] },
		"data behind": func(b []byte) []byte { return append(slices.Clone(b), 0) },
		"garbage":     func([]byte) []byte { return []byte("x") },
	} {
		_, key := ParsePeer(RawPublicKey, [][]byte{corrupt(spki)})
		_, cert := ParsePeer(X509, [][]byte{corrupt(leaf)})
		if alert.Of(key) != alert.DecodeError || alert.Of(cert) != alert.DecodeError {
			t.Errorf("%s: a raw key %v, a certificate %v", name, key, cert)
		}
	}
}
