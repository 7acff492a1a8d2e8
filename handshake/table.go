// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A state is what a machine waits for, with the facts that only this wait needs.
type state interface {
	id() stateID
	wipe() // destroys the secrets among the facts
}

// A stateID names a state. The names are those of RFC 9846, Appendix A.
type stateID uint8

const (
	failed stateID = iota
	connected

	clientStartID
	clientWaitSH
	clientWaitEE
	clientWaitCertCR
	clientWaitCert
	clientWaitCV
	clientWaitFinished

	serverStartID
	serverWaitRetriedCH
	serverWaitEOED
	serverWaitCert
	serverWaitCV
	serverWaitFinished

	stateCount
)

// A transition is what a message means in a state.
type transition struct {
	message wire.MessageType
	hashed  hashing
	last    bool // of its flight: it ends with its record, since keys change or we are to speak
	receive func(*Machine, wire.Message) (state, error)
}

// A hashing says when a message enters the transcript.
type hashing uint8

const (
	hashFirst  hashing = iota // before it is handled
	hashLast                  // after it was handled: it signs what came before
	hashWithin                // by its handler, between two uses of the transcript
)

// transitions is the law of the handshake: a message that is not listed for a
// state is an unexpected_message (RFC 9846, Section 4), before it is parsed.
var transitions = [stateCount][]transition{
	clientWaitSH: {
		{wire.ServerHelloType, hashWithin, true, on(clientServerHello)},
	},
	clientWaitEE: {
		{wire.EncryptedExtensionsType, hashFirst, false, on(clientEncryptedExtensions)},
	},
	clientWaitCertCR: {
		{wire.CertificateRequestType, hashFirst, false, on(clientCertificateRequest)},
		{wire.CertificateType, hashFirst, false, on(clientCertificateUnasked)},
		{wire.CompressedCertificateType, hashFirst, false, uncompressed(clientCertificateUnasked)},
	},
	clientWaitCert: {
		{wire.CertificateType, hashFirst, false, on(clientCertificate)},
		{wire.CompressedCertificateType, hashFirst, false, uncompressed(clientCertificate)},
	},
	clientWaitCV: {
		{wire.CertificateVerifyType, hashLast, false, on(clientCertificateVerify)},
	},
	clientWaitFinished: {
		{wire.FinishedType, hashWithin, true, on(clientFinished)},
	},
	serverStartID: {
		{wire.ClientHelloType, hashWithin, true, on(serverClientHello)},
	},
	serverWaitRetriedCH: {
		{wire.ClientHelloType, hashWithin, true, on(serverRetriedClientHello)},
	},
	serverWaitEOED: {
		{wire.EndOfEarlyDataType, hashFirst, true, on(serverEndOfEarlyData)},
	},
	serverWaitCert: {
		{wire.CertificateType, hashFirst, false, on(serverCertificate)},
		{wire.CompressedCertificateType, hashFirst, false, uncompressed(serverCertificate)},
	},
	serverWaitCV: {
		{wire.CertificateVerifyType, hashLast, false, on(serverCertificateVerify)},
	},
	serverWaitFinished: {
		{wire.FinishedType, hashWithin, true, on(serverFinished)},
	},
}

// on makes a handler of a function for one type of state.
func on[S state](f func(*Machine, S, wire.Message) (state, error)) func(*Machine, wire.Message) (state, error) {
	return func(m *Machine, msg wire.Message) (state, error) { return f(m, m.state.(S), msg) }
}

// receive handles a message as the table says.
func (m *Machine) receive(msg wire.Message, aligned func() (wire.Aligned, bool)) (state, error) {
	for _, t := range transitions[m.state.id()] {
		if t.message != msg.Type {
			continue
		}
		if t.last {
			var ok bool
			if m.aligned, ok = aligned(); !ok {
				// RFC 9846, Section 5.1.
				return nil, alert.New(alert.UnexpectedMessage, "a handshake message that ends a flight was followed by another in its record")
			}
		}
		if t.hashed == hashFirst {
			m.transcript.Add(msg.Raw)
		}
		next, err := t.receive(m, msg)
		if err == nil && t.hashed == hashLast {
			m.transcript.Add(msg.Raw)
		}
		return next, err
	}
	return nil, alert.New(alert.UnexpectedMessage, "a handshake message that has no place here")
}

// without is embedded by states that own no secret.
type without struct{}

func (without) wipe() {}

// endState is that of a machine that failed, doneState of one that is done.
type (
	endState  struct{ without }
	doneState struct{ without }
)

func (endState) id() stateID  { return failed }
func (doneState) id() stateID { return connected }
