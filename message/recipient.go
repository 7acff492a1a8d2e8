// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/cms"
)

// A Recipient is somebody for whom messages are sealed: a public key for key
// agreement, X25519 or ECDH P-256, and what it is known by. It does not change.
type Recipient struct {
	key  *ecdh.PublicKey
	id   cms.Recipient
	pin  mayfly.Pin
	text string
}

const (
	recipientPrefix = "mfpub"

	// The first byte of a Recipient's data: the kind of its Identity's key.
	kindEd25519 = 0
	kindP256    = 1

	maxRecipient = 256 // bytes of a Recipient's data

	lenX25519 = 32
	lenP256   = 65 // uncompressed
)

// bindingContext stands before what an Identity signs of its Key. What it signs in
// TLS begins with 64 spaces, and in messages with a SET.
const bindingContext = "mayfly message encryption key v1\x00"

// ParseRecipient reads what Recipient.String returns. It checks that the Identity in
// it has signed the encryption key in it; whose Identity that is, Pin tells.
func ParseRecipient(s string) (*Recipient, error) {
	if err := checkMode(); err != nil {
		return nil, err
	}
	s = strings.TrimSpace(s)
	if _, err := mayfly.ParsePin(s); err == nil {
		return nil, errors.New("message: a pin is the hash of a key, and nothing can be sealed for a hash: ask its owner for the string that begins with mfpub1")
	}
	if !strings.HasPrefix(strings.ToLower(s), recipientPrefix+"1") {
		return nil, errors.New("message: a recipient is a string that begins with mfpub1, or a certificate")
	}
	data, err := decodeBech32(recipientPrefix, s, maxRecipient)
	if err != nil {
		return nil, errors.New("message: the recipient cannot be read: " + err.Error())
	}
	r, ok := parseRecipient(data)
	if !ok {
		return nil, errors.New("message: the recipient is of an unknown kind")
	}
	return r, nil
}

// CertificateRecipient returns the holder of a certificate with a key for key
// agreement: X25519, or on P-256 where its key usage allows that. Who issued the
// certificate, and whether it is valid, is for the caller to check.
func CertificateRecipient(cert *x509.Certificate) (*Recipient, error) {
	if err := checkMode(); err != nil {
		return nil, err
	}
	key, err := agreementKey(cert)
	if err != nil {
		return nil, err
	}
	return &Recipient{
		key: key,
		id:  certificateID(cert),
		pin: mayfly.PinOfCertificate(cert),
	}, nil
}

// Pin returns the pin of the Recipient's Identity; of one known by a certificate, that
// of the certificate's key.
func (r *Recipient) Pin() mayfly.Pin { return r.pin }

// String returns what ParseRecipient reads: letters and digits, with a checksum. Of
// a Recipient known by a certificate, it returns the pin.
func (r *Recipient) String() string {
	if r.text == "" {
		return r.pin.String()
	}
	return r.text
}

// Age returns the recipient's X25519 key as the age tool knows it, "age1…", for files
// in that format; "" for a key on P-256.
func (r *Recipient) Age() string {
	if r.key.Curve() != ecdh.X25519() {
		return ""
	}
	return encodeBech32("age", r.key.Bytes(), bech32)
}

// newRecipient is the public half of a key that an Identity has signed.
func newRecipient(identity crypto.PublicKey, key *ecdh.PublicKey, signature []byte) (*Recipient, error) {
	var data []byte
	switch identity := identity.(type) {
	case ed25519.PublicKey:
		data = append([]byte{kindEd25519}, identity...)
	case *ecdsa.PublicKey:
		point, err := identity.Bytes()
		if err != nil {
			return nil, errors.New("message: the identity's public key cannot be encoded")
		}
		data = append([]byte{kindP256}, point...)
	}
	data = append(append(data, key.Bytes()...), signature...)
	r, ok := parseRecipient(data)
	if !ok {
		return nil, errors.New("message: the identity's signature of its encryption key is wrong")
	}
	return r, nil
}

// parseRecipient reads and checks a Recipient's data.
func parseRecipient(data []byte) (*Recipient, bool) {
	if len(data) == 0 {
		return nil, false
	}
	var identity crypto.PublicKey
	rest := data[1:]
	switch kind := data[0]; {
	case kind == kindEd25519 && len(rest) == ed25519.PublicKeySize+lenX25519+ed25519.SignatureSize:
		identity, rest = ed25519.PublicKey(rest[:ed25519.PublicKeySize]), rest[ed25519.PublicKeySize:]
	case kind == kindP256 && len(rest) > lenP256+lenX25519:
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), rest[:lenP256])
		if err != nil {
			return nil, false
		}
		identity, rest = key, rest[lenP256:]
	default:
		return nil, false
	}
	pin, err := mayfly.PinOf(identity)
	if err != nil || !verifyRaw(identity, bindingText(rest[:lenX25519]), rest[lenX25519:]) {
		return nil, false
	}
	key, err := ecdh.X25519().NewPublicKey(rest[:lenX25519])
	if err != nil || weak(key) {
		return nil, false
	}
	return &Recipient{key: key, id: rawID(key), pin: pin, text: encodeBech32(recipientPrefix, data, bech32m)}, true
}

// bindingText is what an Identity signs.
func bindingText(key []byte) []byte { return append([]byte(bindingContext), key...) }

// weak reports whether everybody knows the secrets that are agreed upon with a key.
func weak(key *ecdh.PublicKey) bool {
	if key.Curve() != ecdh.X25519() {
		return false
	}
	probe, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{0x40}, lenX25519))
	if err != nil {
		return true
	}
	_, err = probe.ECDH(key) // RFC 7748, Section 6.1: all zero
	return err != nil
}

// agreementKey is the key in a certificate, if something can be sealed for it.
func agreementKey(cert *x509.Certificate) (*ecdh.PublicKey, error) {
	if cert == nil {
		return nil, errors.New("message: there is no certificate")
	}
	pub := cert.PublicKey
	if pub == nil { // crypto/x509 parses no key that it can do nothing with
		pub, _ = x509.ParsePKIXPublicKey(cert.RawSubjectPublicKeyInfo)
	}
	var key *ecdh.PublicKey
	switch pub := pub.(type) {
	case *ecdh.PublicKey:
		key = pub
	case *ecdsa.PublicKey:
		if pub.Curve == elliptic.P256() {
			key, _ = pub.ECDH()
		}
	case ed25519.PublicKey:
		return nil, errors.New("message: the certificate's Ed25519 key signs, and nothing can be sealed for it: ask its owner for the certificate of an encryption key")
	case *rsa.PublicKey:
		return nil, errors.New("message: the certificate's key is RSA: messages are sealed for X25519 and P-256 keys alone")
	}
	if key == nil || key.Curve() != ecdh.X25519() && key.Curve() != ecdh.P256() || weak(key) {
		return nil, errors.New("message: the certificate's key is neither X25519 nor on P-256")
	}
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageKeyAgreement == 0 {
		return nil, errors.New("message: the certificate does not allow its key to agree on keys, so that nothing can be sealed for it")
	}
	return key, nil
}

// rawID is the subject key identifier of a raw key: the hash that its pin is, by
// method 4 of RFC 7093, Section 2.
func rawID(key *ecdh.PublicKey) cms.Recipient {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err) // There is no key of these two curves for which it fails.
	}
	id := sha256.Sum256(spki)
	return cms.Recipient{KeyID: id[:]}
}

// certificateID is the issuer and serial number of a certificate, in DER.
func certificateID(cert *x509.Certificate) cms.Recipient {
	serial := cert.SerialNumber.Bytes()
	if len(serial) == 0 || serial[0]&0x80 != 0 {
		serial = append([]byte{0}, serial...)
	}
	return cms.Recipient{Issuer: cert.RawIssuer, Serial: serial}
}
