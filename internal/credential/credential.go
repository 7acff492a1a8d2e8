// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A Credential is what this side shows, and the key that proves it.
type Credential struct {
	Type    Type
	Entries [][]byte // DER: the chain with the leaf first, or the one SubjectPublicKeyInfo

	OCSPResponse []byte   // for the leaf
	SCTs         [][]byte // for the leaf

	Signer  crypto.Signer
	Schemes []Scheme          // in order of preference; nil: all that the key can sign
	Leaf    *x509.Certificate // the first of Entries, parsed; nil for a raw public key
	Issuers IssuerRule
}

// An IssuerRule says what the authorities that a peer names are to a certificate.
type IssuerRule uint8

// The rules about issuers.
const (
	PreferIssuers  IssuerRule = iota // it goes first where the peer names its issuer
	IgnoreIssuers                    // they are nothing to it
	RequireIssuers                   // it is for peers that name its issuer
)

// Suits reports whether the credential is for a peer that names these authorities, and
// whether it may stand in where none is.
func (c *Credential) Suits(authorities [][]byte) (suits, fallback bool) {
	switch {
	case c.Type != X509, c.Issuers == IgnoreIssuers, c.IssuedBy(authorities):
		return true, true
	case c.Issuers == RequireIssuers:
		return false, false
	}
	return len(authorities) == 0, true
}

// SchemeFor returns the first of the credential's schemes that the peer accepts.
func (c *Credential) SchemeFor(peer []Scheme) (Scheme, bool) {
	if c == nil || c.Signer == nil {
		return 0, false
	}
	fit := c.fit()
	own := c.Schemes
	if own == nil {
		own = fit
	}
	for _, s := range own {
		if slices.Contains(fit, s) && slices.Contains(peer, s) {
			return s, true
		}
	}
	return 0, false
}

// fit are the schemes in which the credential's key can sign.
func (c *Credential) fit() []Scheme {
	if _, ok := c.Signer.(ed25519.PrivateKey); ok {
		return onlyEd25519 // whose public key would be a copy
	}
	return schemesOf(c.Signer.Public())
}

// Sign makes the signature of a CertificateVerify (RFC 9846, Section 4.5.2) over
// content, which SignedContent makes. A nil rand is crypto/rand.
func (c *Credential) Sign(rand io.Reader, s Scheme, content []byte) ([]byte, error) {
	if !slices.Contains(c.fit(), s) {
		return nil, alert.New(alert.InternalError, "the signature scheme does not fit this side's key")
	}
	if rand == nil {
		rand = cryptorand.Reader
	}
	var opts crypto.SignerOpts = s.hash()
	if s.isPSS() {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash()}
	}
	var signature []byte
	var err error
	sign := func() { signature, err = c.Signer.Sign(rand, s.digest(content), opts) }
	switch c.Signer.(type) {
	case ed25519.PrivateKey, *ecdsa.PrivateKey, *rsa.PrivateKey:
		volatile.Do(sign) // the nonce of a signature gives away the key
	default:
		sign() // a device's or an agent's: it may do anything, and has no nonce here
	}
	if err != nil {
		return nil, alert.Wrap(alert.InternalError, "this side's key did not sign", err)
	}
	return signature, nil
}

// IssuedBy reports whether one of the chain's certificates was issued by one of
// the authorities, which are DER distinguished names (RFC 9846, Section 4.5.1.2).
func (c *Credential) IssuedBy(authorities [][]byte) bool {
	if c.Type != X509 {
		return false
	}
	for i, der := range c.Entries {
		cert := c.Leaf
		if i > 0 || cert == nil {
			var err error
			if cert, err = x509.ParseCertificate(der); err != nil {
				continue
			}
		}
		issued := func(name []byte) bool { return bytes.Equal(name, cert.RawIssuer) }
		if slices.ContainsFunc(authorities, issued) {
			return true
		}
	}
	return false
}
