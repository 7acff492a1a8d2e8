// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/policy"
)

// A Credential is one of several things that a side can show: see Config.Credentials.
// One of Identity and Certificate is set.
type Credential struct {
	Identity    *Identity        // shown as a raw public key
	Certificate *tls.Certificate // an X.509 chain

	// SignatureSchemes are those in which it signs, the most wanted first. Nil: all that
	// its key can sign in, or the Certificate's SupportedSignatureAlgorithms.
	SignatureSchemes []tls.SignatureScheme

	// Issuers says what the authorities that a peer names are to the Certificate.
	Issuers IssuerRule
}

// An IssuerRule says what is made of the authorities by which a peer says that it
// judges certificates (RFC 9846, Section 4.3.4).
type IssuerRule uint8

// The rules about issuers.
const (
	// PreferIssuers has a certificate of an authority that the peer names go before
	// others. A client shows no certificate to a server that names other authorities:
	// who it is is none of that server's business.
	PreferIssuers IssuerRule = iota

	// IgnoreIssuers shows the certificate whatever authorities the peer names.
	IgnoreIssuers

	// RequireIssuers shows the certificate only to peers that name one of its issuers.
	RequireIssuers
)

// settleCredentials collects what this side can show, the most wanted first: its raw
// key before its certificates, unless Credentials says otherwise.
func (s *settings) settleCredentials() error {
	list := slices.Clone(s.Credentials)
	if s.Identity != nil {
		list = append(list, Credential{Identity: s.Identity})
	}
	for i := range s.Certificates {
		list = append(list, Credential{Certificate: &s.Certificates[i]})
	}
	if s.Credentials != nil && len(list) > len(s.Credentials) {
		return configError("Credentials stands in the place of Identity and Certificates: put them into it")
	}
	for i := range list {
		cred, pin, err := list[i].settle()
		if err != nil {
			return err
		}
		s.credentials = append(s.credentials, cred)
		s.own = append(s.own, pin)
	}
	hasAny := len(s.credentials) > 0 || s.GetCertificate != nil || s.GetClientCertificate != nil
	switch {
	case hasAny && takesPSKsAlone(s.Peers):
		return configError("nobody would see the Identity or Certificates, as Peers accepts pre-shared keys alone: leave them out, or say with AnyOf who else is welcome")
	case s.server && !hasAny && s.GetConfig == nil && !takesPSKsAlone(s.Peers):
		return configError("a server needs a key: set Identity or Certificates, or have pre-shared keys alone (Peers: PSKs)")
	}
	return s.settleKinds()
}

// settle turns c into what the handshake shows, and the pin of its key.
func (c *Credential) settle() (*credential.Credential, Pin, error) {
	if (c.Identity == nil) == (c.Certificate == nil) {
		return nil, Pin{}, configError("each of Credentials has either an Identity or a Certificate")
	}
	if c.Issuers > RequireIssuers {
		return nil, Pin{}, configError("Credentials has an IssuerRule that does not exist")
	}
	var cred *credential.Credential
	var pin Pin
	if c.Identity != nil {
		cred, pin = c.Identity.credential(), c.Identity.Pin()
	} else {
		var err error
		if cred, err = certificateCredential(c.Certificate); err != nil {
			return nil, Pin{}, err
		}
		cred.Issuers, pin = credential.IssuerRule(c.Issuers), PinOfCertificate(cred.Leaf)
	}
	if c.SignatureSchemes != nil {
		cred.Schemes = nil
		for _, scheme := range c.SignatureSchemes {
			cred.Schemes = append(cred.Schemes, credential.Scheme(scheme))
		}
	}
	return cred, pin, nil
}

// settleKinds decides which kinds of credential this side says that it can show.
func (s *settings) settleKinds() error {
	var err error
	if s.ownTypes, err = kinds(s.OwnKinds); err != nil {
		return err
	}
	if s.peerTypes, err = kinds(s.PeerKinds); err != nil {
		return err
	}
	if s.OwnKinds != nil {
		return nil
	}
	for _, c := range s.credentials {
		if !slices.Contains(s.ownTypes, c.Type) {
			s.ownTypes = append(s.ownTypes, c.Type)
		}
	}
	if (s.GetCertificate != nil || s.GetClientCertificate != nil) && !slices.Contains(s.ownTypes, credential.X509) {
		s.ownTypes = append(s.ownTypes, credential.X509)
	}
	return nil
}

// kinds are the certificate types (RFC 7250) of kinds of peers.
func kinds(list []PeerKind) (types []credential.Type, err error) {
	for _, kind := range list {
		t := credential.X509
		switch kind {
		case X509:
		case RawKey:
			t = credential.RawPublicKey
		default:
			return nil, configError("OwnKinds and PeerKinds hold RawKey and X509, each once")
		}
		if slices.Contains(types, t) {
			return nil, configError("OwnKinds and PeerKinds hold RawKey and X509, each once")
		}
		types = append(types, t)
	}
	if list != nil && types == nil {
		return nil, configError("OwnKinds or PeerKinds is empty: leave it nil for the default")
	}
	return types, nil
}

// wantedTypes are those of accepted that PeerKinds has, in its order.
func (s *settings) wantedTypes(accepted []credential.Type) []credential.Type {
	if s.peerTypes == nil {
		return accepted
	}
	return slices.DeleteFunc(slices.Clone(s.peerTypes), func(t credential.Type) bool { return !slices.Contains(accepted, t) })
}

// certificateCredential turns the standard type into ours.
func certificateCredential(cert *tls.Certificate) (*credential.Credential, error) {
	if len(cert.Certificate) == 0 {
		return nil, configError("Certificates holds one that is empty")
	}
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, configError("Certificates holds one whose PrivateKey cannot sign")
	}
	leaf := cert.Leaf
	if leaf == nil {
		var err error
		if leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, configError("Certificates holds one that cannot be parsed: " + err.Error())
		}
	}
	if key, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(signer.Public()) {
		return nil, configError("Certificates holds one whose PrivateKey is not that of its leaf")
	}
	if !policy.Key(leaf.PublicKey) {
		return nil, configError("Certificates holds one whose key FIPS 140-3 does not approve, and the process runs with GODEBUG=fips140=on")
	}
	cred := &credential.Credential{
		Type: credential.X509, Entries: cert.Certificate, Signer: signer, Leaf: leaf,
		OCSPResponse: cert.OCSPStaple, SCTs: cert.SignedCertificateTimestamps,
	}
	for _, scheme := range cert.SupportedSignatureAlgorithms {
		cred.Schemes = append(cred.Schemes, credential.Scheme(scheme))
	}
	return cred, nil
}
