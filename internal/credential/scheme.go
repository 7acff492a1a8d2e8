// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"slices"

	_ "crypto/sha256" // the hashes of the schemes
	_ "crypto/sha512"
)

// A Scheme is a SignatureScheme (RFC 9846, Section 4.3.3).
type Scheme uint16

// The schemes of RFC 9846, Section 4.3.3, that are in use here. Those of
// RSASSA-PKCS1-v1_5 sign certificates and nothing else.
const (
	PKCS1SHA256 Scheme = 0x0401 // rsa_pkcs1_sha256
	PKCS1SHA384 Scheme = 0x0501 // rsa_pkcs1_sha384
	PKCS1SHA512 Scheme = 0x0601 // rsa_pkcs1_sha512

	ECDSAP256SHA256 Scheme = 0x0403 // ecdsa_secp256r1_sha256
	ECDSAP384SHA384 Scheme = 0x0503 // ecdsa_secp384r1_sha384
	ECDSAP521SHA512 Scheme = 0x0603 // ecdsa_secp521r1_sha512

	PSSRSAESHA256 Scheme = 0x0804 // rsa_pss_rsae_sha256
	PSSRSAESHA384 Scheme = 0x0805 // rsa_pss_rsae_sha384
	PSSRSAESHA512 Scheme = 0x0806 // rsa_pss_rsae_sha512

	Ed25519 Scheme = 0x0807 // ed25519

	PSSPSSSHA256 Scheme = 0x0809 // rsa_pss_pss_sha256
	PSSPSSSHA384 Scheme = 0x080a // rsa_pss_pss_sha384
	PSSPSSSHA512 Scheme = 0x080b // rsa_pss_pss_sha512
)

// Schemes returns what is accepted in CertificateVerify, the most wanted first.
func Schemes() []Scheme {
	return []Scheme{
		Ed25519, ECDSAP256SHA256, ECDSAP384SHA384, ECDSAP521SHA512,
		PSSRSAESHA256, PSSRSAESHA384, PSSRSAESHA512,
		PSSPSSSHA256, PSSPSSSHA384, PSSPSSSHA512,
	}
}

// CertificateSchemes returns what is accepted in the signatures of certificates,
// the most wanted first. An authority's key with the RSASSA-PSS OID is not.
func CertificateSchemes() []Scheme {
	return []Scheme{
		Ed25519, ECDSAP256SHA256, ECDSAP384SHA384, ECDSAP521SHA512,
		PSSRSAESHA256, PSSRSAESHA384, PSSRSAESHA512,
		PKCS1SHA256, PKCS1SHA384, PKCS1SHA512,
	}
}

// String returns the name that the RFC gives the scheme.
func (s Scheme) String() string {
	switch s {
	case PKCS1SHA256:
		return "rsa_pkcs1_sha256"
	case PKCS1SHA384:
		return "rsa_pkcs1_sha384"
	case PKCS1SHA512:
		return "rsa_pkcs1_sha512"
	case ECDSAP256SHA256:
		return "ecdsa_secp256r1_sha256"
	case ECDSAP384SHA384:
		return "ecdsa_secp384r1_sha384"
	case ECDSAP521SHA512:
		return "ecdsa_secp521r1_sha512"
	case PSSRSAESHA256:
		return "rsa_pss_rsae_sha256"
	case PSSRSAESHA384:
		return "rsa_pss_rsae_sha384"
	case PSSRSAESHA512:
		return "rsa_pss_rsae_sha512"
	case Ed25519:
		return "ed25519"
	case PSSPSSSHA256:
		return "rsa_pss_pss_sha256"
	case PSSPSSSHA384:
		return "rsa_pss_pss_sha384"
	case PSSPSSSHA512:
		return "rsa_pss_pss_sha512"
	}
	return fmt.Sprintf("SignatureScheme(%#04x)", uint16(s))
}

// hash is the hash that a scheme of CertificateVerify signs: 0 for Ed25519, which
// takes the message itself.
func (s Scheme) hash() crypto.Hash {
	switch s {
	case ECDSAP256SHA256, PSSRSAESHA256, PSSPSSSHA256:
		return crypto.SHA256
	case ECDSAP384SHA384, PSSRSAESHA384, PSSPSSSHA384:
		return crypto.SHA384
	case ECDSAP521SHA512, PSSRSAESHA512, PSSPSSSHA512:
		return crypto.SHA512
	}
	return 0
}

// digest is what a key signs: the hash of content, or content itself for Ed25519.
func (s Scheme) digest(content []byte) []byte {
	if s == Ed25519 {
		return content
	}
	h := s.hash().New()
	h.Write(content)
	return h.Sum(nil)
}

// isPSS reports whether a scheme is of RSASSA-PSS.
func (s Scheme) isPSS() bool {
	return s >= PSSRSAESHA256 && s <= PSSRSAESHA512 || s >= PSSPSSSHA256 && s <= PSSPSSSHA512
}

// onlyEd25519 is not to be changed.
var onlyEd25519 = []Scheme{Ed25519}

// schemesOf are the schemes of CertificateVerify in which a key can sign, the
// most wanted first. RSA keys are taken for those with the rsaEncryption OID.
func schemesOf(key crypto.PublicKey) []Scheme {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return onlyEd25519
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return []Scheme{ECDSAP256SHA256}
		case elliptic.P384():
			return []Scheme{ECDSAP384SHA384}
		case elliptic.P521():
			return []Scheme{ECDSAP521SHA512}
		}
	case *rsa.PublicKey:
		schemes := []Scheme{PSSRSAESHA256, PSSRSAESHA384, PSSRSAESHA512}
		return slices.DeleteFunc(schemes, func(s Scheme) bool {
			// RFC 8017, Section 9.1.1, with a salt as long as the hash.
			return (key.N.BitLen()+6)/8 < 2*s.hash().Size()+2
		})
	}
	return nil
}
