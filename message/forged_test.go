// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/content"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// forge seals what Seal would not: by the rules of the cipher, as somebody can who has
// the recipient's public key, and by no others.
func forge(t *testing.T, to *Recipient, plain, attrs []byte, change func(*cms.Envelope)) []byte {
	t.Helper()
	key, nonce := volatile.New(32), make([]byte, content.NonceLen)
	if _, err := rand.Read(key.Bytes()); err != nil {
		t.Fatal(err)
	}
	wrapped, err := wrapFor(to, key.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	c, err := content.New(content.AES256GCM, key.Bytes(), nonce, attrs)
	if err != nil {
		t.Fatal(err)
	}
	b := append(bytes.Clone(plain), make([]byte, content.TagLen)...)[:len(plain)]
	if err := c.Seal(b, b); err != nil {
		t.Fatal(err)
	}
	tag := c.Tag()
	e := &cms.Envelope{
		Recipients: []cms.KeyAgreement{wrapped}, ContentType: cms.OIDData, AuthAttrs: attrs, MAC: tag[:],
		Cipher: cms.Algorithm{ID: cms.OIDAES256GCM, Parameters: cms.GCMParameters(nonce, len(tag))},
	}
	if change != nil {
		change(e)
	}
	f := e.Frame(int64(len(b)))
	return slices.Concat(f.Head, b, f.Tail)
}

// wantOpen opens a message, which must give text, or an error.
func wantOpen(t *testing.T, name string, sealed []byte, k *Key, o *OpenOptions, text string, want error) {
	t.Helper()
	m, err := Open(bytes.NewReader(sealed), k, o)
	var got []byte
	if err == nil {
		got, err = io.ReadAll(m)
	}
	if !errors.Is(err, want) || want == nil && string(got) != text || want != nil && len(got) > 0 {
		t.Errorf("%s: %q, %v", name, got, err)
	}
}

// TestContentTypes says of a content what its authenticated attributes do not: RFC 5083,
// Section 2.1.
func TestContentTypes(t *testing.T) {
	t.Parallel()
	k, to := testKey(t)
	const text = "the content"
	signed := signWith(t, text, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	var outer struct { // the ContentInfo around it
		ID   asn1.ObjectIdentifier
		Data asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(signed, &outer); err != nil {
		t.Fatal(err)
	}
	bare := outer.Data.Bytes
	says := func(id asn1.ObjectIdentifier) []byte { return cms.Attributes{ContentType: id}.Marshal() }
	silent := cms.Attributes{SigningTime: time.Unix(1e9, 0)}.Marshal()
	other := asn1.ObjectIdentifier{1, 2, 3}
	for name, v := range map[string]struct {
		plain []byte
		is    asn1.ObjectIdentifier
		attrs []byte
		want  error
	}{
		"data":                                {[]byte(text), cms.OIDData, nil, nil},
		"data, authenticated":                 {[]byte(text), cms.OIDData, says(cms.OIDData), nil},
		"data, with other attributes":         {[]byte(text), cms.OIDData, silent, nil},
		"data, authenticated as signed":       {bare, cms.OIDData, says(cms.OIDSignedData), ErrNotAuthentic},
		"data, authenticated as else":         {bare, cms.OIDData, says(other), ErrNotAuthentic},
		"signed, authenticated":               {bare, cms.OIDSignedData, says(cms.OIDSignedData), nil},
		"signed":                              {bare, cms.OIDSignedData, nil, ErrUnsupported},
		"signed, with other attributes":       {bare, cms.OIDSignedData, silent, ErrUnsupported},
		"signed, authenticated as data":       {bare, cms.OIDSignedData, says(cms.OIDData), ErrNotAuthentic},
		"something else":                      {[]byte(text), other, nil, ErrUnsupported},
		"something else, authenticated":       {[]byte(text), other, says(other), ErrUnsupported},
		"not attributes":                      {[]byte(text), cms.OIDData, []byte{0x31, 2, 5, 0}, ErrDamaged},
		"signed data that is a file":          {[]byte(text), cms.OIDSignedData, says(cms.OIDSignedData), ErrDamaged},
		"signed data in another ContentInfo ": {signed, cms.OIDSignedData, says(cms.OIDSignedData), ErrDamaged},
	} {
		sealed := forge(t, to, v.plain, v.attrs, func(e *cms.Envelope) { e.ContentType = v.is })
		wantOpen(t, name, sealed, k, nil, text, v.want)
	}
	// What nobody asked to be taken out of its signature stays in it.
	wantOpen(t, "a signed file", forge(t, to, signed, nil, nil), k, nil, string(signed), nil)
}

// TestTagLengths are those of RFC 5084, Section 3.2, and others.
func TestTagLengths(t *testing.T) {
	t.Parallel()
	k, to := testKey(t)
	for n := range 18 {
		for _, says := range []int{n, 16} {
			sealed := forge(t, to, []byte("text"), nil, func(e *cms.Envelope) {
				e.MAC = append(e.MAC, 0, 0)[:n]
				e.Cipher.Parameters = cms.GCMParameters(make([]byte, content.NonceLen), says)
			})
			var want error
			switch {
			case says < minTag || says > content.TagLen:
				want = ErrDamaged
			case n != says:
				want = ErrNotAuthentic
			}
			wantOpen(t, "a tag", sealed, k, nil, "text", want)
		}
	}
	later := forge(t, to, []byte("text"), nil, nil)
	version := []byte{2, 1, 0, 0x31}
	wantOpen(t, "version 1", bytes.Replace(later, version, []byte{2, 1, 1, 0x31}, 1), k, nil, "", ErrDamaged)
	wantOpen(t, "a long nonce", forge(t, to, nil, nil, func(e *cms.Envelope) {
		e.Cipher.Parameters = cms.GCMParameters(make([]byte, 16), 16)
	}), k, nil, "", ErrUnsupported)
}

// TestTries puts wrapped keys that are none before the one that is: so many are tried.
func TestTries(t *testing.T) {
	t.Parallel()
	k, to := testKey(t)
	for n, want := range map[int]error{0: nil, maxTries - 1: nil, maxTries: ErrDamaged, 1000: ErrDamaged} {
		sealed := forge(t, to, []byte("text"), nil, func(e *cms.Envelope) {
			none := cms.EncryptedKey{Recipient: to.id, Wrapped: make([]byte, 40)}
			e.Recipients[0].Keys = append(slices.Repeat([]cms.EncryptedKey{none}, n), e.Recipients[0].Keys...)
		})
		wantOpen(t, "a crowd", sealed, k, nil, "text", want)
	}
}

// TestWeakRecipients seals nothing for keys whose secrets everybody knows, which an
// identity may well have signed: RFC 7748, Section 6.1.
func TestWeakRecipients(t *testing.T) {
	t.Parallel()
	_, identity, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, lenX25519)
	one[0] = 1
	for _, b := range [][]byte{make([]byte, lenX25519), one} {
		weak, err := ecdh.X25519().NewPublicKey(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newRecipient(identity.Public(), weak, ed25519.Sign(identity, bindingText(b))); err == nil {
			t.Errorf("%x is a recipient", b)
		}
		if _, err := agreementKey(&x509.Certificate{PublicKey: weak}); err == nil {
			t.Errorf("a certificate of %x is a recipient", b)
		}
	}
}

// TestSignedRules signs, with a key that is accepted, what is no message: or does not,
// and says so.
func TestSignedRules(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("the content")
	digest := crypto.SHA512.New()
	digest.Write(text)
	cert := selfSigned(t, key, 1, x509.KeyUsageDigitalSignature)
	var crowd [][]byte
	for i := range maxCertificates {
		crowd = append(crowd, selfSigned(t, stranger, int64(i+2), 0).Raw)
	}
	for name, v := range map[string]struct {
		attrs  func(*cms.Attributes)
		change func(*cms.Signed)
		want   error
	}{
		"all is well":           {nil, nil, nil},
		"of another type":       {func(a *cms.Attributes) { a.ContentType = cms.OIDSignedData }, nil, ErrNotAuthentic},
		"of no type":            {func(a *cms.Attributes) { a.ContentType = nil }, nil, ErrNotAuthentic},
		"no digest":             {func(a *cms.Attributes) { a.MessageDigest = nil }, nil, ErrNotAuthentic},
		"another digest":        {func(a *cms.Attributes) { a.MessageDigest = make([]byte, 64) }, nil, ErrNotAuthentic},
		"no time":               {func(a *cms.Attributes) { a.SigningTime = time.Time{} }, nil, nil},
		"no attributes":         {nil, func(s *cms.Signed) { s.Signers[0].Attrs, s.Signers[0].Signature = nil, ed25519.Sign(key, text) }, ErrUnsupported},
		"nobody":                {nil, func(s *cms.Signed) { s.Signers = nil }, ErrUnsupported},
		"two":                   {nil, func(s *cms.Signed) { s.Signers = append(s.Signers, s.Signers[0]) }, ErrUnsupported},
		"no certificate":        {nil, func(s *cms.Signed) { s.Certificates = crowd[:1] }, ErrUnsupported},
		"some certificates":     {nil, func(s *cms.Signed) { s.Certificates = append(s.Certificates, crowd[1:]...) }, nil},
		"too many certificates": {nil, func(s *cms.Signed) { s.Certificates = append(s.Certificates, crowd...) }, ErrTooLarge},
		"by a stranger":         {nil, func(s *cms.Signed) { s.Signers[0].Signature = ed25519.Sign(stranger, s.Signers[0].Attrs) }, ErrNotAuthentic},
		"may not sign":          {nil, func(s *cms.Signed) { s.Certificates[0] = selfSigned(t, key, 1, x509.KeyUsageKeyAgreement).Raw }, ErrNotAuthentic},
		"another hash":          {nil, func(s *cms.Signed) { s.Signers[0].Digest.ID = cms.OIDSHA256 }, ErrUnsupported},
		"another scheme":        {nil, func(s *cms.Signed) { s.Signers[0].Scheme.ID = cms.OIDECDSAWithSHA512 }, ErrUnsupported},
		"of something else":     {nil, func(s *cms.Signed) { s.Signers[0].Signature = ed25519.Sign(key, bindingText(text)) }, ErrNotAuthentic},
	} {
		attrs := cms.Attributes{ContentType: cms.OIDData, MessageDigest: digest.Sum(nil), SigningTime: time.Unix(1e9, 0)}
		if v.attrs != nil {
			v.attrs(&attrs)
		}
		s := &cms.Signed{
			Digests: []cms.Algorithm{{ID: cms.OIDSHA512}}, Certificates: [][]byte{cert.Raw},
			Signers: []cms.Signer{{
				Recipient: certificateID(cert), Digest: cms.Algorithm{ID: cms.OIDSHA512}, Attrs: attrs.Marshal(),
				Scheme: cms.Algorithm{ID: cms.OIDEd25519}, Signature: ed25519.Sign(key, attrs.Marshal()),
			}},
		}
		if v.change != nil {
			v.change(s)
		}
		f := s.Frame(int64(len(text)))
		got, err := verified(slices.Concat(f.Head, text, f.Tail))
		if !errors.Is(err, v.want) || v.want == nil && !bytes.Equal(got, text) || v.want != nil && len(got) > 0 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func selfSigned(t *testing.T, key crypto.Signer, serial int64, usage x509.KeyUsage) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour), KeyUsage: usage}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
