// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"bytes"
	"crypto/tls"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// A scenario is a handshake and what is said after it, for a peer that keeps the
// rules. All of it follows from the numbers that the fuzzer has chosen.
type scenario struct {
	server bool // the peer is the server, and the victim the client

	suite  suite.ID
	group  kex.Group
	retry  bool // by HelloRetryRequest, for a share
	cookie bool // by HelloRetryRequest, with a cookie

	serverOwner, clientOwner *owner
	serverType, clientType   credential.Type
	clientAuth               clientAuth
	psk                      bool // instead of all that: a pre-shared key
	resumes                  bool // a session of an earlier connection
	earlier                  *earlier

	protocols bool // ALPN
	limit     int  // record_size_limit of the victim's; 0: none
	compat    bool // middlebox compatibility

	tickets, updates int
	request          bool // the updates ask for one
	empties          int  // empty records
	data             [][]byte
	payload          []byte // the victim's
	half             bool   // the victim says at once that nothing more will come
	segments         []int  // in which the victim gets the stream
	readSize         int

	manner manner
}

// A clientAuth is what the server asks of the client.
type clientAuth uint8

const (
	unasked clientAuth = iota
	shown
	declined
)

// A manner is how a stream of messages is cut into records. All of it is legal.
type manner struct {
	merge bool // messages under one key share records
	pad   bool
	minor byte // of legacy_record_version
	sizes []int
	turn  int
}

// size is the most that the next record may hold.
func (m *manner) size() int {
	if len(m.sizes) == 0 {
		return record.MaxPlaintext
	}
	m.turn++
	if n := m.sizes[m.turn%len(m.sizes)]; n > 0 {
		return n
	}
	return record.MaxPlaintext
}

func (m *manner) padding() int {
	if !m.pad {
		return 0
	}
	return (m.turn*37 + len(m.sizes)) % 300
}

// newScenario reads a scenario out of numbers. Every number makes one.
func newScenario(server bool, shape uint64, cuts []byte) *scenario {
	take := func(n uint64) int {
		k := shape % n
		shape /= n
		return int(k)
	}
	cast := people()
	s := &scenario{server: server}
	s.suite = suite.All()[take(3)]
	s.group = kex.All()[take(3)]
	s.retry, s.cookie = take(2) == 1, take(2) == 1 && server
	switch take(4) {
	case 0:
		s.serverOwner, s.serverType = cast.serverEd, credential.RawPublicKey
	case 1:
		s.serverOwner, s.serverType = cast.serverP256, credential.RawPublicKey
	case 2:
		s.serverOwner, s.serverType = cast.serverEd, credential.X509
	case 3:
		s.serverOwner, s.serverType = cast.serverP256, credential.X509
	}
	s.clientOwner, s.clientType = cast.client, credential.X509
	switch take(4) {
	case 1:
		s.clientAuth, s.clientType = shown, credential.RawPublicKey
	case 2:
		s.clientAuth, s.clientOwner = shown, cast.clientP256
	case 3:
		s.clientAuth = declined
	}
	s.protocols, s.compat = take(2) == 1, take(2) == 1
	switch take(4) {
	case 0:
		if s.suite != suite.AES256GCM { // a plain key goes with SHA-256
			s.useKey()
		}
	case 1:
		s.resumes = true
	}
	s.limit = []int{0, 64, 1000, 16384}[take(4)]
	s.tickets, s.updates = take(3), take(3)
	s.request = take(2) == 1
	s.empties = take(3)
	for range take(4) {
		n := []int{1, 100, 5000, 20000}[take(4)]
		s.data = append(s.data, pattern(n, byte(len(s.data))))
	}
	s.payload, s.half = pattern([]int{0, 1, 300, 20000}[take(4)], 'v'), take(4) == 0
	s.segments = [][]int{nil, {1}, {5}, {3, 1, 100}, {1500}}[take(5)]
	s.readSize = []int{1 << 16, 1, 33, 4096}[take(4)]
	if len(cuts) > 0 {
		s.manner = manner{merge: cuts[0]&1 != 0, pad: cuts[0]&2 != 0, minor: cuts[0] >> 2 & 3}
		for _, b := range cuts[1:min(len(cuts), 32)] {
			s.manner.sizes = append(s.manner.sizes, int(b))
		}
	}
	return s
}

// The external key that both sides hold.
const keyName = "a key"

var sharedKey = pattern(32, 'p')

// useKey makes both sides know each other by a pre-shared key alone.
func (s *scenario) useKey() {
	s.psk, s.clientAuth, s.serverType = true, unasked, credential.X509
}

// An earlier connection is one whose session is resumed.
type earlier struct {
	scenario *scenario
	sessions *mayfly.SessionCache // the victim's, where it is the client
	ring     *mayfly.TicketRing   // the victim's, where it is the server
	peer     *peer                // who knows the tickets' keys
}

// resume plays the earlier connection of a scenario, by the rules, and makes it go on
// from there.
func (s *scenario) resume(t testing.TB) {
	t.Helper()
	first := *s
	first.resumes, first.tickets = false, 1
	first.payload, first.data, first.segments, first.manner = nil, nil, nil, manner{}
	s.earlier = &earlier{scenario: &first, sessions: mayfly.NewSessionCache(0), ring: mayfly.NewTicketRing(mayfly.GenerateSealingKey())}
	first.earlier = &earlier{sessions: s.earlier.sessions, ring: s.earlier.ring}
	r, p := play(t, &first, new(breach))
	check(t, &first, new(breach), r, p)
	if len(p.tickets) == 0 || p.resumption == nil {
		t.Fatalf("there is no session to resume: %v, %v", r.handshake, p.err)
	}
	s.earlier.peer = p
	s.useKey()
}

// isResumed tells the connection that goes on from the earlier one.
func (s *scenario) isResumed() bool { return s.earlier != nil && s.earlier.peer != nil }

// offer is what the peer offers, as the client, and the key's kind.
func (s *scenario) offer() (wire.PSKIdentity, schedule.BinderLabel) {
	if s.earlier == nil {
		return wire.PSKIdentity{Identity: []byte(keyName)}, schedule.ExternalBinder
	}
	ticket := s.earlier.peer.tickets[0]
	return wire.PSKIdentity{Identity: ticket.Ticket, ObfuscatedAge: ticket.AgeAdd}, schedule.ResumptionBinder
}

// keyOf is the pre-shared key of an identity, nil where nobody knows it.
func (s *scenario) keyOf(identity []byte) []byte {
	if s.earlier == nil {
		return sharedKey
	}
	for _, ticket := range s.earlier.peer.tickets {
		if bytes.Equal(ticket.Ticket, identity) {
			return s.earlier.peer.resumption.PSK(ticket.Nonce).Bytes()
		}
	}
	return nil
}

// pattern is n bytes that differ from those of another seed.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i) ^ seed
	}
	return b
}

// all is what the victim is to read.
func (s *scenario) all() []byte { return bytes.Join(s.data, nil) }

// config is the victim's.
func (s *scenario) config(trace *mayfly.Trace) *mayfly.Config {
	c := &mayfly.Config{
		Time:             func() time.Time { return now },
		RecordSizeLimit:  s.limit,
		HandshakeTimeout: patience,
		Trace:            trace,
	}
	if s.protocols {
		c.NextProtos = []string{"one", "two"}
	}
	who := s // who the sides are does not change when they resume
	if s.earlier != nil {
		if s.earlier.scenario != nil {
			who = s.earlier.scenario
		}
		if s.server {
			c.Sessions = s.earlier.sessions
		} else {
			c.TicketKeys = s.earlier.ring
		}
	}
	if s.server {
		who.clientConfig(c)
	} else {
		who.serverConfig(c)
	}
	return c
}

func (s *scenario) clientConfig(c *mayfly.Config) {
	c.ServerName = serverName
	c.CurvePreferences = []tls.CurveID{tls.CurveID(s.group)}
	if s.retry {
		c.CurvePreferences = []tls.CurveID{tls.CurveID(unlike(s.group)), tls.CurveID(s.group)}
	}
	if s.psk {
		c.Peers = mayfly.PSKs(must(mayfly.NewPlainClientKey(keyName, sharedKey)))
		return
	}
	c.Peers = mayfly.MustParsePins(s.serverOwner.pin())
	if s.serverType == credential.X509 {
		c.Peers = mayfly.Roots(people().pool)
	}
	if s.clientAuth == shown {
		s.show(c, s.clientOwner, s.clientType)
	}
}

func (s *scenario) serverConfig(c *mayfly.Config) {
	if s.psk {
		c.Peers = mayfly.PSKs(must(mayfly.NewPlainServerKey(keyName, sharedKey)))
		return
	}
	s.show(c, s.serverOwner, s.serverType)
	switch {
	case s.clientAuth == unasked:
		c.Peers = mayfly.NoClientAuth()
	case s.clientAuth == declined:
		c.Peers = mayfly.AnyOf(mayfly.NoClientAuth(), mayfly.MustParsePins(s.clientOwner.pin()))
	case s.clientType == credential.RawPublicKey:
		c.Peers = mayfly.MustParsePins(s.clientOwner.pin())
	default:
		c.Peers = mayfly.AllOf(mayfly.Roots(people().pool), mayfly.MustParsePins(s.clientOwner.pin()))
	}
}

func (s *scenario) show(c *mayfly.Config, o *owner, t credential.Type) {
	if t == credential.RawPublicKey {
		c.Identity = o.identity
	} else {
		c.Certificates = []tls.Certificate{o.cert}
	}
}

// unlike is another group, whose share does not come with a share of g.
func unlike(g kex.Group) kex.Group {
	if g == kex.P256 {
		return kex.X25519
	}
	return kex.P256
}

// own is the peer's credential, nil where it has none to show.
func (s *scenario) own() *credential.Credential {
	o, t := s.clientOwner, s.clientType
	if s.server {
		o, t = s.serverOwner, s.serverType
	} else if s.clientAuth != shown {
		return nil
	}
	if s.psk {
		return nil
	}
	if t == credential.RawPublicKey {
		return o.raw
	}
	return o.x509
}
