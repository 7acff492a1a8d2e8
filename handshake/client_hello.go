// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// The versions of RFC 9846, Sections 4.2.2 and 4.3.1.
const (
	versionTLS12 = 0x0303
	versionTLS13 = 0x0304
)

// The PskKeyExchangeMode psk_dhe_ke of RFC 9846, Section 4.3.9: with (EC)DHE.
const pskWithDHE = 1

type (
	// clientStart is START: nothing was sent.
	clientStart struct{ psks []*PSK }

	// clientAwaitsServerHello is WAIT_SH.
	clientAwaitsServerHello struct {
		hello  *wire.ClientHello // as it was sent
		shares []kex.PrivateKey  // those of hello's key_share
		psks   []*PSK            // those of hello's pre_shared_key
		early  bool              // early data was announced
		retry  bool              // hello answers a HelloRetryRequest
	}
)

func (*clientStart) id() stateID             { return clientStartID }
func (*clientAwaitsServerHello) id() stateID { return clientWaitSH }

func (s *clientStart) wipe() { wipePSKs(s.psks) }

func (s *clientAwaitsServerHello) wipe() {
	s.wipeShares()
	wipePSKs(s.psks)
	s.psks = nil
}

func (s *clientAwaitsServerHello) wipeShares() {
	for _, key := range s.shares {
		key.Wipe()
	}
	s.shares = nil
}

// sendClientHello sends the first ClientHello (RFC 9846, Section 4.2.2).
func (m *Machine) sendClientHello(start *clientStart) (state, error) {
	hello, err := m.newClientHello()
	if err != nil {
		return nil, err
	}
	s := new(clientAwaitsServerHello)
	if err := m.generateShares(s, hello, m.cfg.keyShares()); err != nil {
		return nil, err
	}
	if err := m.grease(hello); err != nil {
		s.wipe()
		return nil, err
	}
	m.summary.ClientRandom, m.summary.ServerName = hello.Random, hello.ServerName
	usable, rest := usablePSKs(start.psks, m.cfg.suites())
	s.psks, start.psks = m.fittingPSKs(hello, usable)
	start.psks = append(start.psks, rest...) // start wipes them
	s.early = m.sendsEarlyData(s.psks)
	hello.EarlyData, m.summary.EarlyOffered = s.early, s.early
	if err := m.sendHello(s, hello); err != nil {
		return nil, err
	}
	if s.early {
		m.startEarlyData(s.psks[0])
	}
	return s, nil
}

// startEarlyData changes to the keys of early data, which are derived from p (RFC
// 9846, Section 4.3.10). The transcript reaches to the ClientHello.
func (m *Machine) startEarlyData(p *PSK) {
	s := suite.ByID(p.Suite)
	early := schedule.NewEarly(s, p.Secret.Bytes())
	defer early.Wipe()
	m.sendCCS()
	m.emit(InstallWrite{Keys: m.earlyTraffic(early, s), Epoch: EpochEarly})
}

// newClientHello returns all of a ClientHello but its shares.
func (m *Machine) newClientHello() (*wire.ClientHello, error) {
	cfg := m.cfg
	hello := &wire.ClientHello{
		LegacyVersion:       versionTLS12,
		SessionID:           make([]byte, 32), // RFC 9846, Appendix E.4
		CipherSuites:        convert[uint16](cfg.suites()),
		CompressionMethods:  []byte{0},
		ServerName:          cfg.ServerName,
		ALPN:                cfg.ALPN,
		SupportedGroups:     convert[uint16](cfg.groups()),
		SignatureAlgorithms: convert[uint16](cfg.peerSchemes()),
		SupportedVersions:   []uint16{versionTLS13},
		ClientCertTypes:     certificateTypes(cfg.ownTypes()),
		ServerCertTypes:     certificateTypes(cfg.peerTypes()),
		RecordSizeLimit:     cfg.RecordSizeLimit,
	}
	if slices.Contains(cfg.peerTypes(), credential.X509) {
		hello.SignatureAlgorithmsCert = convert[uint16](credential.CertificateSchemes())
		hello.CertificateAuthorities = cfg.Authorities
		hello.StatusRequest, hello.SCT = cfg.RequestOCSP, cfg.RequestSCT
		hello.CompressCertificate = m.decompressors()
	}
	if cfg.OfferTickets || len(cfg.PSKs) > 0 {
		hello.PSKModes = []uint8{pskWithDHE}
	}
	hello.TicketRequest = cfg.TicketRequest
	if err := m.random(hello.Random[:]); err != nil {
		return nil, err
	}
	return hello, m.random(hello.SessionID)
}

// certificateTypes is what client_certificate_type or server_certificate_type
// lists: nothing where X.509 is the only type, RFC 7250, Section 4.1.
func certificateTypes(types []credential.Type) []uint8 {
	if len(types) == 1 && types[0] == credential.X509 {
		return nil
	}
	var numbers []uint8
	for _, t := range types {
		numbers = append(numbers, uint8(t))
	}
	return numbers
}

// generateShares gives hello new shares for the given groups; s owns the keys.
func (m *Machine) generateShares(s *clientAwaitsServerHello, hello *wire.ClientHello, groups []kex.Group) error {
	s.wipeShares()
	hello.KeyShares = []wire.KeyShare{}
	for _, g := range groups {
		key, err := kex.Generate(g, m.cfg.Rand)
		if err != nil {
			s.wipeShares()
			return withAlert(err, alert.InternalError, "no key could be generated")
		}
		s.shares = append(s.shares, key)
		hello.KeyShares = append(hello.KeyShares, wire.KeyShare{Group: uint16(g), Data: key.Share()})
	}
	return nil
}

// sendHello sends hello, with the keys of s, and keeps it as it went over the
// wire. An error wipes s.
func (m *Machine) sendHello(s *clientAwaitsServerHello, hello *wire.ClientHello) error {
	if err := m.offerPSKs(hello, s.psks); err != nil {
		s.wipe()
		return err
	}
	raw := hello.Marshal()
	sent, err := wire.ParseClientHello(raw)
	if err != nil {
		s.wipe()
		return alert.Wrap(alert.InternalError, "the Config makes no ClientHello", err)
	}
	s.hello = sent
	m.send(raw)
	return nil
}

// clientServerHello handles a ServerHello or HelloRetryRequest (RFC 9846, Section
// 4.2.3).
func clientServerHello(m *Machine, s *clientAwaitsServerHello, msg wire.Message) (state, error) {
	hello, err := wire.ParseServerHello(msg.Raw)
	if err != nil {
		return nil, err
	}
	if err := m.checkServerHello(s, hello); err != nil {
		return nil, err
	}
	if hello.IsHelloRetryRequest() {
		return m.retryClientHello(s, hello)
	}
	return m.acceptServerHello(s, hello)
}

// checkServerHello checks what a ServerHello and a HelloRetryRequest have in
// common.
func (m *Machine) checkServerHello(s *clientAwaitsServerHello, hello *wire.ServerHello) error {
	if err := checkServerVersion(hello); err != nil {
		return err
	}
	where := inServerHello
	if hello.IsHelloRetryRequest() {
		where = inHelloRetryRequest
	}
	selected := suite.ByID(suite.ID(hello.CipherSuite))
	switch {
	case where == inHelloRetryRequest && s.retry:
		return alert.New(alert.UnexpectedMessage, "a second HelloRetryRequest")
	case string(hello.SessionID) != string(s.hello.SessionID):
		return alert.New(alert.IllegalParameter, "the server did not echo the session ID")
	case hello.CompressionMethod != 0:
		return alert.New(alert.IllegalParameter, "the server selected a compression method")
	case selected == nil || !slices.Contains(s.hello.CipherSuites, hello.CipherSuite):
		return alert.New(alert.IllegalParameter, "the server selected a cipher suite that was not offered")
	case m.suite != nil && m.suite.ID != selected.ID:
		return alert.New(alert.IllegalParameter, "the server changed the cipher suite of its HelloRetryRequest")
	}
	if err := checkResponses(where, hello.Extensions, s.hello.Extensions); err != nil {
		return err
	}
	if m.suite == nil {
		m.suite, m.summary.Suite = selected, selected.ID
		m.transcript.Select(selected.NewHash)
	}
	return nil
}

// checkServerVersion comes before anything else is made of a ServerHello (RFC
// 9846, Section 4.3.1).
func checkServerVersion(hello *wire.ServerHello) error {
	switch {
	case slices.Contains(hello.Extensions, wire.ExtSupportedVersions) && hello.SupportedVersion != versionTLS13:
		return alert.New(alert.IllegalParameter, "the server selected a version that was not offered")
	case hello.SupportedVersion == versionTLS13 && hello.LegacyVersion == versionTLS12:
		return nil
	case hello.SupportedVersion != versionTLS13 && isDowngrade(hello.Random):
		return alert.New(alert.IllegalParameter, "somebody made the server believe that we do not know TLS 1.3")
	}
	return alert.New(alert.ProtocolVersion, "the server does not speak TLS 1.3")
}

// isDowngrade looks for the sentinels of RFC 9846, Section 4.2.3, by which a
// server that knows TLS 1.3 marks that it negotiated less.
func isDowngrade(random [32]byte) bool {
	tail := string(random[24:])
	return tail == "DOWNGRD\x00" || tail == "DOWNGRD\x01"
}

// retryClientHello answers a HelloRetryRequest (RFC 9846, Section 4.2.4).
func (m *Machine) retryClientHello(s *clientAwaitsServerHello, request *wire.ServerHello) (state, error) {
	hello := *s.hello
	hello.Raw, hello.Extensions = nil, nil
	hello.EarlyData = false
	next := &clientAwaitsServerHello{retry: true}
	asksShare := slices.Contains(request.Extensions, wire.ExtKeyShare)
	switch {
	case !asksShare && len(request.Cookie) == 0:
		return nil, alert.New(alert.IllegalParameter, "a HelloRetryRequest that changes nothing")
	case asksShare && (!slices.Contains(hello.SupportedGroups, request.SelectedGroup) || isGREASE(request.SelectedGroup)):
		return nil, alert.New(alert.IllegalParameter, "a HelloRetryRequest for a group that was not offered")
	case asksShare && slices.ContainsFunc(hello.KeyShares, func(k wire.KeyShare) bool { return k.Group == request.SelectedGroup }):
		return nil, alert.New(alert.IllegalParameter, "a HelloRetryRequest for a group whose share was sent")
	case asksShare:
		s.wipeShares()
		if err := m.generateShares(next, &hello, []kex.Group{kex.Group(request.SelectedGroup)}); err != nil {
			return nil, err
		}
	default:
		next.shares, s.shares = s.shares, nil
	}
	hello.Cookie, hello.PSK = request.Cookie, nil
	if hello.Marshal() == nil {
		next.wipe()
		return nil, alert.New(alert.IllegalParameter, "a cookie that leaves no room for the rest of a ClientHello")
	}
	m.summary.HelloRetry = true
	m.transcript.HelloRetryRequest()
	m.transcript.Add(request.Raw)
	if s.early {
		m.earlyRefused()
		m.secrets.takeEarlyExporter().Wipe()
		m.emit(InstallWrite{}, EarlyData{Accepted: false}) // the hello goes in the clear
	}
	usable, rest := usablePSKs(s.psks, []suite.ID{m.suite.ID})
	next.psks, s.psks = m.fittingPSKs(&hello, usable)
	s.psks = append(s.psks, rest...) // s wipes them
	m.sendCCS()
	return next, m.sendHello(next, &hello)
}

// acceptServerHello agrees on the keys of the handshake. The write keys are
// installed at once, so that an alert is sent under them (RFC 9846, Appendix A.1).
func (m *Machine) acceptServerHello(s *clientAwaitsServerHello, hello *wire.ServerHello) (state, error) {
	if hello.KeyShare == nil {
		return nil, alert.New(alert.MissingExtension, "a ServerHello without key_share")
	}
	i := slices.IndexFunc(s.shares, func(k kex.PrivateKey) bool { return uint16(k.Group()) == hello.KeyShare.Group })
	if i < 0 {
		return nil, alert.New(alert.IllegalParameter, "the server's share is of a group whose share was not sent")
	}
	psk, err := m.acceptPSK(s.psks, hello)
	if err != nil {
		return nil, err
	}
	shared, err := s.shares[i].Agree(hello.KeyShare.Data)
	if err != nil {
		return nil, withAlert(err, alert.IllegalParameter, "the server's share is wrong")
	}
	m.summary.Group = kex.Group(hello.KeyShare.Group)
	m.transcript.Add(hello.Raw)
	m.scheduleHandshake(m.newEarly(psk), shared)
	m.sendCCS()
	if !s.early { // else early data may follow, and this waits for the server's decision
		m.emit(InstallWrite{Keys: m.secrets.clientHandshake.Keys(), Epoch: EpochHandshake})
	}
	m.emit(InstallRead{Keys: m.secrets.serverHandshake.Keys(), Aligned: m.aligned, Epoch: EpochHandshake})
	return clientAwaitsExtensions{hello: s.hello, early: s.early, first: psk != nil && psk == s.psks[0]}, nil
}
