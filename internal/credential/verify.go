// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// SignedContent returns what a CertificateVerify signs (RFC 9846, Section 4.5.2).
// server says whose it is.
func SignedContent(server bool, transcriptHash []byte) []byte {
	context := "TLS 1.3, client CertificateVerify"
	if server {
		context = "TLS 1.3, server CertificateVerify"
	}
	content := make([]byte, 0, 64+len(context)+1+len(transcriptHash))
	for range 64 {
		content = append(content, ' ')
	}
	content = append(content, context...)
	content = append(content, 0)
	return append(content, transcriptHash...)
}

// Verify checks the signature of the peer's CertificateVerify over content. That
// the scheme was offered to the peer is the caller's to check, and so is p.Flaw.
func Verify(p *Peer, s Scheme, content, signature []byte) error {
	if !slices.Contains(p.schemes(), s) {
		return alert.New(alert.IllegalParameter, "the peer signed with a scheme that does not fit its key")
	}
	valid := false
	switch key := p.Key.(type) {
	case ed25519.PublicKey:
		valid = ed25519.Verify(key, content, signature)
	case *ecdsa.PublicKey:
		valid = ecdsa.VerifyASN1(key, s.digest(content), signature)
	case *rsa.PublicKey:
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		valid = rsa.VerifyPSS(key, s.hash(), s.digest(content), signature, options) == nil
	}
	if !valid {
		return alert.New(alert.DecryptError, "the peer's signature in CertificateVerify is wrong")
	}
	return nil
}

// maySign refuses a certificate whose key is for other uses, whoever issued it (RFC
// 9846, Section 4.5.1.2).
func maySign(leaf *x509.Certificate) error {
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return alert.New(alert.UnsupportedCertificate, "the peer's certificate does not allow its key to sign")
	}
	return nil
}
