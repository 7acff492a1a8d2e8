// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/testnet"
)

// FuzzStdlib runs a configuration taken at random against crypto/tls. What must come
// of it, the choice of everything that is negotiated included, is worked out from
// the configuration alone.
func FuzzStdlib(f *testing.F) {
	n := uint64(7)
	for i := range 100 {
		n = n*6364136223846793005 + 1442695040888963407
		f.Add(i%2 == 0, n, n>>7|1<<60)
	}
	f.Add(false, uint64(12186553470299788202), uint64(1248128953593564114)) // a hybrid and secp256r1, to a server that has the latter alone
	f.Fuzz(func(t *testing.T, server bool, shape, data uint64) {
		m := newMatch(server, shape, data)
		m.run(t)
		if t.Failed() {
			t.Logf("server %v, shape %d, data %d: %+v, expected %+v", server, shape, data, *m, m.expect())
		}
	})
}

// A match is a configuration of both sides, and what they say.
type match struct {
	server bool // we are the server

	suites                     []uint16 // ours
	groups, theirGroups        []tls.CurveID
	protocols, theirProtocols  []string
	name                       string   // that the client asks for
	names                      []string // that our server answers to
	serverOwner, clientOwner   *owner   // nil: the client has nothing to show
	auth                       int      // of the client, by the server
	old                        bool     // the other side knows TLS 1.2 at most
	limit                      int      // our record_size_limit
	rekey                      uint64
	tickets                    bool
	again                      bool // a second connection, which resumes the first
	padding                    bool
	ourChunks, theirChunks     []int
	ourSegments, theirSegments []int
	capacity                   int
	close                      int
}

// The ways to end a match.
const (
	bothClose = iota
	weCut
	theyCut
	closes
)

func newMatch(server bool, shape, data uint64) *match {
	take := func(n uint64) int {
		k := shape % n
		shape /= n
		return int(k)
	}
	cast := people()
	m := &match{server: server, name: serverName}
	m.suites = choose([]uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}, take(16))
	m.groups = choose([]tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256}, take(16))
	m.theirGroups = choose([]tls.CurveID{tls.CurveP256, tls.X25519, tls.X25519MLKEM768, tls.CurveP384}, take(32))
	m.protocols = choose([]string{"a", "b", "c"}, take(16))
	m.theirProtocols = choose([]string{"c", "b", "d"}, take(16))
	m.serverOwner = []*owner{cast.serverEd, cast.serverP256, cast.rsa, cast.p384, cast.serverEd, cast.serverP256, cast.outcast, cast.old}[take(8)]
	m.clientOwner = []*owner{nil, cast.client, cast.clientP256, cast.rsa, cast.p384, cast.outcast, cast.old}[take(7)]
	m.auth = take(5)
	if take(8) == 0 {
		m.name = "other.example"
	}
	m.names = [][]string{nil, nil, nil, {serverName}, {"x.example", serverName}, {"x.example"}}[take(6)]
	m.old = take(16) == 0
	m.limit = []int{0, 0, 64, 1000}[take(4)]
	m.rekey = []uint64{0, 1, 3, 10}[take(4)]
	m.tickets, m.padding, m.again = take(2) == 0, take(2) == 0, take(4) == 0

	shape = data
	sizes := []int{1, 0, 100, 16384, 16385, 40000, 200000, 3}
	for range take(4) {
		m.ourChunks = append(m.ourChunks, sizes[take(8)])
	}
	for range take(4) {
		m.theirChunks = append(m.theirChunks, sizes[take(8)])
	}
	segments := [][]int{nil, {1000}, {5, 1, 300}, {16401}, {1, 1, 1, 1, 1, 5000}}
	m.ourSegments, m.theirSegments = segments[take(5)], segments[take(5)]
	m.capacity = []int{0, 100, 3000, 70000}[take(4)]
	m.close = take(closes)
	return m
}

// choose picks some of all, in one of two orders; all of them for 0 and 1, of which
// 1 is in the other order.
func choose[T any](all []T, n int) []T {
	turned, mask := n%2 == 1, n/2
	var some []T
	for i, v := range all {
		if mask == 0 || mask>>i&1 == 1 {
			some = append(some, v)
		}
	}
	if turned {
		slices.Reverse(some)
	}
	return some
}

// The ways in which crypto/tls judges clients, and ours that are like them.
var stdlibAuth = []tls.ClientAuthType{
	tls.NoClientCert, tls.RequestClientCert, tls.RequireAnyClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert,
}

func ourAuth(i int) mayfly.Peers {
	roots := mayfly.Roots(people().pool)
	return []mayfly.Peers{
		mayfly.NoClientAuth(), mayfly.AnyOf(mayfly.NoClientAuth(), mayfly.AnyKey()), mayfly.AnyKey(), mayfly.AnyOf(mayfly.NoClientAuth(), roots), roots,
	}[i]
}

// ours is our configuration.
func (m *match) ours() *mayfly.Config {
	c := &mayfly.Config{
		Time: func() time.Time { return now }, HandshakeTimeout: patience,
		CipherSuites: m.suites, CurvePreferences: m.groups, NextProtos: m.protocols, RecordSizeLimit: m.limit,
		Rekey: mayfly.RekeyPolicy{Records: m.rekey, MinInterval: -1},
	}
	if m.padding {
		c.Padding = mayfly.PadToMultiple(37)
	}
	if m.server {
		c.Certificates, c.Peers, c.ServerNames = []tls.Certificate{m.serverOwner.cert}, ourAuth(m.auth), m.names
		if m.tickets {
			c.TicketKeys = mayfly.NewTicketRing(mayfly.GenerateSealingKey())
		}
		return c
	}
	c.ServerName, c.Peers, c.Sessions = m.name, mayfly.Roots(people().pool), mayfly.NewSessionCache(0)
	if m.clientOwner != nil {
		c.Certificates = []tls.Certificate{m.clientOwner.cert}
	}
	return c
}

// theirs is the configuration of crypto/tls.
func (m *match) theirs() *tls.Config {
	c := &tls.Config{
		Time: func() time.Time { return now }, CurvePreferences: m.theirGroups, NextProtos: m.theirProtocols,
		RootCAs: people().pool, ClientCAs: people().pool, SessionTicketsDisabled: !m.tickets && !m.server, MinVersion: tls.VersionTLS12,
	}
	if m.old {
		c.MaxVersion = tls.VersionTLS12
	}
	if !m.server {
		c.Certificates, c.ClientAuth = []tls.Certificate{m.serverOwner.cert}, stdlibAuth[m.auth]
		return c
	}
	c.ServerName, c.ClientSessionCache = m.name, tls.NewLRUClientSessionCache(0)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if m.clientOwner == nil {
			return new(tls.Certificate), nil
		}
		return &m.clientOwner.cert, nil
	}
	return c
}

// A side is a connection of either library.
type side interface {
	net.Conn
	Handshake() error
	CloseWrite() error
	ConnectionState() tls.ConnectionState
}

// A fate is what became of one side.
type fate struct {
	handshake error
	wrote     error
	got       []byte
	end       error
	state     tls.ConnectionState
	exported  []byte
}

// live lets a side say and hear what it has to. cut is called instead of closing.
func live(s side, export func() []byte, chunks []int, seed byte, cut func()) *fate {
	f := new(fate)
	if f.handshake = s.Handshake(); f.handshake == nil {
		f.state, f.exported = s.ConnectionState(), export()
	}
	written := make(chan error, 1)
	go func() {
		if f.handshake != nil {
			written <- f.handshake
			return
		}
		written <- speak(s, chunks, seed, cut)
	}()
	f.got, f.end = io.ReadAll(s) // nil: io.EOF
	f.wrote = <-written
	_ = s.Close()
	return f
}

func speak(s side, chunks []int, seed byte, cut func()) error {
	for i, n := range chunks {
		if _, err := s.Write(pattern(n, seed+byte(i))); err != nil {
			return err
		}
	}
	if cut != nil {
		cut()
		return nil
	}
	return s.CloseWrite()
}

func spoken(chunks []int, seed byte) []byte {
	var all [][]byte
	for i, n := range chunks {
		all = append(all, pattern(n, seed+byte(i)))
	}
	return bytes.Join(all, nil)
}

func (m *match) run(t *testing.T) {
	t.Helper()
	ourConfig, theirConfig := m.ours(), m.theirs()
	m.connect(t, ourConfig, theirConfig, false)
	if cutOff := m.server && m.close == weCut && len(m.ourChunks) == 0; m.again && !cutOff && !t.Failed() { // the tickets may not have left
		m.connect(t, ourConfig, theirConfig, m.resumable())
	}
}

// connect runs one connection, which resumes an earlier one or does not.
func (m *match) connect(t *testing.T, ourConfig *mayfly.Config, theirConfig *tls.Config, resumes bool) {
	t.Helper()
	before := runtime.NumGoroutine()
	here, there := testnet.Pipe(
		testnet.Path{Segments: m.theirSegments, Capacity: m.capacity}, testnet.Path{Segments: m.ourSegments, Capacity: m.capacity})
	watchdog := time.AfterFunc(2*patience, func() { _, _ = here.Close(), there.Close() })
	defer watchdog.Stop()
	ours, theirs := mayfly.Client(here, ourConfig), tls.Server(there, theirConfig)
	if m.server {
		ours, theirs = mayfly.Server(here, ourConfig), tls.Client(there, theirConfig)
	}
	var ourCut, theirCut func()
	switch m.close {
	case weCut:
		ourCut = func() { _ = here.CloseWrite() }
	case theyCut:
		theirCut = func() { _ = there.CloseWrite() }
	}
	const label = "EXPORTER-mayfly-fuzz"
	result := make(chan *fate, 1)
	go func() {
		result <- live(theirs, func() []byte {
			state := theirs.ConnectionState()
			exported, _ := state.ExportKeyingMaterial(label, nil, 32)
			return exported
		}, m.theirChunks, 't', theirCut)
	}()
	us := live(ours, func() []byte {
		exported, _ := ours.ExportKeyingMaterial(label, nil, 32)
		return exported
	}, m.ourChunks, 'o', ourCut)
	them := <-result
	if !watchdog.Stop() {
		t.Errorf("it hangs")
	}
	if left := leftIn(ours); left != "" {
		t.Errorf("keys are left: %s", left)
	}
	checkGoroutines(t, before)
	m.check(t, us, them, resumes)
}

// check compares what became of both with what must become of them.
func (m *match) check(t *testing.T, us, them *fate, resumes bool) {
	t.Helper()
	e := m.expect()
	if len(e.refusals) > 0 {
		m.checkRefused(t, e, us, them)
		return
	}
	if us.handshake != nil || them.handshake != nil {
		t.Errorf("handshakes: ours %v, theirs %v", us.handshake, them.handshake)
		return
	}
	for who, f := range map[string]*fate{"we": us, "they": them} {
		s := f.state
		if s.CipherSuite != e.suite && e.suite != 0 || s.CurveID != e.group || s.HelloRetryRequest != e.retry || s.NegotiatedProtocol != e.protocol || s.DidResume != resumes {
			t.Errorf("%s say %v, %v, retry %t, %q, resumed %t of %t", who, tls.CipherSuiteName(s.CipherSuite), s.CurveID, s.HelloRetryRequest, s.NegotiatedProtocol, s.DidResume, resumes)
		}
	}
	if us.state.CipherSuite != them.state.CipherSuite || !bytes.Equal(us.exported, them.exported) || us.exported == nil {
		t.Errorf("the sides disagree")
	}
	client, server := us, them
	if m.server {
		client, server = them, us
	}
	if !shows(client.state, m.serverOwner) || !shows(server.state, e.shown) {
		t.Errorf("the sides know each other by %d and %d certificates", len(client.state.PeerCertificates), len(server.state.PeerCertificates))
	}
	m.checkData(t, us, them)
}

func shows(s tls.ConnectionState, o *owner) bool {
	if o == nil || len(s.PeerCertificates) == 0 {
		return o == nil && len(s.PeerCertificates) == 0
	}
	return s.PeerCertificates[0].Equal(o.cert.Leaf)
}

// checkData checks that nothing was lost, and that a cut does not look like an end.
func (m *match) checkData(t *testing.T, us, them *fate) {
	t.Helper()
	if !bytes.Equal(us.got, spoken(m.theirChunks, 't')) || !bytes.Equal(them.got, spoken(m.ourChunks, 'o')) {
		t.Errorf("we got %d bytes, they got %d", len(us.got), len(them.got))
	}
	if us.wrote != nil || them.wrote != nil {
		t.Errorf("writing: ours %v, theirs %v", us.wrote, them.wrote)
	}
	if cut := m.close == theyCut; cut && us.end != mayfly.ErrTruncated || !cut && us.end != nil {
		t.Errorf("our end: %v", us.end)
	}
	if them.end != nil && m.close != weCut { // crypto/tls takes a cut between two records for an end
		t.Errorf("their end: %v", them.end)
	}
}

// checkRefused checks that whoever is to refuse does, and that nothing else comes of
// it.
func (m *match) checkRefused(t *testing.T, e expectation, us, them *fate) {
	t.Helper()
	if us.handshake == nil && us.end == nil || them.handshake == nil && them.end == nil {
		t.Errorf("it succeeded: ours %v, %v, theirs %v, %v", us.handshake, us.end, them.handshake, them.end)
	}
	if len(us.got)+len(them.got) > 0 && m.server {
		t.Errorf("data was exchanged")
	}
	err := us.handshake
	if err == nil {
		err = us.end
	}
	var a *mayfly.AlertError
	switch {
	case !errors.As(err, &a):
		t.Errorf("our error is no alert: %v", err)
	case len(e.refusals) > 1: // which one is noticed first nobody knows
	case a.Remote == e.refusals[0].ours || !slices.Contains(e.refusals[0].codes, alert.Code(a.Code)):
		t.Errorf("our error: %v", err)
	}
}
