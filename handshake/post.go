// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// maxUpdates bounds how often a sender changes its keys (RFC 9846, Section
// 4.7.3). A receiver must not enforce it.
const maxUpdates = 1<<48 - 1

// A Receiver is the receiving half of a connection whose handshake is done. It
// owns the peer's traffic secret.
type Receiver struct {
	role   Role
	secret *schedule.Traffic
	err    error // sticky
}

// ContinueReceiver and ContinueSender take over the halves of a connection whose
// handshake was done elsewhere.
func ContinueReceiver(role Role, secret *schedule.Traffic) *Receiver {
	return &Receiver{role: role, secret: secret}
}

// ContinueSender is ContinueReceiver for the other half.
func ContinueSender(secret *schedule.Traffic) *Sender { return &Sender{secret: secret} }

// Traffic lends the traffic secret, for handing it on.
func (r *Receiver) Traffic() *schedule.Traffic { return r.secret }

// Traffic lends the traffic secret, for handing it on.
func (s *Sender) Traffic() *schedule.Traffic { return s.secret }

// Receive takes the peer's next message, as Machine.Receive does: a KeyUpdate or,
// on a client, a NewSessionTicket. An error is final.
func (r *Receiver) Receive(msg wire.Message, aligned func() (wire.Aligned, bool)) ([]Event, error) {
	if r.err != nil {
		return nil, r.err
	}
	var events []Event
	var err error
	switch {
	case msg.Type == wire.KeyUpdateType:
		events, err = r.keyUpdate(msg, aligned)
	case msg.Type == wire.NewSessionTicketType && r.role == Client:
		events, err = newSessionTicket(msg)
	default:
		// A CertificateRequest too: we never offer post_handshake_auth (RFC 9846,
		// Section 4.7.2).
		err = alert.New(alert.UnexpectedMessage, "a handshake message that has no place after the handshake")
	}
	if err != nil {
		r.err = err
		r.secret.Wipe()
	}
	return events, err
}

// Generation returns how often the peer has changed its keys.
func (r *Receiver) Generation() uint64 { return r.secret.Generation() }

// Wipe destroys the secret. The Receiver takes no more messages.
func (r *Receiver) Wipe() {
	if r.err == nil {
		r.err = alert.New(alert.InternalError, "the connection has ended")
	}
	r.secret.Wipe()
}

// keyUpdate moves on to the peer's next key (RFC 9846, Section 4.7.3).
func (r *Receiver) keyUpdate(msg wire.Message, aligned func() (wire.Aligned, bool)) ([]Event, error) {
	update, err := wire.ParseKeyUpdate(msg.Raw)
	if err != nil {
		return nil, err
	}
	token, ok := aligned()
	if !ok {
		// RFC 9846, Section 5.1.
		return nil, alert.New(alert.UnexpectedMessage, "a KeyUpdate was followed by another message in its record")
	}
	r.secret.Update()
	return []Event{
		InstallRead{Keys: r.secret.Keys(), Aligned: token, Epoch: EpochApplication},
		PeerUpdated{Requested: update.Requested, Generation: r.secret.Generation()},
	}, nil
}

// newSessionTicket reports a ticket (RFC 9846, Section 4.7.1).
func newSessionTicket(msg wire.Message) ([]Event, error) {
	ticket, err := wire.ParseNewSessionTicket(msg.Raw)
	if err != nil {
		return nil, err
	}
	if err := checkIndications(inNewSessionTicket, ticket.Extensions); err != nil {
		return nil, err
	}
	return []Event{Ticket{ticket}}, nil
}

// A Sender is the sending half of a connection whose handshake is done. It owns
// our traffic secret.
type Sender struct{ secret *schedule.Traffic }

// KeyUpdate returns a KeyUpdate, which asks the peer to do the same if request is
// set, and our next keys. The message is to be sealed under the old keys, all
// that follows under the next ones. After 2^48-1 updates both are nil (RFC 9846,
// Section 4.7.3), and after Wipe.
func (s *Sender) KeyUpdate(request bool) (msg []byte, next *suite.Keys) {
	if s.secret.Secret() == nil || s.secret.Generation() >= maxUpdates {
		return nil, nil
	}
	s.secret.Update()
	return (&wire.KeyUpdate{Requested: request}).Marshal(), s.secret.Keys()
}

// Generation returns how often we have changed our keys.
func (s *Sender) Generation() uint64 { return s.secret.Generation() }

// Wipe destroys the secret.
func (s *Sender) Wipe() { s.secret.Wipe() }
