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

type (
	// serverStart is START: nothing was received.
	serverStart struct{ without }

	// serverAwaitsRetry is START again, after a HelloRetryRequest.
	serverAwaitsRetry struct {
		without
		first    *wire.ClientHello // nil: all of this is in the cookie
		selected *selection
		wantsPSK bool // the first ClientHello offers a key that would do
	}

	// serverAwaitsEndOfEarlyData is WAIT_EOED.
	serverAwaitsEndOfEarlyData struct{ without }

	// serverAwaitsCertificate is WAIT_CERT. Its facts are those of our
	// CertificateRequest.
	serverAwaitsCertificate struct {
		without
		requested []wire.ExtensionType
	}

	// serverAwaitsCertificateVerify is WAIT_CV.
	serverAwaitsCertificateVerify struct {
		without
		peer *credential.Peer
	}

	// serverAwaitsFinished is WAIT_FINISHED.
	serverAwaitsFinished struct{ without }
)

func (serverStart) id() stateID                   { return serverStartID }
func (*serverAwaitsRetry) id() stateID            { return serverWaitRetriedCH }
func (serverAwaitsEndOfEarlyData) id() stateID    { return serverWaitEOED }
func (serverAwaitsCertificate) id() stateID       { return serverWaitCert }
func (serverAwaitsCertificateVerify) id() stateID { return serverWaitCV }
func (serverAwaitsFinished) id() stateID          { return serverWaitFinished }

// serverClientHello handles the first ClientHello (RFC 9846, Section 4.2.2).
func serverClientHello(m *Machine, _ serverStart, msg wire.Message) (state, error) {
	hello, err := wire.ParseClientHello(msg.Raw)
	if err != nil {
		return nil, err
	}
	if err := checkClientHello(hello); err != nil {
		return nil, err
	}
	if hello.Has(wire.ExtCookie) {
		// RFC 9846, Section 4.3.2.
		return nil, alert.New(alert.IllegalParameter, "a first ClientHello with a cookie")
	}
	m.summary.ClientRandom, m.summary.ServerName = hello.Random, hello.ServerName
	m.summary.Tickets, m.summary.PSKModes = hello.TicketRequest, slices.Contains(hello.PSKModes, pskWithDHE)
	if err := m.chooseConfig(hello); err != nil {
		return nil, err
	}
	if m.cfg.Cookie != nil {
		return m.sendCookie(hello)
	}
	selected, err := m.negotiate(hello)
	if err != nil {
		return nil, err
	}
	m.suite, m.summary.Suite, m.summary.Group = selected.suite, selected.suite.ID, selected.group
	m.summary.ALPN = selected.alpn
	if selected.share != nil || m.secrets.psk == nil && !m.asksPSKsAlone(hello) {
		if err := m.authenticate(selected, hello); err != nil {
			return nil, err
		}
	}
	m.summary.EarlyOffered = hello.EarlyData
	m.transcript.Add(msg.Raw)
	m.transcript.Select(m.suite.NewHash)
	if selected.share == nil {
		return m.sendHelloRetryRequest(hello, selected)
	}
	return m.sendServerFlight(hello, selected)
}

// chooseConfig asks for the Config of this handshake.
func (m *Machine) chooseConfig(hello *wire.ClientHello) error {
	if m.cfg.Choose == nil {
		return nil
	}
	chosen, err := m.cfg.Choose(hello)
	if err != nil {
		return withAlert(err, alert.InternalError, "no Config could be chosen")
	}
	if chosen == nil {
		chosen = m.cfg
	}
	if err := chosen.validate(Server); err != nil {
		return alert.Wrap(alert.InternalError, "the chosen Config cannot work", err)
	}
	m.cfg = chosen
	return nil
}

// sendHelloRetryRequest asks for a share of the selected group (RFC 9846, Section
// 4.2.4). The transcript holds the first ClientHello.
func (m *Machine) sendHelloRetryRequest(hello *wire.ClientHello, selected *selection) (state, error) {
	next := &serverAwaitsRetry{first: hello, selected: selected, wantsPSK: m.secrets.psk != nil || m.asksPSKsAlone(hello)}
	m.secrets.dropPSK() // it is looked up again in the second ClientHello
	m.askAgain(hello, retryRequest(hello, selected.suite, selected.group, nil))
	return next, nil
}

// retryRequest is the HelloRetryRequest that asks for a share of group, if that is not 0,
// and for the return of cookie.
func retryRequest(hello *wire.ClientHello, s *suite.Suite, group kex.Group, cookie []byte) *wire.ServerHello {
	return &wire.ServerHello{
		LegacyVersion:    versionTLS12,
		Random:           wire.RetryRandom,
		SessionID:        hello.SessionID,
		CipherSuite:      uint16(s.ID),
		SupportedVersion: versionTLS13,
		SelectedGroup:    uint16(group),
		Cookie:           cookie,
	}
}

// askAgain sends a HelloRetryRequest. The transcript holds the first ClientHello.
func (m *Machine) askAgain(hello *wire.ClientHello, request *wire.ServerHello) {
	m.summary.HelloRetry = true
	m.transcript.HelloRetryRequest()
	m.send(request.Marshal())
	m.sendCCS()
	m.skipEarlyData(hello)
}

// serverRetriedClientHello handles the answer to our HelloRetryRequest.
func serverRetriedClientHello(m *Machine, s *serverAwaitsRetry, msg wire.Message) (state, error) {
	hello, err := wire.ParseClientHello(msg.Raw)
	if err != nil {
		return nil, err
	}
	if err := checkClientHello(hello); err != nil {
		return nil, err
	}
	if s.first == nil {
		return m.returnedCookie(hello)
	}
	if err := checkRetriedHello(s.first, hello, s.selected.group); err != nil {
		return nil, err
	}
	if s.wantsPSK && hello.PSK == nil {
		// It fits the suite: RFC 9846, Section 4.2.2, gives no reason to leave it out.
		return nil, alert.New(alert.MissingExtension, "a second ClientHello without pre_shared_key")
	}
	if hello.Has(wire.ExtCookie) {
		return nil, alert.New(alert.IllegalParameter, "a cookie that was not given")
	}
	if s.first.Has(wire.ExtEarlyData) {
		m.emit(SkipEarlyData{}) // all of it came before this ClientHello
	}
	s.selected.share = hello.KeyShares[0].Data
	return m.answerRetried(s.selected, hello)
}

// answerRetried goes on with a second ClientHello, to which nothing is to be said against.
// The transcript reaches to the HelloRetryRequest.
func (m *Machine) answerRetried(selected *selection, hello *wire.ClientHello) (state, error) {
	if err := m.findPSK(selected, hello, true); err != nil {
		return nil, err
	}
	if err := m.authenticate(selected, hello); err != nil {
		return nil, err
	}
	m.transcript.Add(hello.Raw)
	return m.sendServerFlight(hello, selected)
}

// sendServerFlight sends all that the server has to say: from here on it can only
// fail by what the client answers. The transcript reaches to the ClientHello.
func (m *Machine) sendServerFlight(hello *wire.ClientHello, selected *selection) (state, error) {
	if m.summary.PSK == nil && !selected.requestPeer {
		if err := m.judge(nil); err != nil { // first: a client may take a ticket as the server's consent
			return nil, err
		}
	}
	if err := m.sendServerHello(hello, selected); err != nil {
		return nil, err
	}
	m.sendEncryptedExtensions(hello, selected)
	var next state = serverAwaitsFinished{}
	asksPeer := false
	if m.summary.PSK == nil {
		if selected.requestPeer {
			next, asksPeer = serverAwaitsCertificate{requested: m.sendCertificateRequest()}, true
		}
		if err := m.sendCertificate(selected.credential, hello.Extensions, hello.CompressCertificate); err != nil {
			return nil, err
		}
		if err := m.sendCertificateVerify(selected.credential, selected.scheme); err != nil {
			return nil, err
		}
	}
	m.sendFinished(m.secrets.serverHandshake)
	m.scheduleApplication()
	m.emit(InstallWrite{Keys: m.secrets.serverApplication.Keys(), Epoch: EpochApplication})
	if !asksPeer {
		m.emitResumption(m.predictSum)
	}
	if m.summary.EarlyData {
		next = serverAwaitsEndOfEarlyData{}
	}
	return next, nil
}

// sendServerHello agrees on the keys of the handshake (RFC 9846, Section 4.2.3).
func (m *Machine) sendServerHello(hello *wire.ClientHello, selected *selection) error {
	answer := &wire.ServerHello{
		LegacyVersion:    versionTLS12,
		SessionID:        hello.SessionID,
		CipherSuite:      uint16(selected.suite.ID),
		SupportedVersion: versionTLS13,
	}
	if err := m.random(answer.Random[:]); err != nil {
		return err
	}
	m.summary.EarlyData = m.takesEarlyData(selected, hello) // a callback, which may panic: before there are secrets
	share, shared, err := kex.Respond(selected.group, m.cfg.Rand, selected.share)
	if err != nil {
		return withAlert(err, alert.InternalError, "no key could be agreed on")
	}
	answer.KeyShare = &wire.KeyShare{Group: uint16(selected.group), Data: share}
	if m.secrets.psk != nil {
		index := uint16(selected.pskIndex)
		answer.SelectedPSK = &index
	}
	early := m.newEarly(m.secrets.psk)
	var earlyKeys *suite.Keys
	if m.summary.EarlyData {
		earlyKeys = m.earlyTraffic(early, m.suite)
	}
	m.send(answer.Marshal())
	m.sendCCS()
	m.scheduleHandshake(early, shared)
	m.emit(InstallWrite{Keys: m.secrets.serverHandshake.Keys(), Epoch: EpochHandshake})
	if m.summary.EarlyData {
		m.emit(
			InstallRead{Keys: earlyKeys, Aligned: m.aligned, Epoch: EpochEarly},
			EarlyData{Accepted: true, Max: m.secrets.psk.MaxEarlyData, Exporter: m.secrets.takeEarlyExporter()},
		)
	} else {
		m.emit(InstallRead{Keys: m.secrets.clientHandshake.Keys(), Aligned: m.aligned, Epoch: EpochHandshake})
		m.skipEarlyData(hello)
	}
	m.secrets.dropPSK()
	return nil
}

// sendEncryptedExtensions answers the client's extensions (RFC 9846, Section
// 4.4.1).
func (m *Machine) sendEncryptedExtensions(hello *wire.ClientHello, selected *selection) {
	answer := &wire.EncryptedExtensions{ALPN: selected.alpn, EarlyData: m.summary.EarlyData}
	if psk := m.summary.PSK; psk == nil || psk.Kind != schedule.ResumptionBinder {
		answer.ServerName = hello.ServerName != "" // RFC 6066, Section 3: not where a session is resumed
	}
	if groups := m.cfg.groups(); groups[0] != selected.group && !m.summary.HelloRetry {
		// RFC 9846, Section 4.3.7: tell the client what to send next time.
		answer.SupportedGroups = convert[uint16](groups)
	}
	if m.summary.PSK == nil {
		m.answerCertificateTypes(hello, selected, answer)
	} else if m.summary.PSK.Kind == schedule.ResumptionBinder {
		m.answerServerType(hello, answer)
	}
	if hello.Has(wire.ExtRecordSizeLimit) && m.cfg.RecordSizeLimit != 0 {
		answer.RecordSizeLimit = m.cfg.RecordSizeLimit
		m.limitRecords(hello.RecordSizeLimit)
	}
	if hello.TicketRequest != nil && m.cfg.AnswerTickets != nil {
		// RFC 9149, Section 3.
		n := m.cfg.AnswerTickets(*hello.TicketRequest, m.summary.PSK != nil)
		answer.Other = append(answer.Other, wire.Extension{Type: wire.ExtTicketRequest, Data: []byte{n}})
	}
	m.send(answer.Marshal())
}

// answerCertificateTypes tells what the Certificate messages will hold (RFC 7250,
// Section 4.2).
func (m *Machine) answerCertificateTypes(hello *wire.ClientHello, selected *selection, answer *wire.EncryptedExtensions) {
	m.clientType, m.serverType = selected.clientType, selected.credential.Type
	if hello.Has(wire.ExtServerCertificateType) {
		t := uint8(m.serverType)
		answer.ServerCertType = &t
	}
	if hello.Has(wire.ExtClientCertificateType) && selected.requestPeer {
		t := uint8(m.clientType)
		answer.ClientCertType = &t
	}
}

// answerServerType tells, where a session is resumed, which type our Certificate would
// have had: RFC 7250, Section 4.2, makes no exception. Nothing follows from it.
func (m *Machine) answerServerType(hello *wire.ClientHello, answer *wire.EncryptedExtensions) {
	if !hello.Has(wire.ExtServerCertificateType) {
		return
	}
	if types := commonTypes(m.cfg.ownTypes(), hello.ServerCertTypes, true); len(types) > 0 {
		t := uint8(types[0])
		answer.ServerCertType = &t
	}
}

// sendCertificateRequest asks for the client's credential (RFC 9846, Section
// 4.4.2) and returns the extensions that the client may answer.
func (m *Machine) sendCertificateRequest() []wire.ExtensionType {
	request := &wire.CertificateRequest{SignatureAlgorithms: convert[uint16](m.cfg.peerSchemes())}
	var requested []wire.ExtensionType
	if m.clientType == credential.X509 {
		request.SignatureAlgorithmsCert = convert[uint16](credential.CertificateSchemes())
		request.CertificateAuthorities = m.cfg.Authorities
		request.CompressCertificate = m.decompressors()
		if request.StatusRequest = m.cfg.RequestOCSP; request.StatusRequest {
			requested = append(requested, wire.ExtStatusRequest)
		}
		if request.SCT = m.cfg.RequestSCT; request.SCT {
			requested = append(requested, wire.ExtSCT)
		}
	}
	m.send(request.Marshal())
	return requested
}

// serverEndOfEarlyData handles the end of early data (RFC 9846, Section 4.6).
func serverEndOfEarlyData(m *Machine, _ serverAwaitsEndOfEarlyData, msg wire.Message) (state, error) {
	if _, err := wire.ParseEndOfEarlyData(msg.Raw); err != nil {
		return nil, err
	}
	m.emit(InstallRead{Keys: m.secrets.clientHandshake.Keys(), Aligned: m.aligned, Epoch: EpochHandshake})
	return serverAwaitsFinished{}, nil
}

// serverCertificate handles the client's Certificate (RFC 9846, Section 4.5.1).
func serverCertificate(m *Machine, s serverAwaitsCertificate, msg wire.Message) (state, error) {
	peer, err := m.receiveCertificate(msg, m.clientType, s.requested)
	switch {
	case err != nil:
		return nil, err
	case peer != nil:
		return serverAwaitsCertificateVerify{peer: peer}, nil
	case m.cfg.RequirePeer:
		return nil, alert.New(alert.CertificateRequired, "the client showed no credential")
	}
	return serverAwaitsFinished{}, m.judge(nil)
}

// serverCertificateVerify handles the client's proof (RFC 9846, Section 4.5.2).
func serverCertificateVerify(m *Machine, s serverAwaitsCertificateVerify, msg wire.Message) (state, error) {
	if err := m.receiveCertificateVerify(msg, s.peer); err != nil {
		return nil, err
	}
	return serverAwaitsFinished{}, nil
}

// serverFinished handles the client's Finished and ends the handshake (RFC 9846,
// Section 4.5.3 and Appendix A.2).
func serverFinished(m *Machine, _ serverAwaitsFinished, msg wire.Message) (state, error) {
	if err := m.receiveFinished(msg, m.secrets.clientHandshake); err != nil {
		return nil, err
	}
	if m.secrets.main != nil { // otherwise it has served
		m.emitResumption(m.transcript.Sum)
	}
	m.secrets.wipeHandshake()
	m.emit(
		InstallRead{Keys: m.secrets.clientApplication.Keys(), Aligned: m.aligned, Epoch: EpochApplication},
		Complete{},
	)
	return doneState{}, nil
}

// skipEarlyData has the early data skipped that the client announces and we do
// not accept (RFC 9846, Section 4.3.10).
func (m *Machine) skipEarlyData(hello *wire.ClientHello) {
	if hello.Has(wire.ExtEarlyData) {
		m.emit(SkipEarlyData{Max: m.cfg.maxSkippedEarlyData()})
	}
}
