// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A refusal is a handshake in which one message is edited, and what must come of
// it.
type refusal struct {
	name    string
	client  func(*Config)
	server  func(*Config)
	message wire.MessageType
	nth     int // of that type from that side, from 0
	from    Role
	edit    edit
	code    alert.Code
}

func (r refusal) run(t *testing.T) {
	t.Parallel()
	keep := func(*Config) {}
	if r.client == nil {
		r.client = keep
	}
	if r.server == nil {
		r.server = keep
	}
	p := newPair(t, clientConfig(r.client), serverConfig(r.server))
	seen, edited := 0, false
	p.tamper = func(from Role, raw []byte) [][]byte {
		if from == r.from && wire.MessageType(raw[0]) == r.message {
			if seen++; seen == r.nth+1 {
				edited = true
				return [][]byte{r.edit(bytes.Clone(raw))}
			}
		}
		return [][]byte{raw}
	}
	p.mustFail(t, 1-r.from, r.code)
	if !edited {
		t.Fatal("there was no such message to edit")
	}
}

var (
	mutual  = func(c *Config) { c.Credentials, c.RequirePeer = []*credential.Credential{ids().x509P256}, true }
	noShare = func(c *Config) { c.KeyShares = []kex.Group{} }
	limited = func(c *Config) { c.RecordSizeLimit = 1000 }
	alpn    = func(c *Config) { c.ALPN = []string{"one", "two"} }
	x509Own = func(c *Config) { c.Credentials = []*credential.Credential{ids().x509P256} }
)

func TestClientHelloRefused(t *testing.T) {
	t.Parallel()
	for _, r := range []refusal{
		{name: "no supported_versions", edit: lacking(wire.ExtSupportedVersions), code: alert.ProtocolVersion},
		{name: "TLS 1.2 alone", edit: with(wire.ExtSupportedVersions, "\x02\x03\x03"), code: alert.ProtocolVersion},
		{name: "legacy_version", edit: at(4, 3, 4), code: alert.ProtocolVersion},
		{name: "compression", edit: compression("\x02\x00\x01"), code: alert.IllegalParameter},
		{name: "other compression", edit: compression("\x01\x01"), code: alert.IllegalParameter},
		{name: "no signature_algorithms", edit: lacking(wire.ExtSignatureAlgorithms), code: alert.MissingExtension},
		{name: "no supported_groups", edit: lacking(wire.ExtSupportedGroups), code: alert.MissingExtension},
		{name: "no key_share", edit: lacking(wire.ExtKeyShare), code: alert.MissingExtension},
		{name: "neither groups nor shares", edit: chain(lacking(wire.ExtSupportedGroups), lacking(wire.ExtKeyShare)), code: alert.MissingExtension},
		{name: "oid_filters", edit: with(wire.ExtOIDFilters, "\x00\x00"), code: alert.IllegalParameter},
		{name: "cookie", edit: with(wire.ExtCookie, "\x00\x01c"), code: alert.IllegalParameter},
		{name: "share outside supported_groups", edit: with(wire.ExtSupportedGroups, "\x00\x02\x00\x17"), code: alert.IllegalParameter},
		{name: "two shares of a group", client: classical, edit: with(wire.ExtKeyShare, "\x00\x0a\x00\x1d\x00\x01a\x00\x1d\x00\x01b"), code: alert.IllegalParameter},
		{name: "no common group", client: classical, edit: chain(with(wire.ExtSupportedGroups, "\x00\x02\x01\x00"), with(wire.ExtKeyShare, "\x00\x00")), code: alert.HandshakeFailure},
		{name: "no common suite", client: only(suite.AES128GCM), server: only(suite.AES256GCM), edit: same, code: alert.HandshakeFailure},
		{name: "short share", client: classical, edit: with(wire.ExtKeyShare, "\x00\x05\x00\x1d\x00\x01a"), code: alert.IllegalParameter},
		{name: "low order share", client: classical, edit: with(wire.ExtKeyShare, "\x00\x24\x00\x1d\x00\x20"+string(make([]byte, 32))), code: alert.IllegalParameter},
		{name: "no common protocol", client: alpn, server: func(c *Config) { c.ALPN = []string{"three"} }, edit: same, code: alert.NoApplicationProtocol},
		{name: "small record_size_limit", client: limited, server: limited, edit: with(wire.ExtRecordSizeLimit, "\x00\x3f"), code: alert.IllegalParameter},
		{name: "small limit, ours not set", client: limited, edit: with(wire.ExtRecordSizeLimit, "\x00\x3f"), code: alert.IllegalParameter},
		{name: "no server_certificate_type, the server has raw keys only", client: func(c *Config) { c.PeerTypes = nil }, edit: same, code: alert.HandshakeFailure},
		{name: "server_certificate_type without raw keys, the server has raw keys only", edit: with(wire.ExtServerCertificateType, "\x02\x00\x07"), code: alert.UnsupportedCertificate},
		{name: "certificates not accepted", client: func(c *Config) { c.PeerTypes = bothTypes[:1] }, server: x509Own, edit: same, code: alert.UnsupportedCertificate},
		{name: "no common scheme", client: func(c *Config) { c.PeerSchemes = []credential.Scheme{0x0804} }, edit: same, code: alert.HandshakeFailure},
		{name: "client's raw key not accepted", client: func(c *Config) { c.Credentials = []*credential.Credential{ids().rawP256} },
			server: func(c *Config) { c.RequestPeer, c.PeerTypes = true, nil }, edit: same, code: alert.UnsupportedCertificate},
		{name: "client without raw key", server: func(c *Config) { c.RequirePeer, c.PeerTypes = true, bothTypes[:1] }, edit: same, code: alert.UnsupportedCertificate},
		{name: "client_certificate_type of X.509 alone", edit: with(wire.ExtClientCertificateType, "\x01\x00"), code: alert.IllegalParameter},
		{name: "server_certificate_type of X.509 alone", edit: with(wire.ExtServerCertificateType, "\x01\x00"), code: alert.IllegalParameter},
		{name: "unknown certificate type", server: mutual, edit: with(wire.ExtClientCertificateType, "\x01\x07"), code: alert.UnsupportedCertificate},
		{name: "client without raw key, asked only", server: func(c *Config) { c.RequestPeer, c.PeerTypes = true, bothTypes[:1] }, edit: same, code: alert.UnsupportedCertificate},
		{name: "pre_shared_key not last", edit: chain(psk(1, 1), with(wire.ExtPSKKeyExchangeModes, "\x01\x01")), code: alert.IllegalParameter},
		{name: "pre_shared_key without modes", edit: psk(1, 1), code: alert.MissingExtension},
		{name: "two identities, one binder", edit: chain(with(wire.ExtPSKKeyExchangeModes, "\x01\x01"), psk(2, 1)), code: alert.IllegalParameter},
		{name: "PSK refused, no signature_algorithms", edit: chain(lacking(wire.ExtSignatureAlgorithms), with(wire.ExtPSKKeyExchangeModes, "\x01\x01"), psk(1, 1)), code: alert.MissingExtension},
		{name: "twice the same extension", edit: double(wire.ExtKeyShare), code: alert.IllegalParameter},
		{name: "truncated", edit: shorter, code: alert.DecodeError},
		{name: "trailing byte", edit: longer, code: alert.DecodeError},
	} {
		r.from, r.message = Client, wire.ClientHelloType
		t.Run(r.name, r.run)
	}
}

func TestSecondClientHelloRefused(t *testing.T) {
	t.Parallel()
	early := with(wire.ExtEarlyData, "")
	for _, r := range []refusal{
		{name: "other random", edit: at(10, 0xab, 0xcd, 0xef)},
		{name: "other session ID", edit: at(4+2+32+1, 0xab, 0xcd, 0xef)},
		{name: "other suites", edit: at(4+2+32+1+32+2, 0x13, 0x04)},
		{name: "other server_name", edit: with(wire.ExtServerName, "\x00\x04\x00\x00\x01a")},
		{name: "no server_name", edit: lacking(wire.ExtServerName)},
		{name: "other groups", edit: with(wire.ExtSupportedGroups, "\x00\x02\x11\xec")},
		{name: "one more extension", edit: with(wire.ExtRecordSizeLimit, "\x10\x00")},
		{name: "early data", edit: early},
		{name: "no share", edit: with(wire.ExtKeyShare, "\x00\x00")},
		{name: "two shares", edit: with(wire.ExtKeyShare, "\x00\x0a\x11\xec\x00\x01a\x00\x1d\x00\x01b")},
		{name: "another group's share", edit: with(wire.ExtKeyShare, "\x00\x05\x00\x1d\x00\x01a")},
		{name: "cookie of its own", edit: with(wire.ExtCookie, "\x00\x01c")},
		{name: "other cookie", server: jarred, edit: with(wire.ExtCookie, "\x00\x01c")},
		{name: "no cookie", server: jarred, edit: lacking(wire.ExtCookie)},
		{name: "no key_share", edit: lacking(wire.ExtKeyShare), code: alert.MissingExtension},
		{name: "no supported_versions", edit: lacking(wire.ExtSupportedVersions), code: alert.ProtocolVersion},
		{name: "truncated", edit: shorter, code: alert.DecodeError},
	} {
		r.from, r.message, r.nth, r.client = Client, wire.ClientHelloType, 1, noShare
		if r.code == 0 {
			r.code = alert.IllegalParameter
		}
		t.Run(r.name, r.run)
		if r.server == nil { // one that remembers nothing refuses the same
			r.server = jarred
			t.Run(r.name+", with a cookie", r.run)
			r.client = nil
			t.Run(r.name+", with a cookie alone", r.run)
		}
	}
	for _, r := range []refusal{
		{name: "another share", edit: with(wire.ExtKeyShare, "\x00\x05\x00\x1d\x00\x01a")},
		{name: "fewer shares", edit: lacking(wire.ExtKeyShare), code: alert.MissingExtension},
	} {
		r.from, r.message, r.nth, r.server = Client, wire.ClientHelloType, 1, jarred
		if r.code == 0 {
			r.code = alert.IllegalParameter
		}
		t.Run(r.name+", with a cookie alone", r.run)
	}
}

func TestServerHelloRefused(t *testing.T) {
	t.Parallel()
	const random, session = 4 + 2, 4 + 2 + 32
	for _, r := range []refusal{
		{name: "no supported_versions", edit: lacking(wire.ExtSupportedVersions), code: alert.ProtocolVersion},
		{name: "TLS 1.2", edit: with(wire.ExtSupportedVersions, "\x03\x03"), code: alert.IllegalParameter},
		{name: "downgraded", edit: chain(lacking(wire.ExtSupportedVersions), at(random+24, []byte("DOWNGRD\x01")...)), code: alert.IllegalParameter},
		{name: "legacy_version", edit: at(4, 3, 4), code: alert.ProtocolVersion},
		{name: "session ID", edit: at(session+1, 0xab, 0xcd, 0xef), code: alert.IllegalParameter},
		{name: "unknown suite", edit: at(session+1+32, 0x13, 0x04), code: alert.IllegalParameter},
		{name: "suite not offered", client: only(suite.AES128GCM), edit: at(session+1+32, 0x13, 0x02), code: alert.IllegalParameter},
		{name: "compression", edit: at(session+1+32+2, 1), code: alert.IllegalParameter},
		{name: "no key_share", edit: lacking(wire.ExtKeyShare), code: alert.MissingExtension},
		{name: "share of another group", edit: with(wire.ExtKeyShare, "\x00\x17\x00\x01a"), code: alert.IllegalParameter},
		{name: "short share", edit: with(wire.ExtKeyShare, "\x00\x1d\x00\x01a"), code: alert.IllegalParameter},
		{name: "low order share", edit: with(wire.ExtKeyShare, "\x00\x1d\x00\x20"+string(make([]byte, 32))), code: alert.IllegalParameter},
		{name: "pre_shared_key", edit: with(wire.ExtPreSharedKey, "\x00\x00"), code: alert.UnsupportedExtension},
		{name: "unknown extension", edit: with(0x4242, "x"), code: alert.UnsupportedExtension},
		{name: "extension of another message", client: alpn, edit: with(wire.ExtALPN, "\x00\x04\x03one"), code: alert.IllegalParameter},
		{name: "truncated", edit: shorter, code: alert.DecodeError},
	} {
		r.from, r.message = Server, wire.ServerHelloType
		t.Run(r.name, r.run)
	}
}

func TestHelloRetryRequestRefused(t *testing.T) {
	t.Parallel()
	const session = 4 + 2 + 32
	noGroup := lacking(wire.ExtKeyShare)
	for _, r := range []refusal{
		{name: "changes nothing", edit: noGroup, code: alert.IllegalParameter},
		{name: "group not offered", edit: with(wire.ExtKeyShare, "\x00\x19"), code: alert.IllegalParameter},
		{name: "group known but not offered", client: func(c *Config) { c.Groups = []kex.Group{kex.X25519} }, edit: with(wire.ExtKeyShare, "\x00\x17"), code: alert.IllegalParameter},
		{name: "group already shared", client: func(c *Config) { c.KeyShares = []kex.Group{kex.P256} }, edit: with(wire.ExtKeyShare, "\x00\x17"), code: alert.IllegalParameter},
		{name: "no supported_versions", edit: lacking(wire.ExtSupportedVersions), code: alert.ProtocolVersion},
		{name: "suite not offered", edit: at(session+1+32, 0x13, 0x04), code: alert.IllegalParameter},
		{name: "session ID", edit: at(session+1, 0xab, 0xcd, 0xef), code: alert.IllegalParameter},
		{name: "compression", edit: at(session+1+32+2, 1), code: alert.IllegalParameter},
		{name: "unasked extension", edit: with(0x4242, "x"), code: alert.UnsupportedExtension},
		{name: "extension of another message", edit: with(wire.ExtServerName, ""), code: alert.IllegalParameter},
		{name: "empty cookie", edit: with(wire.ExtCookie, "\x00\x00"), code: alert.DecodeError},
		{name: "a cookie that leaves no room", edit: with(wire.ExtCookie, "\xfd\xe8"+strings.Repeat("c", 65000)), code: alert.IllegalParameter},
	} {
		r.from, r.message = Server, wire.ServerHelloType
		if r.client == nil {
			r.client = noShare
		} else {
			share := r.client
			r.client = func(c *Config) { noShare(c); share(c) }
		}
		t.Run(r.name, r.run)
	}
	for _, r := range []refusal{
		{name: "suite changed afterwards", edit: otherSuite, code: alert.IllegalParameter},
		{name: "group changed afterwards", edit: with(wire.ExtKeyShare, "\x00\x17\x00\x01a"), code: alert.IllegalParameter},
		{name: "second HelloRetryRequest", edit: func(raw []byte) []byte {
			raw = with(wire.ExtKeyShare, "\x00\x17")(raw)
			copy(raw[6:], wire.RetryRandom[:])
			return raw
		}, code: alert.UnexpectedMessage},
	} {
		r.from, r.message, r.nth, r.client = Server, wire.ServerHelloType, 1, noShare
		t.Run(r.name, r.run)
	}
}

func TestServerParametersRefused(t *testing.T) {
	t.Parallel()
	const ee, cr = wire.EncryptedExtensionsType, wire.CertificateRequestType
	for _, r := range []refusal{
		{name: "EE: protocol not offered", message: ee, client: alpn, edit: with(wire.ExtALPN, "\x00\x04\x03six"), code: alert.IllegalParameter},
		{name: "EE: protocol unasked", message: ee, edit: with(wire.ExtALPN, "\x00\x04\x03one"), code: alert.UnsupportedExtension},
		{name: "EE: server_name unasked", message: ee, client: func(c *Config) { c.ServerName = "" }, edit: with(wire.ExtServerName, ""), code: alert.UnsupportedExtension},
		{name: "EE: early_data unasked", message: ee, edit: with(wire.ExtEarlyData, ""), code: alert.UnsupportedExtension},
		{name: "EE: key_share", message: ee, edit: with(wire.ExtKeyShare, "\x00\x17\x00\x01a"), code: alert.IllegalParameter},
		{name: "EE: unknown extension", message: ee, edit: with(0x4242, "x"), code: alert.UnsupportedExtension},
		{name: "EE: certificate type not offered", message: ee, edit: with(wire.ExtServerCertificateType, "\x01"), code: alert.UnsupportedCertificate},
		{name: "EE: client certificate type unasked", message: ee, edit: with(wire.ExtClientCertificateType, "\x02"), code: alert.UnsupportedExtension},
		{name: "EE: client certificate type not offered", message: ee, client: func(c *Config) { c.Credentials = []*credential.Credential{ids().rawP256} },
			server: func(c *Config) { c.RequestPeer = true }, edit: with(wire.ExtClientCertificateType, "\x00"), code: alert.UnsupportedCertificate},
		{name: "EE: no certificate type", message: ee, client: func(c *Config) { c.PeerTypes = bothTypes[:1] }, edit: lacking(wire.ExtServerCertificateType), code: alert.UnsupportedCertificate},
		{name: "EE: small record_size_limit", message: ee, client: limited, edit: with(wire.ExtRecordSizeLimit, "\x00\x3f"), code: alert.IllegalParameter},
		{name: "EE: large record_size_limit", message: ee, client: limited, edit: with(wire.ExtRecordSizeLimit, "\x40\x02"), code: alert.IllegalParameter},
		{name: "EE: truncated", message: ee, edit: shorter, code: alert.DecodeError},
		{name: "CR: context", message: cr, server: mutual, edit: func(raw []byte) []byte { return relength(slices.Insert(at(4, 1)(raw), 5, 'x')) }, code: alert.IllegalParameter},
		{name: "CR: no signature_algorithms", message: cr, server: mutual, edit: lacking(wire.ExtSignatureAlgorithms), code: alert.MissingExtension},
		{name: "CR: key_share", message: cr, server: mutual, edit: with(wire.ExtKeyShare, "\x00\x17\x00\x01a"), code: alert.IllegalParameter},
		{name: "CR: for a certificate, of a raw key", message: ee, client: func(c *Config) { c.Credentials = []*credential.Credential{ids().rawP256} },
			server: func(c *Config) { c.RequestPeer = true }, edit: lacking(wire.ExtClientCertificateType), code: alert.UnsupportedCertificate},
		{name: "CR: truncated", message: cr, server: mutual, edit: shorter, code: alert.DecodeError},
	} {
		r.from = Server
		t.Run(r.name, r.run)
	}
}

func TestAuthenticationRefused(t *testing.T) {
	t.Parallel()
	const ct, cv, fin = wire.CertificateType, wire.CertificateVerifyType, wire.FinishedType
	for _, from := range []Role{Client, Server} {
		side := map[Role]string{Client: "client's ", Server: "server's "}[from]
		emptyCode := map[Role]alert.Code{Client: alert.CertificateRequired, Server: alert.DecodeError}[from]
		for _, r := range []refusal{
			{name: "empty certificate", message: ct, edit: constant("\x0b\x00\x00\x04\x00\x00\x00\x00"), code: emptyCode},
			{name: "context", message: ct, edit: func(raw []byte) []byte { return relength(slices.Insert(at(4, 1)(raw), 5, 'x')) }, code: alert.IllegalParameter},
			{name: "garbage in a certificate", message: ct, edit: constant("\x0b\x00\x00\x0a\x00\x00\x00\x06\x00\x00\x01x\x00\x00"), code: alert.DecodeError},
			{name: "unasked staple", message: ct, edit: staple, code: alert.UnsupportedExtension},
			{name: "truncated certificate", message: ct, edit: shorter, code: alert.DecodeError},
			{name: "scheme not offered", message: cv, edit: at(4, 0x04, 0x01), code: alert.IllegalParameter},
			{name: "scheme of another key", message: cv, edit: at(4, 0x08, 0x07), code: alert.IllegalParameter},
			{name: "wrong signature", message: cv, edit: last, code: alert.DecryptError},
			{name: "no signature", message: cv, edit: func(raw []byte) []byte { return relength(append(raw[:6:6], 0, 0)) }, code: alert.DecryptError},
			{name: "truncated proof", message: cv, edit: shorter, code: alert.DecodeError},
			{name: "wrong Finished", message: fin, edit: last, code: alert.DecryptError},
			{name: "short Finished", message: fin, edit: shorter, code: alert.DecodeError},
			{name: "long Finished", message: fin, edit: longer, code: alert.DecodeError},
			{name: "empty Finished", message: fin, edit: constant("\x14\x00\x00\x00"), code: alert.DecodeError},
		} {
			r.from, r.client, r.server = from, mutual, mutual
			t.Run(side+r.name, r.run)
		}
	}
}

// Whatever one side sends, a change on the way that it does not notice itself is
// noticed by its peer.
func TestEveryByteIsAuthenticated(t *testing.T) {
	t.Parallel()
	for _, from := range []Role{Client, Server} {
		for n := range 2000 {
			p := newPair(t, clientConfig(classical), serverConfig(classical))
			count, done := 0, true
			p.tamper = func(f Role, raw []byte) [][]byte {
				if f == from && done {
					// One bit of each 23rd byte, so that lengths come in too.
					if i := n*23 - count; i >= 0 && i < len(raw) {
						raw = bytes.Clone(raw)
						raw[i] ^= 1 << (n % 8)
						done = false
					}
					count += len(raw)
				}
				return [][]byte{raw}
			}
			p.run()
			if done {
				if n == 0 {
					t.Fatal("nothing was changed")
				}
				break
			}
			if p.client.m.Done() && p.server.m.Done() && p.client.err == nil && p.server.err == nil {
				t.Fatalf("role %d: byte %d was changed and nobody noticed", from, n*23)
			}
		}
	}
}

// The errors of those whom the machine asks.
func TestFailingHelpers(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	refused := func(*credential.Peer) error { return broken }
	for name, test := range map[string]struct {
		client, server func(*Config)
		who            Role
		code           alert.Code
	}{
		"client judges":        {client: func(c *Config) { c.Verify = refused }, who: Client, code: alert.AccessDenied},
		"client with an alert": {client: func(c *Config) { c.Verify = func(*credential.Peer) error { return alert.New(alert.UnknownCA, "x") } }, who: Client, code: alert.UnknownCA},
		"server judges":        {client: mutual, server: func(c *Config) { mutual(c); c.Verify = refused }, who: Server, code: alert.AccessDenied},
		"server judges nobody": {server: func(c *Config) { c.RequestPeer, c.Verify = true, refused }, who: Server, code: alert.AccessDenied},
		"nobody is required":   {server: func(c *Config) { c.RequirePeer = true }, who: Server, code: alert.CertificateRequired},
		"server selects":       {server: func(c *Config) { c.Select = func(*Request) (*credential.Credential, error) { return nil, broken } }, who: Server, code: alert.InternalError},
		"client selects":       {client: func(c *Config) { c.Select = func(*Request) (*credential.Credential, error) { return nil, broken } }, server: mutual, who: Client, code: alert.InternalError},
		"server chooses":       {server: func(c *Config) { c.Choose = func(*wire.ClientHello) (*Config, error) { return nil, broken } }, who: Server, code: alert.InternalError},
		"server chooses badly": {server: func(c *Config) {
			c.Choose = func(*wire.ClientHello) (*Config, error) { return &Config{RequestPeer: true}, nil }
		}, who: Server, code: alert.InternalError},
		"server has nothing": {server: func(c *Config) { c.Credentials, c.OwnTypes = nil, bothTypes }, who: Server, code: alert.HandshakeFailure},
		"jar bakes":          {client: noShare, server: func(c *Config) { c.Cookie = brokenJar{} }, who: Server, code: alert.InternalError},
		"jar overflows":      {client: noShare, server: func(c *Config) { c.Cookie = overflowingJar{} }, who: Server, code: alert.InternalError},
		"huge credential":    {server: func(c *Config) { c.Credentials = []*credential.Credential{hugeCredential()} }, who: Server, code: alert.InternalError},
		"jar invents":        {client: noShare, server: func(c *Config) { c.Cookie = wrongJar{} }, who: Server, code: alert.IllegalParameter},
		"jar forgets":        {client: noShare, server: func(c *Config) { c.Cookie = forgetfulJar{} }, who: Server, code: alert.IllegalParameter},
		"server's key":       {server: func(c *Config) { c.Credentials = []*credential.Credential{brokenSigner()} }, who: Server, code: alert.InternalError},
		"client's key":       {client: func(c *Config) { c.Credentials = []*credential.Credential{brokenSigner()} }, server: func(c *Config) { c.RequirePeer = true }, who: Client, code: alert.InternalError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keep := func(*Config) {}
			if test.client == nil {
				test.client = keep
			}
			if test.server == nil {
				test.server = keep
			}
			newPair(t, clientConfig(test.client), serverConfig(test.server)).mustFail(t, test.who, test.code)
		})
	}
}

// A source of randomness that ends is an internal_error, wherever it ends.
func TestFailingRand(t *testing.T) {
	t.Parallel()
	for _, g := range kex.All() {
		for n := 0; ; n++ {
			if n > 500 {
				t.Fatal("no amount of randomness is enough")
			}
			p := newPair(t, clientConfig(noShare, func(c *Config) { c.Groups, c.Rand = kex.All(), io.LimitReader(rand.Reader, int64(n)) }),
				serverConfig(func(c *Config) { c.Groups = []kex.Group{g} }))
			p.run()
			if p.client.err == nil {
				break
			}
			if alert.Of(p.client.err) != alert.InternalError {
				t.Fatalf("client with %d bytes: %v", n, p.client.err)
			}
			checkWiped(t, p.client.m)
		}
		for n := 0; ; n++ {
			if n > 500 {
				t.Fatal("no amount of randomness is enough")
			}
			p := newPair(t, clientConfig(func(c *Config) { c.Groups = kex.All() }), serverConfig(func(c *Config) { c.Groups, c.Rand = []kex.Group{g}, io.LimitReader(rand.Reader, int64(n)) }))
			p.run()
			if p.server.err == nil {
				break
			}
			if alert.Of(p.server.err) != alert.InternalError {
				t.Fatalf("server with %d bytes: %v", n, p.server.err)
			}
			checkWiped(t, p.server.m)
		}
	}
}

// Refused early data is skipped, up to a bound, and a PSK that is offered is
// ignored.
func TestEarlyDataRefused(t *testing.T) {
	t.Parallel()
	offer := chain(with(wire.ExtPSKKeyExchangeModes, "\x01\x01"), with(wire.ExtEarlyData, ""), psk(1, 1))
	for _, shares := range [][]kex.Group{nil, {}} {
		c, err := NewClient(clientConfig(func(c *Config) { c.KeyShares, c.OfferTickets = shares, true }))
		if err != nil {
			t.Fatal(err)
		}
		events, err := c.Start()
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewServer(serverConfig())
		if err != nil {
			t.Fatal(err)
		}
		server := &endpoint{m: s}
		server.receive(parcel{messages: offer(events[0].(Send).Messages)})
		if server.err != nil {
			t.Fatal(server.err)
		}
		if got := eventsOf[SkipEarlyData](server); !slices.Equal(got, []SkipEarlyData{{Max: 16384}}) {
			t.Errorf("shares %v: %v", shares, got)
		}
		if shares == nil {
			continue
		}
		client := &endpoint{m: c}
		client.receive(parcel{messages: server.out[0].messages})
		if client.err != nil {
			t.Fatal(client.err)
		}
		server.receive(parcel{messages: client.out[len(client.out)-1].messages}) // it left the offer out
		if server.err != nil {
			t.Fatal(server.err)
		}
		if got := eventsOf[SkipEarlyData](server); !slices.Equal(got, []SkipEarlyData{{Max: 16384}, {}}) {
			t.Errorf("after the second ClientHello: %v", got)
		}
	}
}

func classical(c *Config) { c.Groups = []kex.Group{kex.X25519, kex.P256} }
func jarred(c *Config)    { c.Cookie = testJar{} }

func only(id suite.ID) func(*Config) { return func(c *Config) { c.Suites = []suite.ID{id} } }

type brokenJar struct{}

func (brokenJar) Seal([]byte) ([]byte, error) { return nil, errors.New("broken") }
func (brokenJar) Open([]byte) ([]byte, bool)  { return nil, true }

type overflowingJar struct{ testJar }

func (overflowingJar) Seal([]byte) ([]byte, error) { return make([]byte, 5000), nil }

func hugeCredential() *credential.Credential {
	c := *ids().x509P256
	c.OCSPResponse = make([]byte, 1<<17)
	return &c
}

type forgetfulJar struct{ testJar }

func (forgetfulJar) Open([]byte) ([]byte, bool) { return nil, false }

type wrongJar struct{ testJar }

func (wrongJar) Open(cookie []byte) ([]byte, bool) { return cookie[:20], true }
