// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package schedule is the key schedule of RFC 9846, Section 7. Each stage of it is a
// type, which the next stage consumes: Early, Handshake, Main. What they derive
// stands on its own: Traffic, Exporter, Resumption. Each is wiped by its owner, and
// must not be used after: it panics rather than to derive a key from nothing.
//
// Where a method takes th, that is the transcript hash of the messages that the RFC
// names for it.
//
// It must not know connections, the key log, or the policies of a role.
package schedule

import (
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A BinderLabel says what kind of PSK a binder is for.
type BinderLabel string

// The kinds of PSK: RFC 9846, Section 7.1, and RFC 9258, Section 5.2.
const (
	ExternalBinder   BinderLabel = "ext binder"
	ResumptionBinder BinderLabel = "res binder"
	ImportedBinder   BinderLabel = "imp binder"
)

// stage is a secret of the diagram in RFC 9846, Section 7.1, from which others are
// derived.
type stage struct {
	kdf    *kdf
	secret *volatile.Secret
}

// Early is the stage of the Early Secret.
type Early struct{ stage }

// Handshake is the stage of the Handshake Secret.
type Handshake struct{ stage }

// Main is the stage of the Main Secret.
type Main struct{ stage }

// NewEarly begins the schedule with a PSK, which it does not keep; nil if there is
// none.
func NewEarly(s *suite.Suite, psk []byte) *Early {
	e := &Early{stage{kdf: newKDF(s)}}
	volatile.DoShallow(func() { e.secret = e.kdf.extract(nil, psk) })
	return e
}

// Binder returns the binder of the PSK: RFC 9846, Section 4.3.11.2.
func (e *Early) Binder(label BinderLabel, th []byte) (binder []byte) {
	mustHave(e.secret) // DoShallow must not panic
	volatile.DoShallow(func() {
		binderKey := e.kdf.deriveSecret(e.bytes(), string(label), e.kdf.emptyHash())
		defer binderKey.Wipe()
		binder = e.kdf.verifyData(binderKey.Bytes(), th)
	})
	return binder
}

// ClientTraffic returns client_early_traffic_secret.
func (e *Early) ClientTraffic(th []byte) *Traffic {
	return do(e.secret, func() *Traffic { return e.traffic("c e traffic", th) })
}

// Exporter returns early_exporter_secret.
func (e *Early) Exporter(th []byte) *Exporter {
	return do(e.secret, func() *Exporter { return e.exporter("e exp master", th) })
}

// Handshake returns the next stage, to which the key exchange adds its shared
// secret, nil if there was none. It wipes e and shared.
func (e *Early) Handshake(shared *volatile.Secret) *Handshake {
	defer shared.Wipe()
	return do(e.secret, func() *Handshake { return &Handshake{e.next(shared.Bytes())} })
}

// Wipe destroys the secret. It may be called again, and on nil.
func (e *Early) Wipe() {
	if e != nil {
		e.wipe()
	}
}

// ClientTraffic returns client_handshake_traffic_secret.
func (h *Handshake) ClientTraffic(th []byte) *Traffic {
	return do(h.secret, func() *Traffic { return h.traffic("c hs traffic", th) })
}

// ServerTraffic returns server_handshake_traffic_secret.
func (h *Handshake) ServerTraffic(th []byte) *Traffic {
	return do(h.secret, func() *Traffic { return h.traffic("s hs traffic", th) })
}

// Main returns the next stage. It wipes h.
func (h *Handshake) Main() *Main {
	return do(h.secret, func() *Main { return &Main{h.next(nil)} })
}

// All returns what ClientTraffic, ServerTraffic and Main do, in less time. It wipes
// h.
func (h *Handshake) All(th []byte) (client, server *Traffic, main *Main) {
	mustHave(h.secret) // DoShallow must not panic
	volatile.DoShallow(func() {
		client, server = h.traffic("c hs traffic", th), h.traffic("s hs traffic", th)
		main = &Main{h.next(nil)}
	})
	return client, server, main
}

// Wipe destroys the secret. It may be called again, and on nil.
func (h *Handshake) Wipe() {
	if h != nil {
		h.wipe()
	}
}

// ClientTraffic returns client_application_traffic_secret_0.
func (m *Main) ClientTraffic(th []byte) *Traffic {
	return do(m.secret, func() *Traffic { return m.traffic("c ap traffic", th) })
}

// ServerTraffic returns server_application_traffic_secret_0.
func (m *Main) ServerTraffic(th []byte) *Traffic {
	return do(m.secret, func() *Traffic { return m.traffic("s ap traffic", th) })
}

// Exporter returns exporter_secret.
func (m *Main) Exporter(th []byte) *Exporter {
	return do(m.secret, func() *Exporter { return m.exporter("exp master", th) })
}

// Application returns what ClientTraffic, ServerTraffic and Exporter do, in less
// time.
func (m *Main) Application(th []byte) (client, server *Traffic, exporter *Exporter) {
	mustHave(m.secret) // DoShallow must not panic
	volatile.DoShallow(func() {
		client, server = m.traffic("c ap traffic", th), m.traffic("s ap traffic", th)
		exporter = m.exporter("exp master", th)
	})
	return client, server, exporter
}

// Resumption returns resumption_secret.
func (m *Main) Resumption(th []byte) *Resumption {
	return do(m.secret, func() *Resumption {
		return &Resumption{suite: m.kdf.suite, secret: m.derive("res master", th)}
	})
}

// Wipe destroys the secret. It may be called again, and on nil.
func (m *Main) Wipe() {
	if m != nil {
		m.wipe()
	}
}

// do runs one of what follows, which leave behind what they worked with.
func do[T any](s *volatile.Secret, f func() T) (v T) {
	mustHave(s) // DoShallow must not panic
	volatile.DoShallow(func() { v = f() })
	return v
}

// next consumes s and returns the stage after it, to which ikm is added.
func (s *stage) next(ikm []byte) stage {
	defer s.wipe()
	derived := s.kdf.scratch[:s.kdf.suite.HashLen]
	defer volatile.Wipe(derived)
	s.kdf.expandLabel(derived, s.bytes(), "derived", s.kdf.emptyHash())
	return stage{kdf: s.kdf, secret: s.kdf.extract(derived, ikm)}
}

func (s *stage) traffic(label string, th []byte) *Traffic {
	return &Traffic{suite: s.kdf.suite, secret: s.derive(label, th), kdf: s.kdf}
}

func (s *stage) exporter(label string, th []byte) *Exporter {
	return &Exporter{suite: s.kdf.suite, secret: s.derive(label, th)}
}

func (s *stage) derive(label string, th []byte) *volatile.Secret {
	return s.kdf.deriveSecret(s.bytes(), label, th)
}

func (s *stage) wipe() { s.secret.Wipe() }

func (s *stage) bytes() []byte { return mustHave(s.secret) }

// mustHave returns the bytes of a secret that was not wiped.
func mustHave(s *volatile.Secret) []byte {
	if s.Len() == 0 {
		panic("schedule: used after Wipe")
	}
	return s.Bytes()
}
