// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

type (
	// clientAwaitsExtensions is WAIT_EE.
	clientAwaitsExtensions struct {
		without
		hello *wire.ClientHello
		early bool // early data was announced
		first bool // the server uses the first of the offered keys
	}

	// clientAwaitsCertificateOrRequest is WAIT_CERT_CR.
	clientAwaitsCertificateOrRequest struct {
		without
		hello *wire.ClientHello
	}

	// clientAwaitsCertificate is WAIT_CERT, after a CertificateRequest.
	clientAwaitsCertificate struct {
		without
		hello   *wire.ClientHello
		request *wire.CertificateRequest
	}

	// clientAwaitsCertificateVerify is WAIT_CV.
	clientAwaitsCertificateVerify struct {
		without
		request *wire.CertificateRequest // nil: there was none
		peer    *credential.Peer
	}

	// clientAwaitsFinished is WAIT_FINISHED.
	clientAwaitsFinished struct {
		without
		request *wire.CertificateRequest
	}
)

func (clientAwaitsExtensions) id() stateID           { return clientWaitEE }
func (clientAwaitsCertificateOrRequest) id() stateID { return clientWaitCertCR }
func (clientAwaitsCertificate) id() stateID          { return clientWaitCert }
func (clientAwaitsCertificateVerify) id() stateID    { return clientWaitCV }
func (clientAwaitsFinished) id() stateID             { return clientWaitFinished }

// clientEncryptedExtensions handles the server's answers (RFC 9846, Section
// 4.4.1).
func clientEncryptedExtensions(m *Machine, s clientAwaitsExtensions, msg wire.Message) (state, error) {
	message, err := wire.ParseEncryptedExtensions(msg.Raw)
	if err != nil {
		return nil, err
	}
	if err := checkResponses(inEncryptedExtensions, message.Extensions, s.hello.Extensions); err != nil {
		return nil, err
	}
	if err := checkRetryConfigs(message.Other); err != nil {
		return nil, err
	}
	if message.ALPN != "" && !slices.Contains(s.hello.ALPN, message.ALPN) {
		// RFC 7301, Section 3.1.
		return nil, alert.New(alert.IllegalParameter, "the server selected an application protocol that was not offered")
	}
	m.summary.ALPN = message.ALPN
	if err := m.agreeCertificateTypes(s.hello, message); err != nil {
		return nil, err
	}
	if slices.Contains(message.Extensions, wire.ExtRecordSizeLimit) {
		if message.RecordSizeLimit > maxRecordLimit {
			return nil, alert.New(alert.IllegalParameter, "the server's record_size_limit is too large")
		}
		m.limitRecords(message.RecordSizeLimit)
	}
	if err := m.agreeEarlyData(s, message); err != nil {
		return nil, err
	}
	if m.summary.PSK != nil {
		return clientAwaitsFinished{}, nil
	}
	return clientAwaitsCertificateOrRequest{hello: s.hello}, nil
}

// agreeEarlyData takes over the server's decision on our early data (RFC 9846,
// Section 4.3.10 and 4.3.11).
func (m *Machine) agreeEarlyData(s clientAwaitsExtensions, message *wire.EncryptedExtensions) error {
	switch {
	case !s.early:
		return nil
	case !message.EarlyData:
		m.earlyRefused()
		m.secrets.takeEarlyExporter().Wipe()
		m.emit(InstallWrite{Keys: m.secrets.clientHandshake.Keys(), Epoch: EpochHandshake}, EarlyData{Accepted: false})
		return nil
	case !s.first:
		return alert.New(alert.IllegalParameter, "the server accepts early data without the key that protects it")
	case m.summary.PSK.Suite != m.suite.ID:
		return alert.New(alert.IllegalParameter, "the server accepts early data that is under another cipher suite")
	case m.summary.PSK.ALPN != message.ALPN:
		return alert.New(alert.IllegalParameter, "the server accepts early data of another application protocol")
	}
	m.summary.EarlyData, m.summary.EarlyReason = true, EarlyAccepted
	m.emit(EarlyData{Accepted: true, Max: m.summary.PSK.MaxEarlyData, Exporter: m.secrets.takeEarlyExporter()})
	return nil
}

// agreeCertificateTypes takes over the server's choices (RFC 7250, Section 4.2).
// Without the extension the type is X.509.
func (m *Machine) agreeCertificateTypes(hello *wire.ClientHello, message *wire.EncryptedExtensions) error {
	m.clientType, m.serverType = credential.X509, credential.X509
	if t := message.ClientCertType; t != nil {
		if !slices.Contains(hello.ClientCertTypes, *t) {
			return alert.New(alert.UnsupportedCertificate, "the server asks for a certificate type that was not offered")
		}
		m.clientType = credential.Type(*t)
	}
	if t := message.ServerCertType; t != nil {
		if !slices.Contains(hello.ServerCertTypes, *t) {
			return alert.New(alert.UnsupportedCertificate, "the server selected a certificate type that was not offered")
		}
		m.serverType = credential.Type(*t)
	}
	if m.summary.PSK == nil && !slices.Contains(m.cfg.peerTypes(), m.serverType) {
		return alert.New(alert.UnsupportedCertificate, "the server has no credential of a type that is accepted")
	}
	return nil
}

// limitRecords puts the peer's record_size_limit and ours into effect (RFC 8449,
// Section 4).
func (m *Machine) limitRecords(peer uint16) {
	m.summary.SendLimit = min(int(peer), maxRecordLimit)
	m.summary.ReceiveLimit = int(m.cfg.RecordSizeLimit)
	m.emit(RecordLimit{Send: m.summary.SendLimit, Receive: m.summary.ReceiveLimit})
}

// clientCertificateRequest handles the wish for our credential (RFC 9846, Section
// 4.4.2).
func clientCertificateRequest(m *Machine, s clientAwaitsCertificateOrRequest, msg wire.Message) (state, error) {
	request, err := wire.ParseCertificateRequest(msg.Raw)
	if err != nil {
		return nil, err
	}
	if err := checkIndications(inCertificateRequest, request.Extensions); err != nil {
		return nil, err
	}
	switch {
	case len(request.Context) != 0:
		return nil, alert.New(alert.IllegalParameter, "a CertificateRequest in the handshake has a context")
	case !slices.Contains(request.Extensions, wire.ExtSignatureAlgorithms):
		return nil, alert.New(alert.MissingExtension, "a CertificateRequest without signature_algorithms")
	}
	if err := checkCompressions(request.CompressCertificate); err != nil {
		return nil, err
	}
	if own := m.cfg.ownTypes(); len(own) > 0 && !slices.Contains(own, m.clientType) {
		// We wanted to show ourselves: going on unknown would be an accident.
		return nil, alert.New(alert.UnsupportedCertificate, "the server asks for a certificate, and we have none of that type")
	}
	return clientAwaitsCertificate{hello: s.hello, request: request}, nil
}

// clientCertificateUnasked handles the server's Certificate where no
// CertificateRequest came before it.
func clientCertificateUnasked(m *Machine, s clientAwaitsCertificateOrRequest, msg wire.Message) (state, error) {
	return clientCertificate(m, clientAwaitsCertificate{hello: s.hello}, msg)
}

// clientCertificate handles the server's Certificate (RFC 9846, Section 4.5.1).
func clientCertificate(m *Machine, s clientAwaitsCertificate, msg wire.Message) (state, error) {
	peer, err := m.receiveCertificate(msg, m.serverType, s.hello.Extensions)
	if err != nil {
		return nil, err
	}
	if peer == nil {
		// RFC 9846, Section 4.5.1.3.
		return nil, alert.New(alert.DecodeError, "the server's Certificate is empty")
	}
	return clientAwaitsCertificateVerify{request: s.request, peer: peer}, nil
}

// clientCertificateVerify handles the server's proof (RFC 9846, Section 4.5.2).
func clientCertificateVerify(m *Machine, s clientAwaitsCertificateVerify, msg wire.Message) (state, error) {
	if err := m.receiveCertificateVerify(msg, s.peer); err != nil {
		return nil, err
	}
	return clientAwaitsFinished{request: s.request}, nil
}

// clientFinished handles the server's Finished, answers with our flight, and ends
// the handshake (RFC 9846, Section 4.5.3 and Appendix A.1).
func clientFinished(m *Machine, s clientAwaitsFinished, msg wire.Message) (state, error) {
	if err := m.receiveFinished(msg, m.secrets.serverHandshake); err != nil {
		return nil, err
	}
	if err := m.judgeServerPSK(); err != nil {
		return nil, err
	}
	m.scheduleApplication()
	if m.summary.EarlyData {
		// RFC 9846, Section 4.6.
		m.send(new(wire.EndOfEarlyData).Marshal())
		m.emit(InstallWrite{Keys: m.secrets.clientHandshake.Keys(), Epoch: EpochHandshake})
	}
	if s.request != nil {
		if err := m.showCredential(s.request); err != nil {
			return nil, err
		}
	}
	m.sendFinished(m.secrets.clientHandshake)
	m.emitResumption(m.transcript.Sum)
	m.secrets.wipeHandshake()
	m.emit(
		InstallWrite{Keys: m.secrets.clientApplication.Keys(), Epoch: EpochApplication},
		InstallRead{Keys: m.secrets.serverApplication.Keys(), Aligned: m.aligned, Epoch: EpochApplication},
		Complete{},
	)
	return doneState{}, nil
}

// judgeServerPSK asks the application about a server that has proved, by its
// Finished, to hold the key in use.
func (m *Machine) judgeServerPSK() error {
	if m.summary.PSK == nil {
		return nil
	}
	ok, err := m.judgePSK(m.summary.PSK)
	if err == nil && !ok {
		err = alert.New(alert.AccessDenied, "the server was refused")
	}
	return err
}

// showCredential answers a CertificateRequest: with an empty Certificate where
// nothing fits it (RFC 9846, Section 4.5.1).
func (m *Machine) showCredential(request *wire.CertificateRequest) error {
	cred, scheme, err := m.chooseCredential(&Request{
		ServerName:         m.cfg.ServerName,
		Types:              []credential.Type{m.clientType},
		Schemes:            schemes(request.SignatureAlgorithms),
		CertificateSchemes: schemes(request.SignatureAlgorithmsCert),
		Authorities:        request.CertificateAuthorities,
	})
	if err != nil {
		return err
	}
	if err := m.sendCertificate(cred, request.Extensions, request.CompressCertificate); err != nil || cred == nil {
		return err
	}
	return m.sendCertificateVerify(cred, scheme)
}
