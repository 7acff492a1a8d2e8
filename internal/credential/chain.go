// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/policy"
)

// VerifyOptions say by what a chain is judged.
type VerifyOptions struct {
	Roots  *x509.CertPool // nil: the system's
	Name   string         // that a server's certificate must be for: a host name or an IP address
	Now    time.Time
	Server bool // the peer is a server
}

// VerifyChain checks the peer's certificate, and returns the chains from it to
// the roots: for a server, that it is for Name and for servers; for a client, that
// it is for clients. No text of an error holds what the peer wrote into its
// certificates; errors.As finds the error of crypto/x509 behind it.
func VerifyChain(p *Peer, o VerifyOptions) ([][]*x509.Certificate, error) {
	if o.Now.IsZero() || o.Server && o.Name == "" {
		return nil, alert.New(alert.InternalError, "there is no name or no time to check a certificate by")
	}
	if p.flaw != nil {
		return nil, p.flaw
	}
	if p.Type != X509 || len(p.Certificates) == 0 {
		return nil, alert.New(alert.UnsupportedCertificate, "the peer showed a raw public key where it needs a certificate")
	}
	leaf := p.Certificates[0]
	if err := checkLeaf(leaf); err != nil {
		return nil, err
	}
	options := x509.VerifyOptions{
		Roots:         o.Roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   o.Now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if o.Server {
		options.DNSName = withoutZone(o.Name)
		options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, cert := range p.Certificates[1:] {
		if checkKey(cert.PublicKey) == nil {
			options.Intermediates.AddCert(cert)
		}
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return nil, refuse(p, err)
	}
	if chains = policy.Chains(chains, p.Key); len(chains) == 0 {
		return nil, alert.New(alert.BadCertificate, "the peer's chain has a key that FIPS 140-3 does not approve")
	}
	return chains, nil
}

// checkLeaf checks what RFC 9846, Section 4.5.1.2, asks of an end-entity
// certificate and crypto/x509 does not look at.
func checkLeaf(leaf *x509.Certificate) error {
	if leaf.Version != 3 {
		return alert.New(alert.UnsupportedCertificate, "the peer's certificate is not X.509v3")
	}
	return maySign(leaf)
}

// withoutZone takes the zone off an IPv6 address: no certificate has one.
func withoutZone(name string) string {
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.WithZone("").String()
	}
	return name
}

// refuse finds the alert and the sentence for an error of crypto/x509, whose own
// text is full of names that the peer chose.
func refuse(p *Peer, err error) error {
	code, sentence := alert.CertificateUnknown, "it cannot be verified"
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		code, sentence = refuseInvalid(e.Reason)
	} else if _, ok := errors.AsType[x509.HostnameError](err); ok {
		code, sentence = alert.BadCertificate, "it is for another name"
	} else if _, ok := errors.AsType[x509.UnhandledCriticalExtension](err); ok {
		code, sentence = alert.UnsupportedCertificate, "it has a critical extension that is not understood"
	} else if _, ok := errors.AsType[x509.SystemRootsError](err); ok {
		code, sentence = alert.InternalError, "the system's roots cannot be loaded"
	} else if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		code, sentence = alert.UnknownCA, "no trusted authority has signed it"
		if slices.ContainsFunc(p.Certificates, brokenHash) {
			code, sentence = alert.BadCertificate, "it, or one behind it, is signed with MD5 or SHA-1"
		}
	}
	return alert.Wrap(code, "the peer's certificate was refused", veiled{sentence, err})
}

func refuseInvalid(reason x509.InvalidReason) (alert.Code, string) {
	switch reason {
	case x509.Expired:
		return alert.CertificateExpired, "it, or one behind it, has expired or is not valid yet"
	case x509.IncompatibleUsage, x509.CANotAuthorizedForExtKeyUsage:
		return alert.UnsupportedCertificate, "it is not for this use"
	case x509.NotAuthorizedToSign, x509.TooManyIntermediates:
		return alert.BadCertificate, "it was issued by one that may not issue it"
	case x509.CANotAuthorizedForThisName, x509.UnconstrainedName:
		return alert.BadCertificate, "it has a name that its authority may not give"
	}
	return alert.BadCertificate, "it is not valid"
}

// brokenHash reports whether a certificate would have to be validated with MD5 or
// SHA-1 (RFC 9846, Section 4.5.1.3), which crypto/x509 refuses to do.
func brokenHash(cert *x509.Certificate) bool {
	if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
		return false // the beginning of a path: its signature means nothing
	}
	switch cert.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}
