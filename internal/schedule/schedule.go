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
	"bytes"

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
	suite  *suite.Suite
	secret *volatile.Secret
}

// Early is the stage of the Early Secret.
type Early struct {
	stage
	psk bool // there is one
}

// Handshake is the stage of the Handshake Secret.
type Handshake struct{ stage }

// Main is the stage of the Main Secret.
type Main struct{ stage }

// NewEarly begins the schedule with a PSK, which it does not keep; nil if there is
// none.
func NewEarly(s *suite.Suite, psk []byte) *Early {
	e := &Early{stage{suite: s}, psk != nil}
	if e.psk {
		run(s, func(k *kdf) { e.secret = k.extract(nil, psk) })
		return e
	}
	k := borrow(s)
	e.secret = volatile.Take(bytes.Clone(k.early))
	k.giveBack()
	return e
}

// Binder returns the binder of the PSK: RFC 9846, Section 4.3.11.2.
func (e *Early) Binder(label BinderLabel, th []byte) (binder []byte) {
	e.derive(func(k *kdf) {
		binderKey := k.deriveSecret(string(label), k.empty)
		k.setKey(binderKey.Bytes())
		binder = k.verifyData(th)
		binderKey.Wipe()
	})
	return binder
}

// ClientTraffic returns client_early_traffic_secret.
func (e *Early) ClientTraffic(th []byte) *Traffic { return e.traffic("c e traffic", th) }

// Exporter returns early_exporter_secret.
func (e *Early) Exporter(th []byte) *Exporter { return e.exporter("e exp master", th) }

// Handshake returns the next stage, to which the key exchange adds its shared
// secret, nil if there was none. It wipes e and shared.
func (e *Early) Handshake(shared *volatile.Secret) *Handshake {
	h := new(Handshake)
	if e.psk {
		e.derive(func(k *kdf) { h.stage = k.next(shared.Bytes()) })
	} else {
		mustHave(e.secret)
		run(e.suite, func(k *kdf) { h.stage = stage{e.suite, k.extract(k.salt, shared.Bytes())} })
	}
	e.Wipe()
	shared.Wipe()
	return h
}

// Wipe destroys the secret. It may be called again, and on nil.
func (e *Early) Wipe() {
	if e != nil {
		e.wipe()
	}
}

// ClientTraffic returns client_handshake_traffic_secret.
func (h *Handshake) ClientTraffic(th []byte) *Traffic { return h.traffic("c hs traffic", th) }

// ServerTraffic returns server_handshake_traffic_secret.
func (h *Handshake) ServerTraffic(th []byte) *Traffic { return h.traffic("s hs traffic", th) }

// Main returns the next stage. It wipes h.
func (h *Handshake) Main() *Main {
	m := new(Main)
	h.derive(func(k *kdf) { m.stage = k.next(nil) })
	h.Wipe()
	return m
}

// All returns what ClientTraffic, ServerTraffic and Main do, in less time. It wipes
// h.
func (h *Handshake) All(th []byte) (client, server *Traffic, main *Main) {
	all := new(struct {
		client, server Traffic
		main           Main
	})
	h.derive(func(k *kdf) {
		all.client, all.server = k.traffic("c hs traffic", th), k.traffic("s hs traffic", th)
		all.main.stage = k.next(nil)
	})
	h.Wipe()
	return &all.client, &all.server, &all.main
}

// Wipe destroys the secret. It may be called again, and on nil.
func (h *Handshake) Wipe() {
	if h != nil {
		h.wipe()
	}
}

// ClientTraffic returns client_application_traffic_secret_0.
func (m *Main) ClientTraffic(th []byte) *Traffic { return m.traffic("c ap traffic", th) }

// ServerTraffic returns server_application_traffic_secret_0.
func (m *Main) ServerTraffic(th []byte) *Traffic { return m.traffic("s ap traffic", th) }

// Exporter returns exporter_secret.
func (m *Main) Exporter(th []byte) *Exporter { return m.exporter("exp master", th) }

// Application returns what ClientTraffic, ServerTraffic and Exporter do, in less
// time.
func (m *Main) Application(th []byte) (client, server *Traffic, exporter *Exporter) {
	all := new(struct {
		client, server Traffic
		exporter       Exporter
	})
	m.derive(func(k *kdf) {
		all.client, all.server = k.traffic("c ap traffic", th), k.traffic("s ap traffic", th)
		all.exporter = k.exporter("exp master", th)
	})
	return &all.client, &all.server, &all.exporter
}

// Resumption returns resumption_secret.
func (m *Main) Resumption(th []byte) *Resumption {
	r := &Resumption{suite: m.suite}
	m.derive(func(k *kdf) { r.secret = k.deriveSecret("res master", th) })
	return r
}

// Wipe destroys the secret. It may be called again, and on nil.
func (m *Main) Wipe() {
	if m != nil {
		m.wipe()
	}
}

// derive runs f with a kdf whose key is the stage's secret.
func (s *stage) derive(f func(k *kdf)) { derive(s.suite, mustHave(s.secret), f) }

func (s *stage) traffic(label string, th []byte) *Traffic {
	t := new(Traffic)
	s.derive(func(k *kdf) { *t = k.traffic(label, th) })
	return t
}

func (s *stage) exporter(label string, th []byte) *Exporter {
	x := new(Exporter)
	s.derive(func(k *kdf) { *x = k.exporter(label, th) })
	return x
}

func (s *stage) wipe() { s.secret.Wipe() }

// derive runs f with a kdf whose key is secret, and leaves nothing behind of what that
// worked with.
func derive(s *suite.Suite, secret []byte, f func(k *kdf)) {
	run(s, func(k *kdf) {
		k.setKey(secret)
		f(k)
		k.release()
	})
}

// run is derive without a key. f must not panic: it runs within volatile.DoPinned.
func run(s *suite.Suite, f func(k *kdf)) {
	k := borrow(s)
	volatile.DoPinned(func() { f(k) })
	k.giveBack()
}

// mustHave returns the bytes of a secret that was not wiped.
func mustHave(s *volatile.Secret) []byte {
	if s.Len() == 0 {
		panic("schedule: used after Wipe")
	}
	return s.Bytes()
}
