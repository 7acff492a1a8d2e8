// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"cmp"
	"crypto/subtle"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// sendCertificate sends our Certificate (RFC 9846, Section 4.5.1), with what of
// OCSP response and timestamps the peer has requested, and compressed where that is
// of use and compressions lists how. A nil credential makes an empty message.
func (m *Machine) sendCertificate(cred *credential.Credential, requested []wire.ExtensionType, compressions []uint16) error {
	var message wire.Certificate
	if cred != nil {
		for _, der := range cred.Entries {
			message.Entries = append(message.Entries, wire.CertificateEntry{Data: der})
		}
	}
	isX509 := len(message.Entries) > 0 && cred.Type == credential.X509
	if isX509 {
		leaf := &message.Entries[0]
		if slices.Contains(requested, wire.ExtStatusRequest) {
			leaf.OCSPResponse = cred.OCSPResponse
		}
		if slices.Contains(requested, wire.ExtSCT) {
			leaf.SCTs = cred.SCTs
		}
	}
	raw := message.Marshal()
	if isX509 {
		var err error
		if raw, err = m.compress(raw, compressions); err != nil {
			return err
		}
	}
	m.send(raw)
	return nil
}

// sendCertificateVerify proves that we hold the credential's private key (RFC
// 9846, Section 4.5.2). The transcript reaches to our Certificate.
func (m *Machine) sendCertificateVerify(cred *credential.Credential, scheme credential.Scheme) error {
	content := credential.SignedContent(m.role == Server, m.transcript.Sum())
	signature, err := cred.Sign(m.cfg.Rand, scheme, content)
	if err != nil {
		return withAlert(err, alert.InternalError, "our key did not sign")
	}
	m.send((&wire.CertificateVerify{Scheme: uint16(scheme), Signature: signature}).Marshal())
	m.summary.OwnCredential, m.summary.OwnScheme = cred, scheme
	return nil
}

// sendFinished ends our flight (RFC 9846, Section 4.5.3).
func (m *Machine) sendFinished(base *schedule.Traffic) {
	m.send((&wire.Finished{VerifyData: base.Finished(m.transcript.Sum())}).Marshal())
}

// receiveCertificate judges all of the peer's Certificate but the key in it,
// which is returned; nil if the message is empty. requested are the extensions of
// the message that asked for it.
func (m *Machine) receiveCertificate(msg wire.Message, t credential.Type, requested []wire.ExtensionType) (*credential.Peer, error) {
	message, err := wire.ParseCertificate(msg.Raw)
	if err != nil {
		return nil, err
	}
	if len(message.Context) != 0 {
		// RFC 9846, Section 4.4.2: only after the handshake is there a context.
		return nil, alert.New(alert.IllegalParameter, "a Certificate has a context that was not given")
	}
	if len(message.Entries) == 0 {
		return nil, nil
	}
	var entries [][]byte
	for _, entry := range message.Entries {
		if err := checkResponses(inCertificate, entry.Extensions, requested); err != nil {
			return nil, err
		}
		entries = append(entries, entry.Data)
	}
	peer, err := credential.ParseShown(t, entries, cmp.Or(m.cfg.MaxCertificates, credential.DefaultCertificates))
	if err != nil {
		return nil, withAlert(err, alert.BadCertificate, "the peer's credential cannot be read")
	}
	peer.OCSPResponse, peer.SCTs = message.Entries[0].OCSPResponse, message.Entries[0].SCTs
	return peer, nil
}

// receiveCertificateVerify checks that the peer holds the private key, and only
// then asks whether the key is one to talk to (RFC 9846, Section 4.5.2). The
// transcript reaches to the peer's Certificate.
func (m *Machine) receiveCertificateVerify(msg wire.Message, peer *credential.Peer) error {
	message, err := wire.ParseCertificateVerify(msg.Raw)
	if err != nil {
		return err
	}
	scheme := credential.Scheme(message.Scheme)
	if !slices.Contains(m.cfg.peerSchemes(), scheme) {
		return alert.New(alert.IllegalParameter, "the peer signed with a scheme that was not offered")
	}
	content := credential.SignedContent(m.role == Client, m.transcript.Sum())
	if err := credential.Verify(peer, scheme, content, message.Signature); err != nil {
		return withAlert(err, alert.DecryptError, "the peer's signature is wrong")
	}
	peer.Scheme = scheme
	m.summary.Peer, m.summary.PeerScheme = peer, scheme
	return m.judge(peer)
}

// receiveFinished checks the peer's Finished (RFC 9846, Section 4.5.3) and adds
// it to the transcript.
func (m *Machine) receiveFinished(msg wire.Message, base *schedule.Traffic) error {
	message, err := wire.ParseFinished(msg.Raw)
	if err != nil {
		return err
	}
	want := base.Finished(m.transcript.Sum())
	if len(message.VerifyData) != len(want) {
		// verify_data is Hash.length bytes by its syntax: RFC 9846, Sections 4.5.3 and 6.
		return alert.New(alert.DecodeError, "a Finished of the wrong length")
	}
	if subtle.ConstantTimeCompare(message.VerifyData, want) != 1 {
		return alert.New(alert.DecryptError, "a Finished does not verify")
	}
	m.transcript.Add(msg.Raw)
	return nil
}

// judge asks the application about the peer.
func (m *Machine) judge(peer *credential.Peer) error {
	if m.cfg.Verify == nil {
		return nil // a server that asks for nothing; see validate
	}
	if err := m.cfg.Verify(peer); err != nil {
		return withAlert(err, alert.AccessDenied, "the peer was refused")
	}
	return nil
}

// chooseCredential finds what to show the peer, nil if there is nothing that
// suits it (RFC 9846, Section 4.5.1.2).
func (m *Machine) chooseCredential(r *Request) (*credential.Credential, credential.Scheme, error) {
	candidates := m.cfg.Credentials
	if m.cfg.Select != nil {
		selected, err := m.cfg.Select(r)
		if err != nil {
			return nil, 0, withAlert(err, alert.InternalError, "no credential could be selected")
		}
		if selected != nil {
			// Whoever selects has seen the authorities.
			candidates = append([]*credential.Credential{selected}, candidates...)
		}
	}
	var fallback *credential.Credential
	reason := "we have no credential of a type that the peer accepts"
	for _, t := range r.Types {
		for _, c := range candidates {
			if c.Type != t {
				continue
			}
			scheme, ok := c.SchemeFor(r.Schemes)
			if !ok {
				reason = "we have no credential that suits the peer's signature schemes"
				continue
			}
			suits, standsIn := c.Suits(r.Authorities)
			if suits {
				return c, scheme, checkSize(c)
			}
			reason = "we have no credential of an authority that the peer names"
			if fallback == nil && standsIn {
				fallback = c
			}
		}
	}
	switch {
	case m.role == Client && m.cfg.NeverAnonymous && len(candidates) > 0, m.role == Server && fallback == nil:
		return nil, 0, alert.New(alert.HandshakeFailure, reason)
	case m.role == Client:
		return nil, 0, nil // it does not show itself to those who look for others
	}
	scheme, _ := fallback.SchemeFor(r.Schemes)
	return fallback, scheme, checkSize(fallback)
}

// checkSize finds a credential that no Certificate message could hold.
func checkSize(c *credential.Credential) error {
	empty := func(b []byte) bool { return len(b) == 0 }
	if len(c.Entries) == 0 || slices.ContainsFunc(c.Entries, empty) || total(c.Entries) > maxCertificate ||
		slices.ContainsFunc(c.SCTs, empty) || total(c.SCTs) > maxList || len(c.OCSPResponse) > maxList {
		return alert.New(alert.InternalError, "a credential of ours is empty or too long")
	}
	return nil
}

// schemes turns the numbers of a message into schemes.
func schemes(numbers []uint16) []credential.Scheme {
	return convert[credential.Scheme](numbers)
}

// convert turns numbers of one type into numbers of another of the same size.
func convert[To, From ~uint16](from []From) []To {
	var to []To
	for _, n := range from {
		to = append(to, To(n))
	}
	return to
}
