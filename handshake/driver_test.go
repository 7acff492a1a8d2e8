// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// An endpoint is a machine with as much of a connection around it as tests need:
// it carries out events, but seals nothing. That both sides seal and open under
// the same keys is compared key by key.
type endpoint struct {
	m         *Machine
	assembler wire.Assembler
	out       []parcel
	read      *suite.Keys
	write     *suite.Keys
	events    []Event // all, in order
	err       error
}

// A parcel is what would travel as one or more records under one key: handshake
// messages, or nil for a change_cipher_spec record.
type parcel struct {
	messages []byte
	ccs      bool
	iv       [12]byte // of the key; zero: none
}

func (e *endpoint) apply(events []Event, err error) {
	if err != nil {
		e.err = err
		return
	}
	e.events = append(e.events, events...)
	for _, event := range events {
		switch ev := event.(type) {
		case Send:
			e.out = append(e.out, parcel{messages: ev.Messages, iv: iv(e.write)})
		case SendCCS:
			e.out = append(e.out, parcel{ccs: true})
		case InstallWrite:
			e.write = ev.Keys
		case InstallRead:
			if !ev.Aligned.Valid() {
				e.err = errors.New("keys were installed without a valid token")
			}
			e.read = ev.Keys
		}
	}
}

func iv(k *suite.Keys) (iv [12]byte) {
	if k != nil {
		iv = k.IV
	}
	return iv
}

// receive delivers one parcel.
func (e *endpoint) receive(p parcel) {
	switch {
	case e.err != nil:
		return
	case p.ccs:
		if !e.m.AllowCCS() {
			e.err = alert.New(alert.UnexpectedMessage, "a change_cipher_spec that has no place here")
		}
		return
	case p.iv != iv(e.read):
		e.err = errors.New("a message was sealed under another key than the one it would be opened with")
		return
	}
	if err := e.assembler.Write(p.messages); err != nil {
		e.err = err
		return
	}
	for e.err == nil {
		msg, ok, err := e.assembler.Next()
		if err != nil {
			e.err = err
		}
		if err != nil || !ok {
			return
		}
		e.apply(e.m.Receive(msg, e.assembler.Aligned))
	}
}

// A pair is a client and a server, and what happens on the way between them.
type pair struct {
	client, server *endpoint

	// tamper, where set, replaces each message on its way by others.
	tamper func(from Role, raw []byte) [][]byte
}

func newPair(t testing.TB, client, server *Config) *pair {
	t.Helper()
	c, err := NewClient(client)
	if err != nil {
		t.Fatal("NewClient:", err)
	}
	s, err := NewServer(server)
	if err != nil {
		t.Fatal("NewServer:", err)
	}
	return &pair{client: &endpoint{m: c}, server: &endpoint{m: s}}
}

// run lets both sides talk until nothing more is to be said.
func (p *pair) run() {
	p.client.apply(p.client.m.Start())
	p.server.apply(p.server.m.Start())
	for len(p.client.out)+len(p.server.out) > 0 {
		p.carry(Client, p.client, p.server)
		p.carry(Server, p.server, p.client)
	}
}

// carry delivers what one side has to say.
func (p *pair) carry(from Role, src, dst *endpoint) {
	out := src.out
	src.out = nil
	for _, parcel := range out {
		if p.tamper != nil && !parcel.ccs {
			var messages []byte
			for _, raw := range split(parcel.messages) {
				messages = append(messages, slices.Concat(p.tamper(from, raw)...)...)
			}
			if parcel.messages = messages; len(messages) == 0 {
				continue
			}
		}
		dst.receive(parcel)
	}
}

// split cuts a flight into messages.
func split(b []byte) [][]byte {
	var messages [][]byte
	for len(b) >= 4 {
		n := 4 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
		messages = append(messages, b[:n:n])
		b = b[n:]
	}
	return messages
}

// mustSucceed runs the handshake and checks that both sides agree.
func (p *pair) mustSucceed(t testing.TB) {
	t.Helper()
	p.run()
	for who, e := range map[string]*endpoint{"client": p.client, "server": p.server} {
		if e.err != nil {
			t.Fatalf("%s: %v", who, e.err)
		}
		if !e.m.Done() {
			t.Fatalf("%s is not done: state %d", who, e.m.state.id())
		}
	}
	if iv(p.client.read) != iv(p.server.write) || iv(p.client.write) != iv(p.server.read) {
		t.Fatal("the sides installed different keys")
	}
	c, s := p.client.m.Summary(), p.server.m.Summary()
	if c.Suite != s.Suite || c.Group != s.Group || c.ALPN != s.ALPN || c.HelloRetry != s.HelloRetry ||
		c.ServerName != s.ServerName || c.ClientRandom != s.ClientRandom || c.OwnScheme != s.PeerScheme || c.PeerScheme != s.OwnScheme {
		t.Fatalf("the sides disagree:\n%+v\n%+v", c, s)
	}
}

// mustFail runs the handshake and checks who gives up, with which alert.
func (p *pair) mustFail(t testing.TB, who Role, code alert.Code) {
	t.Helper()
	p.run()
	failing, other := p.client, p.server
	if who == Server {
		failing, other = other, failing
	}
	if failing.err == nil {
		t.Fatalf("no error; the other side's: %v", other.err)
	}
	var e *alert.Error
	if !errors.As(failing.err, &e) {
		t.Fatalf("error without an alert: %v", failing.err)
	}
	if e.Code != code {
		t.Fatalf("alert %v (%v), want %v", e.Code, failing.err, code)
	}
	checkWiped(t, failing.m)
}

// checkWiped checks that a machine that failed owns nothing any more.
func checkWiped(t testing.TB, m *Machine) {
	t.Helper()
	if m.secrets != (secrets{}) {
		t.Error("a machine that failed has secrets left")
	}
	if m.Done() || m.AllowCCS() {
		t.Error("a machine that failed goes on")
	}
	if _, err := m.Receive(wire.Message{Type: wire.FinishedType}, nil); err == nil || err != m.err {
		t.Errorf("the error is not sticky: %v", err)
	}
	if x := m.Exporter(); x != nil {
		t.Error("a machine that failed exports")
	}
	if r, s := m.Split(); r != nil || s != nil {
		t.Error("a machine that failed was split")
	}
}

// identities are keys and certificates made once for all tests.
type identities struct {
	rawEd25519, rawP256, x509Ed25519, x509P256 *credential.Credential
}

var ids = sync.OnceValue(func() identities {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return identities{rawKey(ed), rawKey(ec), certificate(ed, "ed.example"), certificate(ec, "ec.example")}
})

func rawKey(key crypto.Signer) *credential.Credential {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(err)
	return &credential.Credential{Type: credential.RawPublicKey, Entries: [][]byte{spki}, Signer: key}
}

func certificate(key crypto.Signer, name string) *credential.Credential {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(4000000000, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	leaf, err := x509.ParseCertificate(der)
	must(err)
	return &credential.Credential{Type: credential.X509, Entries: [][]byte{der}, Signer: key, Leaf: leaf}
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprint("making test keys: ", err))
	}
}

var bothTypes = []credential.Type{credential.RawPublicKey, credential.X509}

// clientConfig and serverConfig make Configs that suit each other: the server
// shows a raw key and asks for nothing.
func clientConfig(edit ...func(*Config)) *Config {
	return edited(&Config{ServerName: "ed.example", PeerTypes: bothTypes, Verify: func(*credential.Peer) error { return nil }}, edit)
}

func serverConfig(edit ...func(*Config)) *Config {
	return edited(&Config{Credentials: []*credential.Credential{ids().rawEd25519}, PeerTypes: bothTypes,
		Verify: func(*credential.Peer) error { return nil }}, edit)
}

func edited(c *Config, edit []func(*Config)) *Config {
	for _, f := range edit {
		f(c)
	}
	return c
}

// brokenSigner is a key that does not sign.
func brokenSigner() *credential.Credential {
	c := *ids().rawP256
	c.Signer = brokenKey{c.Signer}
	return &c
}

type brokenKey struct{ crypto.Signer }

func (brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the key is broken")
}
