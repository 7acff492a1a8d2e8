// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"slices"

	"github.com/mayfly-tls/mayfly/internal/wire"
)

// An EarlyReason says what became of early data, and why.
type EarlyReason uint8

// The reasons, in the order in which they are looked for.
const (
	EarlyUnknown        EarlyReason = iota // nothing is settled yet
	EarlyNoSession                         // the client has no session to offer
	EarlySessionRefused                    // the server did not resume the session
	EarlyNotAllowed                        // the session's ticket does not allow so much
	EarlyDeclined                          // the other side did not send any, or did not take it
	EarlyOtherProtocol                     // it would be of another application protocol
	EarlyOtherSuite                        // it would be under another cipher suite
	EarlyRetried                           // there was a HelloRetryRequest
	EarlyRefused                           // AcceptEarlyData said no
	EarlyAccepted
)

// sendsEarlyData decides whether a client sends early data under the first key.
func (m *Machine) sendsEarlyData(psks []*PSK) bool {
	m.summary.EarlyReason = m.whyNotSent(psks)
	return m.cfg.EarlyData && m.summary.EarlyReason == EarlyUnknown
}

// whyNotSent is EarlyUnknown if nothing speaks against early data.
func (m *Machine) whyNotSent(psks []*PSK) EarlyReason {
	switch {
	case len(psks) == 0:
		return EarlyNoSession
	case psks[0].MaxEarlyData == 0:
		return EarlyNotAllowed
	case psks[0].ALPN != "" && !slices.Contains(m.cfg.ALPN, psks[0].ALPN):
		return EarlyOtherProtocol
	case !slices.Contains(m.cfg.suites(), psks[0].Suite):
		return EarlyOtherSuite
	}
	return EarlyUnknown
}

// earlyRefused notes, on a client, that the server has not taken its early data.
func (m *Machine) earlyRefused() {
	m.summary.EarlyReason = EarlyDeclined
	switch {
	case m.summary.HelloRetry:
		m.summary.EarlyReason = EarlyRetried
	case m.summary.PSK == nil:
		m.summary.EarlyReason = EarlySessionRefused
	}
}

// takesEarlyData decides whether to accept the early data that the client
// announces (RFC 9846, Section 4.3.10). The key in use is proved and judged.
func (m *Machine) takesEarlyData(s *selection, hello *wire.ClientHello) bool {
	reason := m.whyNotTaken(s, hello)
	if reason == EarlyUnknown {
		if reason = EarlyRefused; m.cfg.AcceptEarlyData != nil && m.cfg.AcceptEarlyData(m.secrets.psk) {
			reason = EarlyAccepted
		}
	}
	m.summary.EarlyReason = reason
	return reason == EarlyAccepted
}

// whyNotTaken is EarlyUnknown if it is for the application to say.
func (m *Machine) whyNotTaken(s *selection, hello *wire.ClientHello) EarlyReason {
	p := m.secrets.psk
	switch {
	case hello.PSK == nil:
		return EarlyNoSession
	case p == nil || s.pskIndex != 0:
		return EarlySessionRefused
	case p.MaxEarlyData == 0:
		return EarlyNotAllowed
	case !hello.EarlyData && !(m.summary.HelloRetry && m.summary.EarlyOffered):
		return EarlyDeclined
	case p.ALPN != s.alpn:
		return EarlyOtherProtocol
	case p.Suite != s.suite.ID:
		return EarlyOtherSuite
	case m.summary.HelloRetry:
		return EarlyRetried
	}
	return EarlyUnknown
}
