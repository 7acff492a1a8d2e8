// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/cms"
)

// certifiedKey makes a certificate of key with a name, which issuer has signed; with a nil
// issuer, key itself.
func certifiedKey(t testing.TB, key crypto.Signer, name string, issuer *x509.Certificate, issuerKey crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name)) + 0x80), Subject: pkix.Name{CommonName: name}, SubjectKeyId: []byte("the same key"),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newEd25519(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// readSigned takes a SignedData apart, and returns what is in it and its content.
func readSigned(t *testing.T, b []byte) (*cms.Signed, []byte) {
	t.Helper()
	d := cms.NewDecoder(bytes.NewReader(b))
	s, c, err := cms.ReadSigned(d, false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(c.Pass(d))
	if err == nil {
		err = s.ReadTail(d, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, text
}

// TestReplacedCertificate has a recipient replace the signer's certificate by another of the
// same key, which the same authority has issued for another name.
func TestReplacedCertificate(t *testing.T) {
	t.Parallel()
	key, authorityKey := newEd25519(t), newEd25519(t)
	authority := certifiedKey(t, authorityKey, "authority", nil, nil)
	alice := certifiedKey(t, key, "alice", authority, authorityKey)
	mallory := certifiedKey(t, key, "mallory", authority, authorityKey)
	signer, err := CertificateSigner(tls.Certificate{Certificate: [][]byte{alice.Raw}, PrivateKey: key})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := newSigning(leaveOpen{&out}, signer, time.Unix(1e9, 0))
	if _, err := io.WriteString(w, "text"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	for name, v := range map[string]struct {
		certificates []*x509.Certificate
		id           cms.Recipient
		signer       string // "": refused
	}{
		"as it was":                  {[]*x509.Certificate{alice}, certificateID(alice), "alice"},
		"by key identifier":          {[]*x509.Certificate{alice}, cms.Recipient{KeyID: alice.SubjectKeyId}, "alice"},
		"with another beside it":     {[]*x509.Certificate{mallory, alice}, cms.Recipient{KeyID: alice.SubjectKeyId}, "alice"},
		"replaced":                   {[]*x509.Certificate{mallory}, certificateID(mallory), ""},
		"replaced by key identifier": {[]*x509.Certificate{mallory}, cms.Recipient{KeyID: alice.SubjectKeyId}, ""},
		"named beside it":            {[]*x509.Certificate{mallory, alice}, certificateID(mallory), ""},
	} {
		s, text := readSigned(t, out.Bytes())
		s.Certificates = nil
		for _, c := range v.certificates {
			s.Certificates = append(s.Certificates, c.Raw)
		}
		s.Signers[0].Recipient = v.id
		f := s.Frame(int64(len(text)))
		got, _, err := verify(inMemory(slices.Concat(f.Head, text, f.Tail)), false)
		switch {
		case v.signer == "":
			if !errors.Is(err, ErrNotAuthentic) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || !got.CertificateBound || got.Certificate.Subject.CommonName != v.signer:
			t.Errorf("%s: %+v, %v", name, got, err)
		default:
			if err := SignedUnder(roots, time.Now())(got); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestSigningCertificateAttribute signs with attributes that are right, malformed, or of
// another certificate.
func TestSigningCertificateAttribute(t *testing.T) {
	t.Parallel()
	key := newEd25519(t)
	cert, other := certifiedKey(t, key, "alice", nil, nil), certifiedKey(t, key, "mallory", nil, nil)
	id, otherID := certificateID(cert), certificateID(other)
	sum1, sum256, sum384, sum512 := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw), sha512.Sum384(cert.Raw), sha512.Sum512(cert.Raw)
	other1, other256 := sha1.Sum(other.Raw), sha256.Sum256(other.Raw)
	named := func(hash asn1.ObjectIdentifier, sum []byte, id cms.Recipient) cms.CertificateHash {
		return cms.CertificateHash{Hash: hash, Value: sum, ID: id}
	}
	v1 := func(all ...cms.CertificateHash) cms.SigningCertificate {
		return cms.SigningCertificate{Certificates: all}
	}
	v2 := func(all ...cms.CertificateHash) cms.SigningCertificate {
		return cms.SigningCertificate{V2: true, Certificates: all}
	}
	var none cms.Recipient
	good := named(cms.OIDSHA256, sum256[:], id)
	sha224 := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 4}
	for name, v := range map[string]struct {
		attrs []cms.SigningCertificate
		want  error
		bound bool
	}{
		"absent":                            {nil, nil, false},
		"SHA-256":                           {[]cms.SigningCertificate{v2(good)}, nil, true},
		"without issuer":                    {[]cms.SigningCertificate{v2(named(cms.OIDSHA256, sum256[:], none))}, nil, true},
		"SHA-384":                           {[]cms.SigningCertificate{v2(named(cms.OIDSHA384, sum384[:], id))}, nil, true},
		"SHA-512":                           {[]cms.SigningCertificate{v2(named(cms.OIDSHA512, sum512[:], id))}, nil, true},
		"SHA-1":                             {[]cms.SigningCertificate{v1(named(cms.OIDSHA1, sum1[:], id))}, nil, false},
		"both":                              {[]cms.SigningCertificate{v1(named(cms.OIDSHA1, sum1[:], id)), v2(good)}, nil, true},
		"others behind it":                  {[]cms.SigningCertificate{v2(good, named(cms.OIDSHA256, other256[:], otherID))}, nil, true},
		"of another":                        {[]cms.SigningCertificate{v2(named(cms.OIDSHA256, other256[:], otherID))}, ErrNotAuthentic, false},
		"others before it":                  {[]cms.SigningCertificate{v2(named(cms.OIDSHA256, other256[:], otherID), good)}, ErrNotAuthentic, false},
		"another issuer and serial number":  {[]cms.SigningCertificate{v2(named(cms.OIDSHA256, sum256[:], otherID))}, ErrNotAuthentic, false},
		"SHA-1, of another":                 {[]cms.SigningCertificate{v1(named(cms.OIDSHA1, other1[:], otherID))}, ErrNotAuthentic, false},
		"both, of another by SHA-1":         {[]cms.SigningCertificate{v1(named(cms.OIDSHA1, other1[:], none)), v2(good)}, ErrNotAuthentic, false},
		"both, of another by SHA-256":       {[]cms.SigningCertificate{v1(named(cms.OIDSHA1, sum1[:], none)), v2(named(cms.OIDSHA256, other256[:], none))}, ErrNotAuthentic, false},
		"a hash cut short":                  {[]cms.SigningCertificate{v2(named(cms.OIDSHA256, sum256[:31], id))}, ErrNotAuthentic, false},
		"an empty hash":                     {[]cms.SigningCertificate{v2(named(cms.OIDSHA256, nil, id))}, ErrNotAuthentic, false},
		"twice":                             {[]cms.SigningCertificate{v2(good), v2(good)}, ErrNotAuthentic, false},
		"SHA-1, twice":                      {[]cms.SigningCertificate{v1(named(cms.OIDSHA1, sum1[:], id)), v1(named(cms.OIDSHA1, sum1[:], id))}, ErrNotAuthentic, false},
		"empty":                             {[]cms.SigningCertificate{v2()}, ErrNotAuthentic, false},
		"SHA-224":                           {[]cms.SigningCertificate{v2(named(sha224, sum256[:28], id))}, ErrUnsupported, false},
		"SHA-1 in the place of SHA-2":       {[]cms.SigningCertificate{v2(named(cms.OIDSHA1, sum1[:], id))}, ErrUnsupported, false},
		"SHA-224 behind it":                 {[]cms.SigningCertificate{v2(good, named(sha224, sum256[:28], id))}, ErrUnsupported, false},
		"more certificates than are hashed": {[]cms.SigningCertificate{v2(slices.Repeat([]cms.CertificateHash{good}, maxCertificates+1)...)}, ErrTooLarge, false},
	} {
		attrs := signedAttributes(v.attrs...)
		got, err := verifyAttributes(key, cert, attrs)
		if !errors.Is(err, v.want) || err == nil && (got.CertificateBound != v.bound || !got.Certificate.Equal(cert)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// The values of the attribute, as DER. {hash} is an OCTET STRING with the right hash.
	hash := "0420" + hex.EncodeToString(sum256[:])
	seq := func(parts ...string) string {
		b, err := hex.DecodeString(join(parts))
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(cms.Sequence(b))
	}
	set := func(values ...string) string {
		b := seq(values...)
		return "31" + b[2:]
	}
	value := seq(seq(seq(hash)))
	for name, v := range map[string]struct {
		values string
		want   error
	}{
		"right":                        {set(value), nil},
		"with the default hash":        {set(seq(seq(seq(seq("0609608648016503040201"), hash)))), nil},
		"with parameters of NULL":      {set(seq(seq(seq(seq("0609608648016503040201", "0500"), hash)))), nil},
		"with policies":                {set(seq(seq(seq(hash)), seq(seq("060355040a")))), nil},
		"two values":                   {set(value, value), ErrNotAuthentic},
		"no value":                     {set(), ErrNotAuthentic},
		"no SEQUENCE":                  {set("0500"), ErrNotAuthentic},
		"no list":                      {set(seq()), ErrNotAuthentic},
		"no hash":                      {set(seq(seq(seq()))), ErrNotAuthentic},
		"a hash that is none":          {set(seq(seq(seq(seq("0500"), hash)))), ErrNotAuthentic},
		"something behind the hash":    {set(seq(seq(seq(hash, "0500")))), ErrNotAuthentic},
		"something behind the issuer":  {set(seq(seq(seq(hash, seq(seq("a402"+"3000"), "020101"), "0500")))), ErrNotAuthentic},
		"an issuer that is no name":    {set(seq(seq(seq(hash, seq(seq("8201"+"61"), "020101"))))), ErrNotAuthentic},
		"two issuers":                  {set(seq(seq(seq(hash, seq(seq("a402"+"3000", "a402"+"3000"), "020101"))))), ErrNotAuthentic},
		"no serial number":             {set(seq(seq(seq(hash, seq(seq("a402"+"3000")))))), ErrNotAuthentic},
		"something behind the list":    {set(seq(seq(seq(hash)), "0500")), ErrNotAuthentic},
		"something behind policies":    {set(seq(seq(seq(hash)), seq(), "0500")), ErrNotAuthentic},
		"a second hash that is broken": {set(seq(seq(seq(hash), "0500"))), ErrNotAuthentic},
	} {
		oid, err := asn1.Marshal(cms.OIDSigningCertificateV2)
		if err != nil {
			t.Fatal(err)
		}
		values, err := hex.DecodeString(v.values)
		if err != nil {
			t.Fatal(err)
		}
		plain := signedAttributes()
		attrs := cms.Sequence(plain[2:], cms.Sequence(oid, values))
		attrs[0] = 0x31
		got, err := verifyAttributes(key, cert, attrs)
		if !errors.Is(err, v.want) || err == nil && !got.CertificateBound {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func join(parts []string) (s string) {
	for _, p := range parts {
		s += p
	}
	return s
}

// signedAttributes are those of the content "text", and others.
func signedAttributes(more ...cms.SigningCertificate) []byte {
	digest := sha512.Sum512([]byte("text"))
	return cms.Attributes{ContentType: cms.OIDData, MessageDigest: digest[:], SigningCertificates: more}.Marshal()
}

// verifyAttributes signs attributes, and verifies that.
func verifyAttributes(key ed25519.PrivateKey, cert *x509.Certificate, attrs []byte) (*Signature, error) {
	s := &cms.Signed{
		Digests: []cms.Algorithm{{ID: cms.OIDSHA512}}, Certificates: [][]byte{cert.Raw},
		Signers: []cms.Signer{{
			Recipient: certificateID(cert), Digest: cms.Algorithm{ID: cms.OIDSHA512}, Attrs: attrs,
			Scheme: cms.Algorithm{ID: cms.OIDEd25519}, Signature: ed25519.Sign(key, attrs),
		}},
	}
	f := s.Frame(4)
	got, _, err := verify(inMemory(slices.Concat(f.Head, []byte("text"), f.Tail)), false)
	return got, err
}

// TestSigningCertificateLimitsTheChain names, behind the signer's certificate, those that may
// stand in its chain: RFC 5035, Section 3.
func TestSigningCertificateLimitsTheChain(t *testing.T) {
	t.Parallel()
	rootKey, middleKey, key := newEd25519(t), newEd25519(t), newEd25519(t)
	root := certifiedKey(t, rootKey, "root", nil, nil)
	middle := certifiedKey(t, middleKey, "intermediate", root, rootKey)
	leaf := certifiedKey(t, key, "leaf", middle, middleKey)
	hash := func(c *x509.Certificate) cms.CertificateHash {
		sum := sha256.Sum256(c.Raw)
		return cms.CertificateHash{Hash: cms.OIDSHA256, Value: sum[:]}
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	for name, v := range map[string]struct {
		named []cms.CertificateHash
		want  error
	}{
		"the signer's only":      {[]cms.CertificateHash{hash(leaf)}, nil},
		"the chain":              {[]cms.CertificateHash{hash(leaf), hash(middle)}, nil},
		"the chain and the root": {[]cms.CertificateHash{hash(leaf), hash(middle), hash(root)}, nil},
		"the root only":          {[]cms.CertificateHash{hash(leaf), hash(root)}, ErrNotAuthentic},
	} {
		attrs := signedAttributes(cms.SigningCertificate{V2: true, Certificates: v.named})
		s := &cms.Signed{
			Digests: []cms.Algorithm{{ID: cms.OIDSHA512}}, Certificates: [][]byte{leaf.Raw, middle.Raw},
			Signers: []cms.Signer{{
				Recipient: certificateID(leaf), Digest: cms.Algorithm{ID: cms.OIDSHA512}, Attrs: attrs,
				Scheme: cms.Algorithm{ID: cms.OIDEd25519}, Signature: ed25519.Sign(key, attrs),
			}},
		}
		f := s.Frame(4)
		got, _, err := verify(inMemory(slices.Concat(f.Head, []byte("text"), f.Tail)), false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := SignedUnder(roots, time.Now())(got); !errors.Is(err, v.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
