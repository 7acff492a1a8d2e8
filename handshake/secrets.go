// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// secrets are what the key schedule has given the machine (RFC 9846, Section
// 7.1). Each has one owner, and goes as soon as it has served.
type secrets struct {
	main                                 *schedule.Main
	clientHandshake, serverHandshake     *schedule.Traffic
	clientApplication, serverApplication *schedule.Traffic
	exporter                             *schedule.Exporter

	earlyExporter *schedule.Exporter // until it is known whether early data is accepted

	psk *PSK // a server's, that was found and is not yet used
}

// wipe destroys them all.
func (s *secrets) wipe() {
	s.wipeHandshake()
	s.clientApplication.Wipe()
	s.serverApplication.Wipe()
	s.exporter.Wipe()
	s.psk.wipe()
	s.earlyExporter.Wipe()
	*s = secrets{}
}

// takeEarlyExporter gives away the early exporter secret.
func (s *secrets) takeEarlyExporter() *schedule.Exporter {
	x := s.earlyExporter
	s.earlyExporter = nil
	return x
}

// dropPSK destroys a key that is not to be used.
func (s *secrets) dropPSK() {
	s.psk.wipe()
	s.psk = nil
}

// wipeHandshake destroys what is not needed after the handshake.
func (s *secrets) wipeHandshake() {
	s.clientHandshake.Wipe()
	s.serverHandshake.Wipe()
	s.main.Wipe()
	s.clientHandshake, s.serverHandshake, s.main = nil, nil, nil
}

// newEarly starts the key schedule, with a pre-shared key or nil, and wipes that.
func (m *Machine) newEarly(p *PSK) *schedule.Early {
	if p == nil {
		return schedule.NewEarly(m.suite, nil)
	}
	defer p.wipe()
	return schedule.NewEarly(m.suite, p.Secret.Bytes())
}

// scheduleHandshake derives the handshake secrets. The transcript reaches to the
// ServerHello. early is the Early Secret, shared what the key
// exchange gave; both are consumed.
func (m *Machine) scheduleHandshake(early *schedule.Early, shared *volatile.Secret) {
	handshake := early.Handshake(shared)
	m.secrets.clientHandshake, m.secrets.serverHandshake, m.secrets.main = handshake.All(m.transcript.Sum())
	m.log("CLIENT_HANDSHAKE_TRAFFIC_SECRET", m.secrets.clientHandshake)
	m.log("SERVER_HANDSHAKE_TRAFFIC_SECRET", m.secrets.serverHandshake)
}

// scheduleApplication derives the secrets of the connection. The transcript
// reaches to the server's Finished.
func (m *Machine) scheduleApplication() {
	s := &m.secrets
	s.clientApplication, s.serverApplication, s.exporter = s.main.Application(m.transcript.Sum())
	m.log("CLIENT_TRAFFIC_SECRET_0", m.secrets.clientApplication)
	m.log("SERVER_TRAFFIC_SECRET_0", m.secrets.serverApplication)
	m.log("EXPORTER_SECRET", m.secrets.exporter)
}

// emitResumption derives the secret of tickets, where they are wanted, and gives it away.
// sum returns the hash of the messages up to the client's Finished.
func (m *Machine) emitResumption(sum func() []byte) {
	var secret *schedule.Resumption
	if m.cfg.Resume {
		secret = m.secrets.main.Resumption(sum())
	}
	m.secrets.main.Wipe()
	m.secrets.main = nil
	m.emit(Resumption{secret})
}

// predictSum returns the hash of the messages up to the client's Finished when the server
// has only sent its own. A client that was not asked for a certificate has no choice in what
// it answers (RFC 9846, Section 4.7.1).
func (m *Machine) predictSum() []byte {
	var answer []byte
	if m.summary.EarlyData {
		answer = new(wire.EndOfEarlyData).Marshal()
	}
	sum := m.transcript.SumWith(answer, m.suite.NewHash)
	finished := &wire.Finished{VerifyData: m.secrets.clientHandshake.Finished(sum)}
	return m.transcript.SumWith(append(answer, finished.Marshal()...), m.suite.NewHash)
}

// log hands a secret to the key log, where one is set.
func (m *Machine) log(label string, s interface{ Secret() []byte }) {
	if m.cfg.KeyLog != nil {
		m.cfg.KeyLog(label, m.summary.ClientRandom[:], s.Secret())
	}
}
