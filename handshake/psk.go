// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"crypto/subtle"
	"errors"
	"math"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A PSK is a pre-shared key that a handshake may use (RFC 9846, Section 4.3.11).
// The machine that is given one owns its Secret, and wipes it when the handshake
// has used it or has gone another way.
type PSK struct {
	// Identity is what a client sends: a ticket, or the name of an external key.
	Identity []byte

	// ObfuscatedAge is what a client sends beside a ticket; 0 for other keys.
	ObfuscatedAge uint32

	// Kind is the label of the key's binder.
	Kind schedule.BinderLabel

	// Suite has the hash that the key goes with. Early data is protected by it.
	Suite suite.ID

	Secret *volatile.Secret

	// MaxEarlyData is how many bytes of early data the key may protect; 0: none.
	MaxEarlyData uint32

	// ALPN is the protocol that early data speaks.
	ALPN string

	// Rank says which of several keys a server takes that a client offers: one of the
	// lowest, and the first of them that the client names.
	Rank int

	// Origin is what the owner of the machine knows the key by.
	Origin any
}

// An Offer is one of the identities that a client has offered.
type Offer struct {
	Hello         *wire.ClientHello
	Identity      []byte
	ObfuscatedAge uint32
	First         bool // of the list: early data would be under its key
}

// maxIdentities is how many of a client's identities a server looks up.
const maxIdentities = 8

func (p *PSK) validate() error {
	switch {
	case p == nil || p.Secret.Len() == 0:
		return errors.New("handshake: a PSK without a secret")
	case len(p.Identity) == 0 || len(p.Identity) > math.MaxUint16:
		return errors.New("handshake: a PSK's identity is empty or too long")
	case suite.ByID(p.Suite) == nil:
		return errors.New("handshake: a PSK of an unknown suite")
	}
	return nil
}

// wipe destroys the secret. It may be called again, and on nil.
func (p *PSK) wipe() {
	if p != nil {
		p.Secret.Wipe()
	}
}

func wipePSKs(psks []*PSK) {
	for _, p := range psks {
		p.wipe()
	}
}

// sameHash reports whether the key schedules of two suites have the same hash.
func sameHash(a, b *suite.Suite) bool { return a.HashLen == b.HashLen }

// binder authenticates a hello up to its binders, prefix, by the key (RFC 9846,
// Section 4.3.11.2). The transcript reaches to the message before hello.
func (m *Machine) binder(p *PSK, prefix []byte) []byte {
	s := suite.ByID(p.Suite)
	early := schedule.NewEarly(s, p.Secret.Bytes())
	defer early.Wipe()
	return early.Binder(p.Kind, m.transcript.SumWith(prefix, s.NewHash))
}

// offerPSKs puts the keys into hello, which is otherwise complete, with the
// binders.
func (m *Machine) offerPSKs(hello *wire.ClientHello, psks []*PSK) error {
	hello.PSK = nil
	if len(psks) == 0 {
		return nil
	}
	hello.PSK = new(wire.PreSharedKeys)
	for _, p := range psks {
		hello.PSK.Identities = append(hello.PSK.Identities, wire.PSKIdentity{Identity: p.Identity, ObfuscatedAge: p.ObfuscatedAge})
		hello.PSK.Binders = append(hello.PSK.Binders, make([]byte, suite.ByID(p.Suite).HashLen))
	}
	blank, err := wire.ParseClientHello(hello.Marshal())
	if err != nil {
		return alert.Wrap(alert.InternalError, "the Config makes no ClientHello", err)
	}
	for i, p := range psks {
		hello.PSK.Binders[i] = m.binder(p, blank.BinderPrefix())
	}
	return nil
}

// usablePSKs splits keys into those whose hash one of suites has, and the rest.
func usablePSKs(psks []*PSK, suites []suite.ID) (usable, rest []*PSK) {
	for _, p := range psks {
		fits := slices.ContainsFunc(suites, func(id suite.ID) bool { return sameHash(suite.ByID(id), suite.ByID(p.Suite)) })
		if fits {
			usable = append(usable, p)
		} else {
			rest = append(rest, p)
		}
	}
	return usable, rest
}

// fittingPSKs splits the keys that could be offered in hello, which is otherwise
// complete, into those that are and the rest. External keys are always offered: they may
// be all that the server knows. A session only where the ClientHello stays within what
// servers read: a full handshake does without it.
func (m *Machine) fittingPSKs(hello *wire.ClientHello, psks []*PSK) (fitting, rest []*PSK) {
	plain := *hello
	plain.PSK, plain.EarlyData = nil, hello.EarlyData || m.cfg.EarlyData
	n := len(plain.Marshal()) + 4 + 2 + 2 // the header of the extension and of its two lists
	size := func(p *PSK) int { return 2 + len(p.Identity) + 4 + 1 + suite.ByID(p.Suite).HashLen }
	for _, p := range psks {
		if p.Kind != schedule.ResumptionBinder {
			n += size(p)
		}
	}
	for _, p := range psks {
		if p.Kind == schedule.ResumptionBinder {
			if n+size(p) > maxResumingHello {
				rest = append(rest, p)
				continue
			}
			n += size(p)
		}
		fitting = append(fitting, p)
	}
	return fitting, rest
}

// earlyTraffic derives client_early_traffic_secret, whose keys it returns, and
// early_exporter_secret. The transcript reaches to the ClientHello.
func (m *Machine) earlyTraffic(early *schedule.Early, s *suite.Suite) *suite.Keys {
	th := m.transcript.SumWith(nil, s.NewHash)
	traffic := early.ClientTraffic(th)
	defer traffic.Wipe()
	m.secrets.earlyExporter = early.Exporter(th)
	m.log("CLIENT_EARLY_TRAFFIC_SECRET", traffic)
	m.log("EARLY_EXPORTER_SECRET", m.secrets.earlyExporter)
	return traffic.Keys()
}

// acceptPSK takes over the server's choice of one of our keys; nil if it made
// none. The others are wiped with their state.
func (m *Machine) acceptPSK(offered []*PSK, hello *wire.ServerHello) (*PSK, error) {
	if hello.SelectedPSK == nil {
		return nil, nil
	}
	index := int(*hello.SelectedPSK)
	if index >= len(offered) {
		return nil, alert.New(alert.IllegalParameter, "the server selected a pre-shared key that was not offered")
	}
	p := offered[index]
	if !sameHash(suite.ByID(p.Suite), m.suite) {
		return nil, alert.New(alert.IllegalParameter, "the server selected a cipher suite whose hash is not that of the pre-shared key")
	}
	m.summary.PSK = p
	return p, nil
}

// findPSK looks for a key among the identities that the client offers, and for a
// suite that goes with it where fixed allows another than the selected one. Nothing
// is proved by that.
func (m *Machine) findPSK(s *selection, hello *wire.ClientHello, fixed bool) error {
	if hello.PSK == nil || !slices.Contains(hello.PSKModes, pskWithDHE) || m.cfg.FindPSK == nil {
		return nil
	}
	best := s.suite
	for i, offered := range hello.PSK.Identities[:min(len(hello.PSK.Identities), maxIdentities)] {
		p, err := m.cfg.FindPSK(Offer{hello, offered.Identity, offered.ObfuscatedAge, i == 0})
		if err != nil {
			return withAlert(err, alert.InternalError, "the pre-shared keys could not be looked up")
		}
		if p == nil {
			continue
		}
		if err := p.validate(); err != nil {
			p.wipe()
			return alert.Wrap(alert.InternalError, "a pre-shared key cannot work", err)
		}
		goes := s.suite
		if !sameHash(suite.ByID(p.Suite), s.suite) {
			if goes = m.suiteOfLength(suite.ByID(p.Suite).HashLen, hello, nil); fixed {
				goes = nil
			}
		}
		if goes == nil || m.secrets.psk != nil && m.secrets.psk.Rank <= p.Rank {
			p.wipe()
			continue
		}
		m.secrets.dropPSK()
		m.secrets.psk, s.pskIndex, best = p, i, goes
		if p.Rank == 0 && (p.Kind == schedule.ResumptionBinder || !m.asksPSKsAlone(hello)) {
			break // otherwise the count of lookups would tell that the key is there
		}
	}
	s.suite = best
	return nil
}

// suiteOfLength returns our first suite that the client knows and that has a hash of
// that length; other if there is none.
func (m *Machine) suiteOfLength(hashLen int, hello *wire.ClientHello, other *suite.Suite) *suite.Suite {
	for _, id := range m.cfg.suites() {
		if s := suite.ByID(id); s.HashLen == hashLen && slices.Contains(hello.CipherSuites, uint16(id)) {
			return s
		}
	}
	return other
}

// provePSK checks that the client holds the key that was found, and only then
// asks whether it may be used. The transcript reaches to the message before hello.
func (m *Machine) provePSK(s *selection, hello *wire.ClientHello) error {
	p := m.secrets.psk
	if p == nil {
		return nil
	}
	if subtle.ConstantTimeCompare(hello.PSK.Binders[s.pskIndex], m.binder(p, hello.BinderPrefix())) != 1 {
		return errWrongBinder()
	}
	m.summary.PSK = p
	ok, err := m.judgePSK(p)
	if err == nil && !ok {
		m.summary.PSK = nil
		m.secrets.dropPSK()
	}
	return err
}

func errWrongBinder() error { return alert.New(alert.DecryptError, "a PSK binder does not verify") }

// judgePSK asks the application about the holder of a key.
func (m *Machine) judgePSK(p *PSK) (bool, error) {
	if m.cfg.JudgePSK == nil {
		return false, nil
	}
	ok, err := m.cfg.JudgePSK(p)
	if err != nil {
		return false, withAlert(err, alert.AccessDenied, "the peer was refused")
	}
	return ok, nil
}

// asksPSKsAlone reports whether the client offers pre-shared keys to a server that has
// nothing else.
func (m *Machine) asksPSKsAlone(hello *wire.ClientHello) bool {
	return hello.PSK != nil && len(m.cfg.ownTypes()) == 0 && m.cfg.FindPSK != nil
}

// refuseUnknownPSK is the answer of a server that has pre-shared keys alone: the
// same, for an identity that it does not know, as for a wrong key (RFC 9846,
// Section 4.3.11 and Appendix F.6), which takes as long to find out.
func (m *Machine) refuseUnknownPSK(s *selection, hello *wire.ClientHello) error {
	if hello.PSK == nil || !slices.Contains(hello.PSKModes, pskWithDHE) {
		return alert.New(alert.HandshakeFailure, "the client offers no pre-shared key, and we have nothing else")
	}
	unknown := &PSK{Kind: schedule.ExternalBinder, Suite: s.suite.ID, Secret: volatile.New(s.suite.HashLen)}
	defer unknown.wipe()
	if err := m.random(unknown.Secret.Bytes()); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(hello.PSK.Binders[0], m.binder(unknown, hello.BinderPrefix())) == 1 {
		return alert.New(alert.InternalError, "a key that was just made is known to the client")
	}
	return errWrongBinder()
}
