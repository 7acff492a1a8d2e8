// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"crypto/tls"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/suite"
)

// An expectation is what must come of a match.
type expectation struct {
	refusals []refusal // none: it succeeds

	suite    uint16 // 0: whichever
	group    tls.CurveID
	retry    bool
	protocol string
	shown    *owner // by the client
}

// A refusal is a reason for which one side gives up, and what it may say.
type refusal struct {
	ours  bool
	codes []alert.Code
}

func (m *match) expect() (e expectation) {
	refuse := func(ours bool, codes ...alert.Code) { e.refusals = append(e.refusals, refusal{ours, codes}) }
	if m.old {
		refuse(m.server, alert.ProtocolVersion)
	}
	m.expectGroup(&e, refuse)
	m.expectProtocol(&e, refuse)
	e.suite = m.expectSuite()
	m.expectServer(refuse)
	m.expectClient(&e, refuse)
	return e
}

// shares are the groups of the client's first shares: its first choice, and with a
// hybrid one more: X25519 for crypto/tls, if it knows that, and for us the first that
// is none.
func (m *match) shares(groups []tls.CurveID) []tls.CurveID {
	more := slices.Index(groups, tls.X25519)
	if !m.server {
		more = slices.IndexFunc(groups, func(g tls.CurveID) bool { return g != tls.X25519MLKEM768 })
	}
	if groups[0] == tls.X25519MLKEM768 && more >= 0 {
		return []tls.CurveID{tls.X25519MLKEM768, groups[more]}
	}
	return groups[:1]
}

// stdlibGroups are those of crypto/tls, whose order is its own.
func (m *match) stdlibGroups() []tls.CurveID {
	var groups []tls.CurveID
	for _, g := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384} {
		if slices.Contains(m.theirGroups, g) {
			groups = append(groups, g)
		}
	}
	return groups
}

// expectGroup works out the key exchange: with a hybrid before all that is none, and
// otherwise one whose share is there.
func (m *match) expectGroup(e *expectation, refuse func(bool, ...alert.Code)) {
	client, server := m.groups, m.stdlibGroups()
	if m.server {
		client, server = server, client
	}
	var common []tls.CurveID
	for _, g := range server {
		if slices.Contains(client, g) {
			common = append(common, g)
		}
	}
	if len(common) == 0 {
		refuse(m.server, alert.HandshakeFailure)
		return
	}
	sent := m.shares(client)
	e.group = common[0]
	if i := slices.Index(common, tls.X25519MLKEM768); i >= 0 && !m.server {
		e.group = common[i] // crypto/tls prefers it, wherever it stands
	} else {
		for _, g := range common {
			if slices.Contains(sent, g) {
				e.group = g
				break
			}
			if g == tls.X25519MLKEM768 {
				break
			}
		}
	}
	e.retry = !slices.Contains(sent, e.group)
}

// expectProtocol: the server's first that the client knows.
func (m *match) expectProtocol(e *expectation, refuse func(bool, ...alert.Code)) {
	client, server := m.protocols, m.theirProtocols
	if m.server {
		client, server = server, client
	}
	i := slices.IndexFunc(server, func(p string) bool { return slices.Contains(client, p) })
	if i >= 0 {
		e.protocol = server[i]
	} else if len(server) > 0 && len(client) > 0 {
		refuse(m.server, alert.NoApplicationProtocol)
	}
}

// expectSuite: crypto/tls knows all; AES goes first with it where both sides have
// hardware for it.
func (m *match) expectSuite() uint16 {
	if m.server || len(m.suites) == 1 {
		return m.suites[0]
	}
	const chacha = tls.TLS_CHACHA20_POLY1305_SHA256
	order := []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, chacha}
	if m.suites[0] == chacha || suite.Preferred()[0] == suite.ChaCha20Poly1305 {
		order = []uint16{chacha, tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384}
	}
	i := slices.IndexFunc(order, func(s uint16) bool { return slices.Contains(m.suites, s) })
	return order[i]
}

// expectServer judges the server's certificate and name.
func (m *match) expectServer(refuse func(bool, ...alert.Code)) {
	cast := people()
	code := alert.BadCertificate // all that crypto/tls says
	switch {
	case m.serverOwner == cast.outcast:
		if !m.server {
			code = alert.UnknownCA
		}
		refuse(!m.server, code)
	case m.serverOwner == cast.old:
		if !m.server {
			code = alert.CertificateExpired
		}
		refuse(!m.server, code)
	}
	if m.name != serverName {
		refuse(!m.server, alert.BadCertificate)
	}
	if m.server && len(m.names) > 0 && !slices.Contains(m.names, m.name) {
		refuse(true, alert.UnrecognizedName)
	}
}

// expectClient judges what the client shows.
func (m *match) expectClient(e *expectation, refuse func(bool, ...alert.Code)) {
	cast := people()
	required, verified := m.auth == 2 || m.auth == 4, m.auth >= 3
	shown := m.clientOwner
	if m.auth == 0 || shown == cast.outcast && !m.server {
		shown = nil // not asked, or the server named others
	}
	switch {
	case shown == nil && required:
		refuse(m.server, alert.CertificateRequired)
	case shown == cast.outcast && verified:
		refuse(m.server, alert.UnknownCA, alert.AccessDenied)
	case shown == cast.old && verified:
		refuse(m.server, alert.CertificateExpired, alert.AccessDenied)
	}
	e.shown = shown
	if m.clientOwner == m.serverOwner && (!m.server || shown != nil) {
		refuse(true, alert.AccessDenied) // one's own key: a copy or a reflection
	}
}

// resumable reports whether a second connection resumes the first.
func (m *match) resumable() bool {
	switch {
	case !m.tickets:
		return false
	case !m.server && m.auth != 0 && m.clientOwner == people().old:
		return false // crypto/tls looks at the date of a session's certificate again
	}
	return true
}
