// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/mayfly-tls/mayfly/internal/kex"
)

// ServerConfigFromTLS converts the configuration of a crypto/tls server. The result accepts
// the peers that crypto/tls would accept, and no others: X.509 certificates only (PeerKinds),
// its own certificate among them (AllowSelf). It returns an error that names the field where
// a field has no counterpart or one of another type: a callback other than VerifyConnection,
// a session ticket key that the program set, Encrypted ClientHello, or versions that exclude
// TLS 1.3.
//
// It ignores what has no meaning in TLS 1.3 (MinVersion, the order of suites,
// Renegotiation, the sizes of records) and what belongs to a client (RootCAs, ServerName,
// InsecureSkipVerify and the like), because one tls.Config may serve both roles. It ignores
// groups that mayfly lacks, if CurvePreferences holds others, and the value that crypto/tls
// itself writes into SessionTicketKey. It cannot see the keys of SetSessionTicketKeys:
// clients then do full handshakes.
//
// ClientAuth becomes Peers. NoClientCert is NoClientAuth(), and RequireAnyClientCert is
// AnyKey(). RequireAndVerifyClientCert is Roots(ClientCAs), where nil ClientCAs stand for
// the system's roots. RequestClientCert and VerifyClientCertIfGiven are AnyOf of these two
// and NoClientAuth(). Where a certificate is not required to chain to ClientCAs,
// their names are Authorities. A certificate whose key usage excludes signatures is refused
// in every mode (RFC 9846, Section 4.5.1.2).
func ServerConfigFromTLS(t *tls.Config) (*Config, error) {
	t = snapshot(t)
	c, err := configFromTLS(t)
	if err != nil {
		return nil, err
	}
	switch {
	case t.GetCertificate != nil:
		return nil, notCarried("GetCertificate")
	case t.GetConfigForClient != nil:
		return nil, notCarried("GetConfigForClient")
	case t.EncryptedClientHelloKeys != nil:
		return nil, notCarried("EncryptedClientHelloKeys")
	case t.GetEncryptedClientHelloKeys != nil:
		return nil, notCarried("GetEncryptedClientHelloKeys")
	//lint:ignore SA1019 it must be refused by name
	case t.NameToCertificate != nil:
		return nil, notCarried("NameToCertificate")
	//lint:ignore SA1019 it must be refused by name
	case t.SessionTicketKey != [32]byte{} && !bytes.HasPrefix(t.SessionTicketKey[:], unusedTicketKey):
		return nil, notCarried("SessionTicketKey")
	case t.WrapSession != nil || t.UnwrapSession != nil:
		return nil, notCarried("WrapSession and UnwrapSession")
	}
	verified := systemRoots()
	if t.ClientCAs != nil {
		verified = Roots(t.ClientCAs)
	}
	switch t.ClientAuth {
	case tls.NoClientCert:
		c.Peers = NoClientAuth()
	case tls.RequestClientCert:
		c.Peers = AnyOf(AnyKey(), NoClientAuth())
	case tls.RequireAnyClientCert:
		c.Peers = AnyKey()
	case tls.VerifyClientCertIfGiven:
		c.Peers = AnyOf(verified, NoClientAuth())
	case tls.RequireAndVerifyClientCert:
		c.Peers = verified
	default:
		return nil, notCarried("ClientAuth: " + t.ClientAuth.String())
	}
	if t.ClientAuth != tls.NoClientCert && t.ClientAuth != tls.RequireAndVerifyClientCert {
		c.Authorities = namesOf(t.ClientCAs)
	}
	if t.SessionTicketsDisabled {
		c.Tickets.Count = -1
	}
	return c, nil
}

// ClientConfigFromTLS converts the configuration of a crypto/tls client, as
// ServerConfigFromTLS does a server's, and ignores what belongs to a server (ClientAuth,
// GetCertificate and the like). InsecureSkipVerify is an error: set InsecureAnyServer, or
// better Pins, in a Config. So is a ClientSessionCache: see Config.Sessions.
func ClientConfigFromTLS(t *tls.Config) (*Config, error) {
	t = snapshot(t)
	c, err := configFromTLS(t)
	if err != nil {
		return nil, err
	}
	switch {
	case t.InsecureSkipVerify:
		return nil, notCarried("InsecureSkipVerify")
	case t.GetClientCertificate != nil:
		return nil, notCarried("GetClientCertificate")
	case t.ClientSessionCache != nil:
		return nil, notCarried("ClientSessionCache")
	case t.EncryptedClientHelloConfigList != nil:
		return nil, notCarried("EncryptedClientHelloConfigList")
	case t.EncryptedClientHelloRejectionVerify != nil:
		return nil, notCarried("EncryptedClientHelloRejectionVerify")
	}
	c.ServerName = t.ServerName
	c.RootCAs = t.RootCAs
	return c, nil
}

// unusedTicketKey begins the random value that crypto/tls writes into a nil
// SessionTicketKey at the first handshake, and never uses as a key.
var unusedTicketKey = []byte("DEPRECATED")

// snapshot is a copy of t, which crypto/tls may be using, and writing to, at the same time.
func snapshot(t *tls.Config) *tls.Config {
	if t == nil {
		return new(tls.Config)
	}
	return t.Clone()
}

// configFromTLS carries over what both roles share.
func configFromTLS(t *tls.Config) (*Config, error) {
	switch {
	case t.MaxVersion != 0 && t.MaxVersion < tls.VersionTLS13:
		return nil, notCarried("MaxVersion")
	case t.MinVersion > tls.VersionTLS13:
		return nil, notCarried("MinVersion")
	case t.VerifyPeerCertificate != nil:
		return nil, notCarried("VerifyPeerCertificate")
	}
	c := &Config{
		Rand:             t.Rand,
		Time:             t.Time,
		Certificates:     t.Certificates,
		VerifyConnection: t.VerifyConnection,
		NextProtos:       t.NextProtos,
		KeyLogWriter:     t.KeyLogWriter,

		PeerKinds: []PeerKind{X509}, // VerifyConnection finds every peer's certificate
		AllowSelf: true,             // as a cluster has it whose members share a certificate
	}
	for _, group := range t.CurvePreferences {
		if kex.Group(group).Supported() {
			c.CurvePreferences = append(c.CurvePreferences, group)
		}
	}
	if len(t.CurvePreferences) > 0 && len(c.CurvePreferences) == 0 {
		return nil, notCarried("CurvePreferences")
	}
	return c.Clone(), nil
}

// namesOf are the names of a pool's authorities, none of no pool.
func namesOf(pool *x509.CertPool) [][]byte {
	if pool == nil {
		return nil
	}
	return authorityNames(pool)
}

// notCarried is the refusal of a field of tls.Config.
func notCarried(field string) error {
	return configError(fmt.Sprintf("tls.Config.%s has no counterpart here: set what you mean in a mayfly.Config", field))
}
