// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package policy says which algorithms a process may use that runs in a FIPS 140-3 mode.
// With GODEBUG=fips140=on it has the policy of crypto/tls: what is not approved is treated
// as if it were not implemented. Without a mode, everything that is implemented is allowed.
//
// It must not know the protocol.
package policy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
)

// The lists of crypto/tls, and what that does not implement and the Go Cryptographic Module
// does: MLKEM1024 (FIPS 203), and RSASSA-PSS with keys of that OID (FIPS 186-5).
var (
	approvedSuites = []uint16{
		0x1301, // TLS_AES_128_GCM_SHA256
		0x1302, // TLS_AES_256_GCM_SHA384
	}
	approvedGroups = []uint16{
		0x0017, // secp256r1
		0x0018, // secp384r1
		0x0019, // secp521r1
		0x0202, // MLKEM1024
		0x11eb, // SecP256r1MLKEM768
		0x11ec, // X25519MLKEM768
		0x11ed, // SecP384r1MLKEM1024
	}
	approvedSchemes = []uint16{
		0x0401, 0x0501, 0x0601, // rsa_pkcs1_sha256 and its like, in certificates
		0x0403, 0x0503, 0x0603, // ecdsa_secp256r1_sha256 and its like
		0x0804, 0x0805, 0x0806, // rsa_pss_rsae_sha256 and its like
		0x0809, 0x080a, 0x080b, // rsa_pss_pss_sha256 and its like
		0x0807, // ed25519
	}
)

// minRSA is the length of the modulus, in bits, from which a key is approved.
const minRSA = 2048

// errEnforced is the answer to a mode in which the standard library returns errors, or
// panics, for what TLS is made of here: HKDF over a hash that is not its own, AES-GCM with
// nonces that the caller chooses, X25519.
var errEnforced = errors.New("GODEBUG=fips140=only is not supported: this mode forbids HKDF and AES-GCM as mayfly calls them; use fips140=on, which has the same algorithms, or off")

// enforced is the mode of the process. A caller may suspend it for its own goroutine
// (fips140.WithoutEnforcement), and connections work in others.
var enforced = fips140.Enforced()

// Check returns an error where the process may use nothing but what the Go Cryptographic
// Module approves call by call (GODEBUG=fips140=only).
func Check() error {
	if enforced {
		return errEnforced
	}
	return nil
}

// Restricted reports whether only approved algorithms are in use.
func Restricted() bool { return fips140.Enabled() }

// Suites returns the cipher suites of a list that may be used. The list is not changed.
func Suites[T ~uint16](list []T) []T { return allowed(list, approvedSuites) }

// Groups is Suites for named groups.
func Groups[T ~uint16](list []T) []T { return allowed(list, approvedGroups) }

// Schemes is Suites for signature schemes.
func Schemes[T ~uint16](list []T) []T { return allowed(list, approvedSchemes) }

func allowed[T ~uint16](list []T, approved []uint16) []T {
	if !Restricted() {
		return list
	}
	return filter(list, approved)
}

// filter returns the values of a list that are approved.
func filter[T ~uint16](list []T, approved []uint16) []T {
	kept := make([]T, 0, len(list))
	for _, v := range list {
		if slices.Contains(approved, uint16(v)) {
			kept = append(kept, v)
		}
	}
	return kept
}

// Choose returns the values that a field of a Config asks for, each once, or the defaults,
// less what allowed excludes (Suites, Groups or Schemes). It is an error if one of them is
// not known, or none is left. there says in words which are known.
func Choose[W, T ~uint16](field string, wanted []W, defaults []T, known func(T) bool, allowed func([]T) []T, there string) ([]T, error) {
	list := defaults
	if wanted != nil {
		list = nil
	}
	for _, w := range wanted {
		if !known(T(w)) {
			return nil, errors.New(field + " holds one that is not supported: there are " + there)
		}
		if !slices.Contains(list, T(w)) {
			list = append(list, T(w))
		}
	}
	if len(list) == 0 {
		return nil, errors.New(field + " is empty: leave it nil for the default")
	}
	if list = allowed(list); len(list) == 0 {
		return nil, errors.New(field + " holds none that FIPS 140-3 approves, and the process runs with GODEBUG=fips140=on")
	}
	return list, nil
}

// Key reports whether a key may sign, or be the key of a certificate.
func Key(key crypto.PublicKey) bool { return !Restricted() || approvedKey(key) }

func approvedKey(key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSA
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P256() || key.Curve == elliptic.P384() || key.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return true
	}
	return false
}

// Chains returns the chains of which every certificate has a key that may be used. leaf is
// the key of their first one: crypto/x509 does not parse all kinds.
func Chains(chains [][]*x509.Certificate, leaf crypto.PublicKey) [][]*x509.Certificate {
	if !Restricted() {
		return chains
	}
	return approvedChains(chains, leaf)
}

func approvedChains(chains [][]*x509.Certificate, leaf crypto.PublicKey) (kept [][]*x509.Certificate) {
	if !approvedKey(leaf) {
		return nil
	}
	weak := func(c *x509.Certificate) bool { return !approvedKey(c.PublicKey) }
	for _, chain := range chains {
		if len(chain) > 0 && !slices.ContainsFunc(chain[1:], weak) {
			kept = append(kept, chain)
		}
	}
	return kept
}
