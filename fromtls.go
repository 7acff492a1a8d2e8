// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/mayfly-tls/mayfly/internal/kex"
)

// ServerConfigFromTLS carries a crypto/tls server's configuration over. What has
// no counterpart here, or one of another type, is an error that names the field: a
// callback other than VerifyConnection, a session ticket key, Encrypted ClientHello, a
// MaxVersion below TLS 1.3. What has no meaning in TLS 1.3 is passed over (MinVersion, the
// order of suites, Renegotiation, the sizes of records), and so is what belongs to a client
// (RootCAs, ServerName, InsecureSkipVerify and the like), as one tls.Config may serve both
// roles. So are groups that are not to be had here, where CurvePreferences has others; and
// keys of SetSessionTicketKeys, which nobody can see: clients then do full handshakes.
//
// ClientAuth becomes Peers: NoClientCert is NoClientAuth(), RequireAnyClientCert is
// AnyKey(), VerifyClientCertIfGiven is AnyOf(Roots(ClientCAs), NoClientAuth()), both with
// the names of ClientCAs as Authorities, and RequireAndVerifyClientCert is
// Roots(ClientCAs). RequestClientCert, which verifies nothing and requires nothing, is an
// error.
func ServerConfigFromTLS(t *tls.Config) (*Config, error) {
	if t == nil {
		t = new(tls.Config)
	}
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
	case t.SessionTicketKey != [32]byte{}:
		return nil, notCarried("SessionTicketKey")
	case t.WrapSession != nil || t.UnwrapSession != nil:
		return nil, notCarried("WrapSession and UnwrapSession")
	}
	switch t.ClientAuth {
	case tls.NoClientCert:
		c.Peers = NoClientAuth()
	case tls.RequireAnyClientCert:
		c.Peers = AnyKey()
		c.Authorities = namesOf(t.ClientCAs)
	case tls.VerifyClientCertIfGiven:
		c.Peers = AnyOf(Roots(t.ClientCAs), NoClientAuth())
		c.Authorities = namesOf(t.ClientCAs)
	case tls.RequireAndVerifyClientCert:
		c.Peers = Roots(t.ClientCAs)
	default:
		return nil, notCarried("ClientAuth: " + t.ClientAuth.String())
	}
	if t.SessionTicketsDisabled {
		c.Tickets.Count = -1
	}
	return c, nil
}

// ClientConfigFromTLS carries a crypto/tls client's configuration over, as
// ServerConfigFromTLS does a server's, and passes over what belongs to one (ClientAuth,
// GetCertificate and the like). InsecureSkipVerify is an error: say InsecureAnyServer, or
// better Pins. So is a ClientSessionCache: see Config.Sessions.
func ClientConfigFromTLS(t *tls.Config) (*Config, error) {
	if t == nil {
		t = new(tls.Config)
	}
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

// configFromTLS carries over what both roles share.
func configFromTLS(t *tls.Config) (*Config, error) {
	switch {
	case t.MaxVersion != 0 && t.MaxVersion < tls.VersionTLS13:
		return nil, notCarried("MaxVersion")
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
