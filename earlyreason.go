// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"strconv"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
)

// An EarlyDataReason says what became of early data on a connection, and why: see
// Conn.EarlyDataReason.
type EarlyDataReason uint8

// The reasons. Where several hold, it is the first in this order.
const (
	EarlyDataUnknown        EarlyDataReason = iota // the handshake is not done, or was another process's
	EarlyDataNotWanted                             // nobody has called HandshakeEarly here, or ReadEarly with MaxEarlyData set
	EarlyDataNoSession                             // there was no session to resume
	EarlyDataSessionRefused                        // the server has not resumed the session
	EarlyDataNotAllowed                            // the session's ticket does not allow so much, or any
	EarlyDataDeclined                              // the server has not taken it, or the client has sent none
	EarlyDataOtherProtocol                         // the session was of another application protocol
	EarlyDataOtherSuite                            // the session was of another cipher suite
	EarlyDataRetried                               // the server has asked for another key share
	EarlyDataTicketAge                             // the client's account of the ticket's age is too far from ours
	EarlyDataReplayed                              // the ReplayGuard has not admitted it
	EarlyDataAccepted                              // it was taken
)

var earlyDataReasons = [...]string{
	"unknown", "not wanted", "no session", "session refused", "not allowed", "declined", "other protocol", "other suite",
	"retried", "ticket age", "replayed", "accepted",
}

// String returns a word or two: "accepted", "no session".
func (r EarlyDataReason) String() string {
	if int(r) < len(earlyDataReasons) {
		return earlyDataReasons[r]
	}
	return "EarlyDataReason(" + strconv.Itoa(int(r)) + ")"
}

// EarlyDataReason says, once the handshake is done, whether early data was accepted,
// and if not, why: for a counter that tells how often a saved round trip is lost, and
// to what.
func (c *Conn) EarlyDataReason() EarlyDataReason {
	if !c.done.Load() {
		return EarlyDataUnknown
	}
	return c.intro.earlyReason
}

// TicketAgeSkew is how much older the ticket is, by the client's account, than by this
// server's clock, to the second or so, where a session was resumed (RFC 9846, Section
// 8.3); zero on a client, without a session, and after Attach. Early data under a skew of more than
// Config.MaxTicketAgeSkew is refused.
func (c *Conn) TicketAgeSkew() time.Duration {
	if !c.done.Load() {
		return 0
	}
	return c.intro.known.skew
}

// earlyDataReason is what is known after the handshake.
func (i *introduction) earlyDataReason() EarlyDataReason {
	if i.settings.server && (i.settings.replay == nil || !i.wantsEarly) || !i.settings.server && i.early == 0 {
		return EarlyDataNotWanted
	}
	switch i.known.EarlyReason {
	case handshake.EarlyNoSession:
		return EarlyDataNoSession
	case handshake.EarlySessionRefused:
		return EarlyDataSessionRefused
	case handshake.EarlyNotAllowed:
		return EarlyDataNotAllowed
	case handshake.EarlyDeclined:
		return EarlyDataDeclined
	case handshake.EarlyOtherProtocol:
		return EarlyDataOtherProtocol
	case handshake.EarlyOtherSuite:
		return EarlyDataOtherSuite
	case handshake.EarlyRetried:
		return EarlyDataRetried
	case handshake.EarlyRefused:
		return i.earlyRefusal
	case handshake.EarlyAccepted:
		return EarlyDataAccepted
	}
	if !i.settings.server && !i.known.EarlyOffered {
		return EarlyDataNotAllowed // not so much
	}
	return EarlyDataUnknown
}
