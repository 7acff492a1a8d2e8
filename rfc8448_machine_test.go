// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"io"
	"math/big"
	"slices"
	"testing"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/testvec"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// TestRFC8448Server gives the ClientHellos of the traces to the real machine
// in the role of the server, with the trace's randomness and cookie. It must
// answer as NSS did, but for the order of the extensions, and accept its ticket and
// early data. After the ServerHello the two part: the extensions in
// EncryptedExtensions are each one's own.
func TestRFC8448Server(t *testing.T) {
	t.Parallel()
	for _, tr := range loadRFC8448(t) {
		t.Run(tr.Name, func(t *testing.T) {
			t.Parallel()
			serverAnswers(t, tr)
		})
	}
}

func serverAnswers(t *testing.T, tr *testvec.Trace) {
	messages, err := tr.Messages()
	if err != nil {
		t.Fatal(err)
	}
	var hellos, answers [][]byte
	for _, m := range messages {
		switch wire.MessageType(m.Raw[0]) {
		case wire.ClientHelloType:
			hellos = append(hellos, m.Raw)
		case wire.ServerHelloType:
			answers = append(answers, m.Raw)
		}
	}
	if len(hellos) == 0 || len(hellos) != len(answers) {
		t.Fatalf("%d ClientHellos, %d answers", len(hellos), len(answers))
	}
	final, err := wire.ParseServerHello(answers[len(answers)-1])
	if err != nil {
		t.Fatal(err)
	}
	group := kex.Group(final.KeyShare.Group)
	private := keyPair(tr, "server", group).Value("private_key")
	cfg := &handshake.Config{
		Rand:        io.MultiReader(bytes.NewReader(final.Random[:]), bytes.NewReader(private), rand.Reader),
		Suites:      []suite.ID{suite.AES128GCM},
		Groups:      []kex.Group{group},
		Credentials: []*credential.Credential{someCredential(t)},
	}
	if len(answers) == 2 {
		retry, err := wire.ParseServerHello(answers[0])
		if err != nil {
			t.Fatal(err)
		}
		cfg.Cookie = &traceCookie{cookie: retry.Cookie}
	}
	resumed := tr.Name == "resumed-0rtt"
	if resumed {
		cfg.FindPSK = findTraceTicket(t)
		cfg.JudgePSK = func(*handshake.PSK) (bool, error) { return true, nil }
		cfg.AcceptEarlyData = func(*handshake.PSK) bool { return true }
	}
	m, err := handshake.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Wipe()
	for i, hello := range hellos {
		aligned := new(wire.Assembler) // nothing is left in it
		events, err := m.Receive(wire.Message{Type: wire.ClientHelloType, Raw: hello}, aligned.Aligned)
		if err != nil {
			t.Fatalf("ClientHello %d: %v", i+1, err)
		}
		compareAnswer(t, events, answers[i])
		// The clients of some traces send an empty session ID, one of them as it resumes.
		ccs := slices.ContainsFunc(events, func(e handshake.Event) bool { _, ok := e.(handshake.SendCCS); return ok })
		if first := i == 0; ccs != first {
			t.Errorf("a change_cipher_spec in answer %d: %t", i+1, ccs)
		}
		if resumed {
			openEarlyData(t, tr, m, events)
		}
	}
}

// findTraceTicket knows the ticket of the trace before the resumed one.
func findTraceTicket(t *testing.T) func(handshake.Offer) (*handshake.PSK, error) {
	first := loadTrace(t, "simple-1rtt")
	secret := first.Find("server", `generate resumption secret "tls13 resumption"`).Value("expanded")
	ticket := first.Find("server", "construct a NewSessionTicket handshake message").Value("NewSessionTicket")
	return func(o handshake.Offer) (*handshake.PSK, error) {
		if !bytes.Contains(ticket, o.Identity) || !o.First {
			t.Errorf("a ticket that was never given out: %x", o.Identity)
		}
		return &handshake.PSK{Identity: o.Identity, Kind: schedule.ResumptionBinder, Suite: suite.AES128GCM,
			Secret: volatile.Take(bytes.Clone(secret)), MaxEarlyData: 1024}, nil
	}
}

// openEarlyData opens the early records of the trace, and takes the end of early
// data in them.
func openEarlyData(t *testing.T, tr *testvec.Trace, m *handshake.Machine, events []handshake.Event) {
	t.Helper()
	opener := record.NewOpener()
	for _, event := range events {
		if e, ok := event.(handshake.InstallRead); ok && e.Epoch == handshake.EpochEarly {
			opener.SetKeys(e.Keys)
		}
	}
	records, err := tr.Records()
	if err != nil {
		t.Fatal(err)
	}
	data := 0
	for _, rec := range records {
		if rec.Label != "c e traffic" {
			continue
		}
		typ, plaintext, err := opener.Open(bytes.Clone(rec.Raw))
		if err != nil || !bytes.Equal(plaintext, rec.Payload) {
			t.Fatalf("an early record opens to %x, %v", plaintext, err)
		}
		if data++; typ == record.Handshake {
			aligned := new(wire.Assembler)
			events, err := m.Receive(wire.Message{Type: wire.EndOfEarlyDataType, Raw: plaintext}, aligned.Aligned)
			if err != nil || len(events) != 1 || events[0].(handshake.InstallRead).Epoch != handshake.EpochHandshake {
				t.Errorf("after the end of early data: %v, %v", events, err)
			}
		}
	}
	if data != 2 || !m.Summary().EarlyData {
		t.Errorf("%d early records", data)
	}
}

// compareAnswer compares the first message in events with that of the trace,
// whose order of extensions it is given.
func compareAnswer(t *testing.T, events []handshake.Event, want []byte) {
	t.Helper()
	first := slices.IndexFunc(events, func(e handshake.Event) bool { _, ok := e.(handshake.Send); return ok })
	if first < 0 {
		t.Fatalf("no answer in %d events", len(events))
	}
	var a wire.Assembler
	if err := a.Write(events[first].(handshake.Send).Messages); err != nil {
		t.Fatal(err)
	}
	msg, ok, err := a.Next()
	if err != nil || !ok {
		t.Fatalf("no whole message is sent: %v", err)
	}
	ours, err := wire.ParseServerHello(msg.Raw)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := wire.ParseServerHello(want)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Sorted(slices.Values(ours.Extensions)), slices.Sorted(slices.Values(theirs.Extensions))) {
		t.Errorf("extensions %v, want %v in any order", ours.Extensions, theirs.Extensions)
	}
	ours.Extensions = theirs.Extensions
	if got := ours.Marshal(); !bytes.Equal(got, want) {
		t.Errorf("answered\n%x, want\n%x", got, want)
	}
}

// traceCookie is a CookieJar that holds the cookie of a trace.
type traceCookie struct{ cookie, state []byte }

func (c *traceCookie) Seal(state []byte) ([]byte, error) {
	c.state = state
	return c.cookie, nil
}

func (c *traceCookie) Open(cookie []byte) ([]byte, bool) {
	return c.state, bytes.Equal(cookie, c.cookie)
}

// someCredential is a certificate that NSS's clients would take a signature
// from; those of the traces have RSA keys too short for credential, or a
// private key that was not published.
func someCredential(t *testing.T) *credential.Credential {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"server"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &credential.Credential{Type: credential.X509, Entries: [][]byte{der}, Signer: key}
}
