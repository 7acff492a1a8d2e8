// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"

	"github.com/mayfly-tls/mayfly/internal/trust"
)

// A Pin names a public key: it is the SHA-256 of the key's SubjectPublicKeyInfo.
// A raw public key and a certificate with the same key have the same Pin. Pins
// can be compared with == and be keys of a map. The zero Pin is nobody's.
type Pin [sha256.Size]byte

// PinOf returns the Pin of a public key of a kind that x509.MarshalPKIXPublicKey
// knows.
func PinOf(pub crypto.PublicKey) (Pin, error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return Pin{}, errors.New("mayfly: there is no pin of a key of this kind")
	}
	return sha256.Sum256(spki), nil
}

// PinOfCertificate returns the Pin of the key in a parsed certificate.
func PinOfCertificate(cert *x509.Certificate) Pin {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// ParsePin reads what String writes, and nothing else.
func ParsePin(s string) (Pin, error) {
	p, ok := trust.ParsePin(s)
	if !ok {
		return Pin{}, errors.New(`mayfly: this is not a pin: "sha256//" and the base64 of 32 bytes, as String and curl --pinnedpubkey write it`)
	}
	return p, nil
}

// String returns "sha256//" and the key's hash in base64, as curl --pinnedpubkey
// takes it.
func (p Pin) String() string { return trust.FormatPin(p) }

// MarshalText is String.
func (p Pin) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParsePin.
func (p *Pin) UnmarshalText(text []byte) error {
	parsed, err := ParsePin(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// is compares in constant time. It is what decides about peers.
func (p Pin) is(q Pin) bool { return subtle.ConstantTimeCompare(p[:], q[:]) == 1 }
