// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// A link is a machine with records around it, over a connection.
type link struct {
	net.Conn
	m         *handshake.Machine
	sealer    *record.Sealer
	opener    *record.Opener
	assembler wire.Assembler
	receiver  *handshake.Receiver
	sender    *handshake.Sender
	tickets   int
	data      []byte // application data that came
	remote    alert.Code
}

func newLink(conn net.Conn, m *handshake.Machine) *link {
	return &link{Conn: conn, m: m, sealer: record.NewSealer(), opener: record.NewOpener()}
}

// handshake runs the machine until it is done.
func (l *link) handshake() error {
	events, err := l.m.Start()
	if err != nil {
		return err
	}
	if err := l.apply(events); err != nil {
		return err
	}
	for !l.m.Done() {
		if err := l.next(); err != nil {
			return err
		}
	}
	l.receiver, l.sender = l.m.Split()
	return nil
}

// apply carries out events; what they seal goes out in one write.
func (l *link) apply(events []handshake.Event) error {
	var out []byte
	var err error
	for _, event := range events {
		switch e := event.(type) {
		case handshake.Send:
			out, err = l.sealer.Seal(out, record.Handshake, e.Messages)
		case handshake.SendCCS:
			out, err = l.sealer.Seal(out, record.ChangeCipherSpec, []byte{1})
		case handshake.InstallWrite:
			l.sealer.SetKeys(e.Keys)
		case handshake.InstallRead:
			l.opener.SetKeys(e.Keys)
		case handshake.RecordLimit:
			l.sealer.SetLimit(e.Send)
			l.opener.SetLimit(e.Receive)
		case handshake.Ticket:
			l.tickets++
		}
		if err != nil {
			return err
		}
	}
	if len(out) == 0 {
		return nil
	}
	_, err = l.Write(out)
	return err
}

// next reads and handles one record.
func (l *link) next() error {
	b := make([]byte, record.HeaderLen)
	if _, err := io.ReadFull(l.Conn, b); err != nil {
		return err
	}
	_, n, err := record.ParseHeader(b)
	if err != nil {
		return err
	}
	b = append(b, make([]byte, n)...)
	if _, err := io.ReadFull(l.Conn, b[record.HeaderLen:]); err != nil {
		return err
	}
	typ, content, err := l.opener.Open(b)
	if err != nil {
		return err
	}
	switch typ {
	case record.Alert:
		l.remote = alert.Code(content[1])
		return fmt.Errorf("the peer sent %v", l.remote)
	case record.ChangeCipherSpec:
		if !l.m.AllowCCS() {
			return errors.New("a change_cipher_spec that has no place here")
		}
		return nil
	case record.ApplicationData:
		l.data = append(l.data, content...)
		return nil
	}
	if err := l.assembler.Write(content); err != nil {
		return err
	}
	for {
		msg, ok, err := l.assembler.Next()
		if err != nil || !ok {
			return err
		}
		receive := l.m.Receive
		if l.receiver != nil {
			receive = l.receiver.Receive
		}
		events, err := receive(msg, l.assembler.Aligned)
		if err == nil {
			err = l.apply(events)
		}
		if err != nil {
			return err
		}
	}
}

// send sends application data.
func (l *link) send(s string) error {
	b, err := l.sealer.Seal(nil, record.ApplicationData, []byte(s))
	if err == nil {
		_, err = l.Write(b)
	}
	return err
}

// fail tells the peer of an error.
func (l *link) fail(err error) {
	b, e := l.sealer.Seal(nil, record.Alert, []byte{2, byte(alert.Of(err))})
	if e == nil {
		_, _ = l.Write(b)
	}
}

// update changes our keys and asks the peer for the same.
func (l *link) update() error {
	msg, next := l.sender.KeyUpdate(true)
	b, err := l.sealer.Seal(nil, record.Handshake, msg)
	if err != nil {
		return err
	}
	l.sealer.SetKeys(next)
	_, err = l.Write(b)
	return err
}

// A foreignCase is a handshake with crypto/tls.
type foreignCase struct {
	name   string
	ours   handshake.Config
	theirs *tls.Config
	retry  bool
}

var foreignKeys = sync.OnceValue(func() map[string]tls.Certificate {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(err)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	m := make(map[string]tls.Certificate)
	for name, key := range map[string]crypto.Signer{"Ed25519": ed, "P-256": p256, "P-384": p384, "RSA": rs} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"test.example"},
			NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(4000000000, 0), KeyUsage: x509.KeyUsageDigitalSignature}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		check(err)
		leaf, err := x509.ParseCertificate(der)
		check(err)
		m[name] = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	}
	return m
})

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func ownCredential(c tls.Certificate) *credential.Credential {
	return &credential.Credential{Type: credential.X509, Entries: c.Certificate, Signer: c.PrivateKey.(crypto.Signer), Leaf: c.Leaf}
}

// foreignCases are the handshakes with crypto/tls in either role.
func foreignCases() []foreignCase {
	accept := func(*credential.Peer) error { return nil }
	var cases []foreignCase
	for name, cert := range foreignKeys() {
		for _, mutual := range []bool{false, true} {
			c := foreignCase{name: fmt.Sprintf("%s, mutual %v", name, mutual)}
			c.ours = handshake.Config{ServerName: "test.example", Verify: accept, Credentials: []*credential.Credential{ownCredential(cert)},
				RequirePeer: mutual, ALPN: []string{"proto"}, OfferTickets: mutual, RecordSizeLimit: 1000}
			c.theirs = &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true, NextProtos: []string{"proto"}, ServerName: "test.example"}
			if mutual {
				c.theirs.ClientAuth = tls.RequireAnyClientCert
			}
			cases = append(cases, c)
		}
	}
	basic := cases[0]
	for _, g := range kex.All() {
		if g == kex.MLKEM1024 {
			continue // crypto/tls has ML-KEM in hybrids alone
		}
		c := basic
		c.name = g.String()
		c.ours.Groups = []kex.Group{g}
		cases = append(cases, c)
	}
	for _, id := range suite.All() {
		c := basic
		c.name = id.String()
		c.ours.Suites = []suite.ID{id}
		cases = append(cases, c)
	}
	c := basic
	c.name, c.retry = "HelloRetryRequest", true
	c.theirs = c.theirs.Clone()
	c.theirs.CurvePreferences = []tls.CurveID{tls.CurveP256}
	c.ours.KeyShares = []kex.Group{kex.X25519}
	cases = append(cases, c)
	return cases
}

// Our client against crypto/tls's server.
func TestForeignServer(t *testing.T) {
	t.Parallel()
	for _, c := range foreignCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, err := handshake.NewClient(&c.ours)
			check(err)
			a, b := connected(t)
			l, foreign := newLink(a, m), tls.Server(b, c.theirs)
			talk(t, l, foreign, &c)
			if s := m.Summary(); s.HelloRetry != c.retry {
				t.Errorf("HelloRetry %v", s.HelloRetry)
			}
			if c.ours.OfferTickets != (l.tickets > 0) {
				t.Errorf("%d tickets", l.tickets)
			}
		})
	}
}

// Our server against crypto/tls's client.
func TestForeignClient(t *testing.T) {
	t.Parallel()
	for _, c := range foreignCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.retry {
				c.theirs.CurvePreferences = nil // its share is for another group than ours
				c.ours.Groups, c.ours.KeyShares = []kex.Group{kex.P256}, nil
			}
			m, err := handshake.NewServer(&c.ours)
			check(err)
			a, b := connected(t)
			l, foreign := newLink(a, m), tls.Client(b, c.theirs)
			talk(t, l, foreign, &c)
			if s := m.Summary(); c.retry && !s.HelloRetry {
				t.Errorf("HelloRetry %v", s.HelloRetry)
			}
		})
	}
}

// talk does the handshake, compares what the sides know, and exchanges data
// before and after key updates.
func talk(t *testing.T, l *link, foreign *tls.Conn, c *foreignCase) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- echo(foreign) }()
	if err := l.handshake(); err != nil {
		t.Fatalf("handshake: %v; theirs: %v", err, <-done)
	}
	for i, say := range []string{"hello", "again", "and again"} {
		if err := l.send(say); err != nil {
			t.Fatal(err)
		}
		l.data = nil
		for len(l.data) < len(say) {
			if err := l.next(); err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
		}
		if string(l.data) != say {
			t.Fatalf("round %d: got %q, want %q", i, l.data, say)
		}
		if err := l.update(); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.receiver.Generation(); n != 2 {
		t.Errorf("the peer changed its keys %d times, want 2", n)
	}
	state, s := foreign.ConnectionState(), l.m.Summary()
	if state.Version != tls.VersionTLS13 || state.CipherSuite != uint16(s.Suite) || state.CurveID != tls.CurveID(s.Group) ||
		state.NegotiatedProtocol != s.ALPN || s.ALPN != "proto" || state.ServerName != s.ServerName {
		t.Errorf("theirs: %+v\nours: %+v", state, s)
	}
	theirs, err := state.ExportKeyingMaterial("EXPORTER-test", []byte("context"), 48)
	check(err)
	ours, err := l.m.Exporter().Export("EXPORTER-test", []byte("context"), 48)
	check(err)
	if !bytes.Equal(ours, theirs) {
		t.Error("the sides export different bytes")
	}
	l.Close()
	<-done
}

func echo(conn *tls.Conn) error {
	if err := conn.Handshake(); err != nil {
		return err
	}
	_, err := io.Copy(conn, conn)
	return err
}

// Refusals by one side that the other must understand.
func TestForeignRefusals(t *testing.T) {
	t.Parallel()
	accept := func(*credential.Peer) error { return nil }
	cert := foreignKeys()["P-256"]
	for name, test := range map[string]struct {
		ours   handshake.Config
		theirs *tls.Config
		client bool // ours
		code   alert.Code
		remote bool // they refuse
	}{
		"old client":           {ours: handshake.Config{Credentials: []*credential.Credential{ownCredential(cert)}}, theirs: &tls.Config{MaxVersion: tls.VersionTLS12}, code: alert.ProtocolVersion},
		"old server":           {ours: handshake.Config{Verify: accept}, theirs: &tls.Config{MaxVersion: tls.VersionTLS12}, client: true, code: alert.ProtocolVersion, remote: true},
		"other protocol":       {ours: handshake.Config{Credentials: []*credential.Credential{ownCredential(cert)}, ALPN: []string{"a"}}, theirs: &tls.Config{NextProtos: []string{"b"}}, code: alert.NoApplicationProtocol},
		"their other protocol": {ours: handshake.Config{Verify: accept, ALPN: []string{"a"}}, theirs: &tls.Config{NextProtos: []string{"b"}}, client: true, code: alert.NoApplicationProtocol, remote: true},
		"we refuse them":       {ours: handshake.Config{Verify: func(*credential.Peer) error { return alert.New(alert.UnknownCA, "x") }}, client: true, code: alert.UnknownCA},
		"no certificate":       {ours: handshake.Config{Verify: accept, RequirePeer: true, Credentials: []*credential.Credential{ownCredential(cert)}}, code: alert.CertificateRequired},
		"only raw keys":        {ours: handshake.Config{Verify: accept, PeerTypes: []credential.Type{credential.RawPublicKey}}, client: true, code: alert.UnsupportedCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := connected(t)
			if test.theirs == nil {
				test.theirs = new(tls.Config)
			}
			test.theirs.InsecureSkipVerify = true
			var m *handshake.Machine
			var foreign *tls.Conn
			var err error
			if test.client {
				test.theirs.Certificates = []tls.Certificate{cert}
				m, err = handshake.NewClient(&test.ours)
				foreign = tls.Server(b, test.theirs)
			} else {
				m, err = handshake.NewServer(&test.ours)
				foreign = tls.Client(b, test.theirs)
			}
			check(err)
			l := newLink(a, m)
			done := make(chan error, 1)
			go func() { done <- echo(foreign) }()
			err = l.handshake()
			if err == nil {
				t.Fatal("the handshake succeeded")
			}
			if test.remote {
				if l.remote != test.code {
					t.Errorf("%v, want %v", err, test.code)
				}
				return
			}
			if alert.Of(err) != test.code {
				t.Errorf("%v, want %v", err, test.code)
			}
			l.fail(err)
			theirs := <-done
			var op *net.OpError
			if !errors.As(theirs, &op) || op.Op != "remote error" {
				t.Errorf("they did not understand: %v", theirs)
			}
		})
	}
}

// connected returns the ends of a connection that buffers, and that cannot hang.
func connected(t *testing.T) (a, b net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer ln.Close()
	a, err = net.Dial("tcp", ln.Addr().String())
	check(err)
	b, err = ln.Accept()
	check(err)
	for _, c := range []net.Conn{a, b} {
		check(c.SetDeadline(time.Now().Add(20 * time.Second)))
		t.Cleanup(func() { c.Close() })
	}
	return a, b
}
