// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"crypto/rand"
	"errors"
	"io"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/transcript"
)

// A Role is a side of the handshake.
type Role uint8

// The roles.
const (
	Client Role = iota
	Server
)

// A Machine runs one handshake. It is not for use by several goroutines at once.
type Machine struct {
	role       Role
	cfg        *Config
	state      state
	err        error // sticky
	transcript *transcript.Transcript
	suite      *suite.Suite // once selected
	secrets    secrets
	summary    Summary

	clientType, serverType credential.Type // what Certificate messages hold; neither with a PSK

	sentCCS bool
	aligned wire.Aligned // of the message that is being received
	events  []Event      // that the present call will return
	flight  []byte       // messages of ours that follow events
	space   [9]Event     // of events: the most that one message of the RFC's causes
}

// A Summary is what a handshake has settled so far; after Done, all of it.
type Summary struct {
	Suite      suite.ID
	Group      kex.Group
	HelloRetry bool
	ServerName string // that the client asked for
	ALPN       string

	Peer       *credential.Peer // nil: it showed nothing
	PeerScheme credential.Scheme

	OwnCredential *credential.Credential // nil: none was shown
	OwnScheme     credential.Scheme

	// PSK is the pre-shared key in use, its secret wiped; nil: none is.
	PSK *PSK

	// EarlyData says that early data was accepted, EarlyReason why it was not.
	// EarlyOffered says that a client's first ClientHello has announced some.
	EarlyData, EarlyOffered bool
	EarlyReason             EarlyReason

	// Tickets is how many tickets the client has asked for; nil: it did not say.
	// PSKModes says that it could use one.
	Tickets  *wire.TicketRequest
	PSKModes bool

	ClientRandom [32]byte

	// SendLimit and ReceiveLimit are those of RecordLimit; 0: not negotiated.
	SendLimit, ReceiveLimit int
}

// NewClient returns a client's machine, which owns the secrets of the Config's PSKs
// from then on, whatever it returns. Start begins the handshake.
func NewClient(cfg *Config) (*Machine, error) {
	start := new(clientStart)
	if cfg != nil {
		start.psks = cfg.PSKs
	}
	return newMachine(Client, cfg, start)
}

// NewServer returns a server's machine, which waits for a ClientHello.
func NewServer(cfg *Config) (*Machine, error) {
	return newMachine(Server, cfg, serverStart{})
}

func newMachine(role Role, cfg *Config, start state) (*Machine, error) {
	if err := cfg.validate(role); err != nil && (role == Client || cfg == nil || cfg.Choose == nil) {
		start.wipe()
		return nil, err
	}
	return &Machine{role: role, cfg: cfg, state: start, transcript: transcript.New()}, nil
}

// Start begins the handshake: a client's ClientHello; nothing on a server. The events are
// to be carried out before the next call.
func (m *Machine) Start() ([]Event, error) {
	if m.err != nil {
		return nil, m.err
	}
	start, ok := m.state.(*clientStart)
	if !ok {
		return nil, nil
	}
	return m.step(m.sendClientHello(start))
}

// Receive takes the peer's next message. The events are to be carried out before the next
// call. An error is final: it carries the alert
// to send, and all secrets are wiped by then. aligned is asked, at messages after
// which keys change, whether the message ended together with its record.
func (m *Machine) Receive(msg wire.Message, aligned func() (wire.Aligned, bool)) ([]Event, error) {
	if m.err != nil {
		return nil, m.err
	}
	return m.step(m.receive(msg, aligned))
}

// Done reports whether the handshake is done.
func (m *Machine) Done() bool { return m.state.id() == connected }

// AllowCCS reports whether a dummy change_cipher_spec record may come now (RFC
// 9846, Section 5): after the first ClientHello was sent or received, and before
// the peer's Finished was received.
func (m *Machine) AllowCCS() bool {
	switch m.state.id() {
	case clientStartID, serverStartID, connected, failed:
		return false
	}
	return true
}

// Summary returns what has been settled.
func (m *Machine) Summary() Summary { return m.summary }

// Exporter gives away the exporter secret (RFC 9846, Section 7.5) when the
// handshake is done. Its receiver owns it; a second call returns nil.
func (m *Machine) Exporter() *schedule.Exporter {
	if !m.Done() {
		return nil
	}
	x := m.secrets.exporter
	m.secrets.exporter = nil
	return x
}

// Split gives away the two halves of the connection when the handshake is done.
// They are independent of the machine, which keeps nothing of theirs, and of each
// other. A second call returns nils.
func (m *Machine) Split() (*Receiver, *Sender) {
	own, peer := &m.secrets.clientApplication, &m.secrets.serverApplication
	if m.role == Server {
		own, peer = peer, own
	}
	if !m.Done() || *own == nil || *peer == nil {
		return nil, nil
	}
	r, s := &Receiver{role: m.role, secret: *peer}, &Sender{secret: *own}
	*own, *peer = nil, nil
	return r, s
}

// Wipe destroys all secrets that the machine still owns and ends the handshake.
func (m *Machine) Wipe() {
	if m.err == nil {
		m.err = alert.New(alert.InternalError, "the handshake was abandoned")
	}
	Discard(m.events) // of a call that a callback has ended by a panic
	m.events, m.flight = nil, nil
	m.wipe()
	if !m.Done() {
		m.state = endState{}
	}
}

// step ends a call: it gives out the events, or wipes everything.
func (m *Machine) step(next state, err error) ([]Event, error) {
	m.endFlight()
	events := m.events
	m.events, m.aligned = nil, wire.Aligned{}
	if err != nil {
		m.err = err
		Discard(events)
		m.wipe()
		m.state = endState{}
		return nil, err
	}
	m.state.wipe() // what next needs of it has moved
	m.state = next
	return events, nil
}

func (m *Machine) wipe() {
	m.state.wipe()
	m.secrets.wipe()
	m.transcript.Wipe()
}

// Discard destroys the secrets in events that nobody will carry out.
func Discard(events []Event) {
	for _, event := range events {
		switch e := event.(type) {
		case InstallRead:
			e.Keys.Wipe()
		case InstallWrite:
			e.Keys.Wipe()
		case EarlyData:
			e.Exporter.Wipe()
		case Resumption:
			e.Secret.Wipe()
		}
	}
}

// emit adds events to those that the present call returns.
func (m *Machine) emit(events ...Event) {
	m.endFlight()
	if m.events == nil {
		m.events = m.space[:0]
	}
	m.events = append(m.events, events...)
}

// send adds a message of ours to the transcript and to the flight.
func (m *Machine) send(msg []byte) {
	m.transcript.Add(msg)
	if m.flight == nil {
		m.flight = make([]byte, 0, max(len(msg), flightLen))
	}
	m.flight = append(m.flight, msg...)
}

// flightLen is the room for the messages of a flight that has raw keys.
const flightLen = 512

// endFlight makes an event of the messages that were sent.
func (m *Machine) endFlight() {
	if flight := m.flight; flight != nil {
		m.flight = nil
		m.emit(Send{flight})
	}
}

// sendCCS sends the one dummy change_cipher_spec of this side (RFC 9846, Appendix E.4). A
// server sends it to a client with an empty session ID, too: all clients must drop it, and
// some wait for it, such as that of JDK 11 when it resumes.
func (m *Machine) sendCCS() {
	if !m.sentCCS {
		m.sentCCS = true
		m.emit(SendCCS{})
	}
}

// random fills b.
func (m *Machine) random(b []byte) error {
	r := m.cfg.Rand
	if r == nil {
		r = rand.Reader
	}
	if _, err := io.ReadFull(r, b); err != nil {
		return alert.Wrap(alert.InternalError, "the source of randomness failed", err)
	}
	return nil
}

// withAlert keeps the alert of an error that has one and gives others code.
func withAlert(err error, code alert.Code, reason string) error {
	if _, ok := errors.AsType[*alert.Error](err); ok {
		return err
	}
	return alert.Wrap(code, reason, err)
}
