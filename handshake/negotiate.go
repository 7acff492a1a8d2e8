// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"reflect"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// checkClientHello judges a ClientHello by itself (RFC 9846, Sections 4.2.2, 4.3
// and 9.2).
func checkClientHello(hello *wire.ClientHello) error {
	switch {
	case !slices.Contains(hello.SupportedVersions, versionTLS13), hello.LegacyVersion != versionTLS12:
		return alert.New(alert.ProtocolVersion, "the client does not speak TLS 1.3")
	case string(hello.CompressionMethods) != "\x00":
		return alert.New(alert.IllegalParameter, "the client offers compression")
	}
	if err := checkIndications(inClientHello, hello.Extensions); err != nil {
		return err
	}
	offersPSK, groups := hello.Has(wire.ExtPreSharedKey), hello.Has(wire.ExtSupportedGroups)
	switch {
	case !offersPSK && (!groups || !hello.Has(wire.ExtSignatureAlgorithms)):
		return alert.New(alert.MissingExtension, "a ClientHello without supported_groups or signature_algorithms")
	case groups != hello.Has(wire.ExtKeyShare):
		return alert.New(alert.MissingExtension, "a ClientHello with only one of supported_groups and key_share")
	case offersPSK && !hello.Has(wire.ExtPSKKeyExchangeModes):
		return alert.New(alert.MissingExtension, "a ClientHello with pre_shared_key and no psk_key_exchange_modes")
	}
	if x509Alone(hello.ClientCertTypes) || x509Alone(hello.ServerCertTypes) {
		// RFC 7250, Section 4.1: that goes without saying, and must.
		return alert.New(alert.IllegalParameter, "a list of certificate types that holds nothing but X.509")
	}
	if err := checkCompressions(hello.CompressCertificate); err != nil {
		return err
	}
	return checkClientShares(hello)
}

func x509Alone(types []uint8) bool { return len(types) == 1 && types[0] == uint8(credential.X509) }

// checkClientShares holds the client to RFC 9846, Section 4.3.8.
func checkClientShares(hello *wire.ClientHello) error {
	free := make(map[uint16]bool)
	for _, group := range hello.SupportedGroups {
		free[group] = true
	}
	for _, share := range hello.KeyShares {
		if !free[share.Group] {
			return alert.New(alert.IllegalParameter, "a share of a group that is not in supported_groups, or the second of its group")
		}
		free[share.Group] = false
	}
	return nil
}

// checkRetriedHello compares the second ClientHello with the first: only what RFC
// 9846, Section 4.2.2 lists may change, and what we do not recognise, whose rules
// we cannot know.
func checkRetriedHello(first, second *wire.ClientHello, group kex.Group) error {
	switch {
	case second.Has(wire.ExtEarlyData):
		return alert.New(alert.IllegalParameter, "early data after a HelloRetryRequest")
	case len(second.KeyShares) != 1 || second.KeyShares[0].Group != uint16(group):
		return alert.New(alert.IllegalParameter, "the second ClientHello has not the one share that was asked for")
	case !offeredBefore(first.PSK, second.PSK):
		return alert.New(alert.IllegalParameter, "the second ClientHello offers another pre-shared key")
	case !reflect.DeepEqual(unchanging(first), unchanging(second)):
		return alert.New(alert.IllegalParameter, "the second ClientHello differs from the first")
	}
	return nil
}

// offeredBefore reports whether a second ClientHello offers only keys of the first:
// it may leave some out.
func offeredBefore(first, second *wire.PreSharedKeys) bool {
	if second == nil {
		return true
	}
	if first == nil {
		return false
	}
	rest := first.Identities
	for _, id := range second.Identities {
		i := slices.IndexFunc(rest, func(other wire.PSKIdentity) bool { return string(other.Identity) == string(id.Identity) })
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
	return true
}

// unchanging returns hello without what may differ in a second one.
func unchanging(hello *wire.ClientHello) wire.ClientHello {
	h := *hello
	h.Raw, h.KeyShares, h.EarlyData, h.Cookie, h.PSK, h.Other = nil, nil, false, nil, nil, nil
	h.Extensions = slices.DeleteFunc(slices.Clone(h.Extensions), func(ext wire.ExtensionType) bool {
		_, known := places[ext]
		switch ext {
		case wire.ExtEarlyData, wire.ExtCookie, wire.ExtPadding, wire.ExtPreSharedKey:
			return true
		}
		return !known
	})
	slices.Sort(h.Extensions)
	return h
}

// A selection is what a server has settled on for a ClientHello (RFC 9846, Section
// 4.2.1).
type selection struct {
	suite *suite.Suite
	group kex.Group
	share []byte // the client's, nil: it must be asked for

	alpn string

	credential *credential.Credential
	scheme     credential.Scheme

	requestPeer bool
	clientType  credential.Type

	pskIndex int // of the Machine's PSK among the client's identities
}

// negotiate selects the parameters of the handshake, and finds the pre-shared key
// that the client would like to use.
func (m *Machine) negotiate(hello *wire.ClientHello) (*selection, error) {
	s := new(selection)
	for _, choose := range []func(*selection, *wire.ClientHello) error{
		m.selectSuite, m.selectGroup, m.selectProtocol,
	} {
		if err := choose(s, hello); err != nil {
			return nil, err
		}
	}
	if s.share == nil && m.asksPSKsAlone(hello) {
		// RFC 9846, Appendix F.6: a HelloRetryRequest does not depend on which keys
		// there are. They are looked up in the second ClientHello.
		s.suite = m.suiteOfLength(len(hello.PSK.Binders[0]), hello, s.suite)
		return s, nil
	}
	return s, m.findPSK(s, hello, false)
}

// selectSuite takes our first suite that the client knows. By default AES goes
// first only where both sides have hardware for it; a client shows that it has by
// what it lists first.
func (m *Machine) selectSuite(s *selection, hello *wire.ClientHello) error {
	ours := m.cfg.suites()
	theirs := convert[suite.ID](hello.CipherSuites)
	if m.cfg.Suites == nil {
		known := slices.IndexFunc(theirs, func(id suite.ID) bool { return slices.Contains(ours, id) })
		if known >= 0 && theirs[known] == suite.ChaCha20Poly1305 {
			ours = append([]suite.ID{suite.ChaCha20Poly1305}, ours...)
		}
	}
	for _, id := range ours {
		if slices.Contains(theirs, id) {
			s.suite = suite.ByID(id)
			return nil
		}
	}
	return alert.New(alert.HandshakeFailure, "there is no cipher suite that both sides know")
}

// selectGroup takes our first group that the client knows, and a later one only
// where that saves a round trip and costs no protection against a quantum
// computer (RFC 9846, Section 4.3.8).
func (m *Machine) selectGroup(s *selection, hello *wire.ClientHello) error {
	var common []kex.Group
	for _, g := range m.cfg.groups() {
		if slices.Contains(hello.SupportedGroups, uint16(g)) {
			common = append(common, g)
		}
	}
	if len(common) == 0 {
		return alert.New(alert.HandshakeFailure, "there is no group that both sides know")
	}
	s.group = common[0]
	for _, g := range common {
		if s.group.PostQuantum() && !g.PostQuantum() {
			continue
		}
		i := slices.IndexFunc(hello.KeyShares, func(k wire.KeyShare) bool { return k.Group == uint16(g) })
		if i >= 0 {
			s.group, s.share = g, hello.KeyShares[i].Data
			return nil
		}
	}
	return nil
}

// selectProtocol takes our first application protocol that the client knows (RFC
// 7301, Section 3.2).
func (m *Machine) selectProtocol(s *selection, hello *wire.ClientHello) error {
	if len(m.cfg.ALPN) == 0 || len(hello.ALPN) == 0 {
		return nil
	}
	for _, protocol := range m.cfg.ALPN {
		if slices.Contains(hello.ALPN, protocol) {
			s.alpn = protocol
			return nil
		}
	}
	return alert.New(alert.NoApplicationProtocol, "there is no application protocol that both sides know")
}

// authenticate settles how the sides are to know each other: by the pre-shared key
// that was found, if the client proves to hold it, or by credentials. The transcript
// reaches to the message before hello.
func (m *Machine) authenticate(s *selection, hello *wire.ClientHello) error {
	if err := m.provePSK(s, hello); err != nil || m.secrets.psk != nil || s.credential != nil {
		return err
	}
	if len(m.cfg.ownTypes()) == 0 && m.cfg.FindPSK != nil {
		return m.refuseUnknownPSK(s, hello)
	}
	if err := m.selectClientType(s, hello); err != nil {
		return err
	}
	return m.selectCredential(s, hello)
}

// selectClientType decides whether to ask for the client's credential, and of
// which type (RFC 7250, Section 4.2).
func (m *Machine) selectClientType(s *selection, hello *wire.ClientHello) error {
	if !m.cfg.requestsPeer() {
		return nil
	}
	common := commonTypes(m.cfg.peerTypes(), hello.ClientCertTypes, hello.Has(wire.ExtClientCertificateType))
	if len(common) == 0 {
		return alert.New(alert.UnsupportedCertificate, "the client has no credential of a type that is accepted")
	}
	s.requestPeer, s.clientType = true, common[0]
	return nil
}

// selectCredential decides what to show the client (RFC 7250, Section 4.2; RFC
// 9846, Section 4.5.1.2).
func (m *Machine) selectCredential(s *selection, hello *wire.ClientHello) error {
	if !hello.Has(wire.ExtSignatureAlgorithms) {
		// RFC 9846, Section 4.3.3: it was enough for a PSK alone.
		return alert.New(alert.MissingExtension, "a ClientHello without signature_algorithms")
	}
	types := commonTypes(m.cfg.ownTypes(), hello.ServerCertTypes, hello.Has(wire.ExtServerCertificateType))
	switch {
	case len(types) == 0 && !hello.Has(wire.ExtServerCertificateType):
		// RFC 7250, Section 4.2, is about types that the client lists. This one lists none:
		// nothing that both sides accept was found (RFC 9846, Section 6.2).
		return alert.New(alert.HandshakeFailure, "the client accepts X.509 certificates only, and we have none")
	case len(types) == 0:
		return alert.New(alert.UnsupportedCertificate, "we have no credential of a type that the client accepts")
	}
	var err error
	s.credential, s.scheme, err = m.chooseCredential(&Request{
		Hello:              hello,
		ServerName:         hello.ServerName,
		Types:              types,
		Schemes:            schemes(hello.SignatureAlgorithms),
		CertificateSchemes: schemes(hello.SignatureAlgorithmsCert),
		Authorities:        hello.CertificateAuthorities,
	})
	return err
}

// WouldShow returns the credential that a server shows, in a full handshake, to the client
// of hello. It is for those who judge a session: see Config.JudgePSK.
func (m *Machine) WouldShow(hello *wire.ClientHello) (*credential.Credential, error) {
	var s selection
	if err := m.selectCredential(&s, hello); err != nil {
		return nil, err
	}
	return s.credential, nil
}

// commonTypes are those of ours that the peer listed, or X.509 where it sent no
// list.
func commonTypes(ours []credential.Type, theirs []uint8, listed bool) []credential.Type {
	if !listed {
		theirs = []uint8{uint8(credential.X509)}
	}
	var common []credential.Type
	for _, t := range ours {
		if slices.Contains(theirs, uint8(t)) {
			common = append(common, t)
		}
	}
	return common
}
