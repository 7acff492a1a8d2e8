// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/testvec"
)

// Messages that others made. crypto/tls gives its encrypted ones in the clear by
// way of its interface for QUIC.

// foreignCertificate is a self-signed certificate with all that crypto/tls staples.
func foreignCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, OCSPStaple: []byte("response"), SignedCertificateTimestamps: [][]byte{[]byte("one"), []byte("two")}}
}

// TestPipeClientHello parses what a crypto/tls client writes first.
func TestPipeClientHello(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]*tls.Config{
		"TLS 1.3":       {ServerName: "db.example", NextProtos: []string{"one", "two"}, MinVersion: tls.VersionTLS13},
		"TLS 1.2 too":   {ServerName: "db.example"},
		"TLS 1.2 alone": {ServerName: "db.example", MaxVersion: tls.VersionTLS12},
		"one group":     {InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.CurveP256}},
	} {
		raw := pipeClientHello(t, cfg)
		m, err := ParseClientHello(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(m.Marshal(), raw) {
			t.Errorf("%s: marshalled to\n%x, want\n%x", name, m.Marshal(), raw)
		}
		checkPrefixes(t, name, raw)
		if m.ServerName != cfg.ServerName || !slices.Equal(m.ALPN, cfg.NextProtos) || !m.StatusRequest || !m.SCT {
			t.Errorf("%s: %+v", name, m)
		}
		if slices.Contains(m.SupportedVersions, tls.VersionTLS13) != (cfg.MaxVersion == 0) || m.Has(ExtKeyShare) != (cfg.MaxVersion == 0) {
			t.Errorf("%s: versions %x, shares %d", name, m.SupportedVersions, len(m.KeyShares))
		}
		if cfg.CurvePreferences != nil && (len(m.KeyShares) != 1 || m.KeyShares[0].Group != uint16(tls.CurveP256) || len(m.KeyShares[0].Data) != 65) {
			t.Errorf("%s: shares %v", name, m.KeyShares)
		}
	}
}

// pipeClientHello returns the one message in the first record of a client.
func pipeClientHello(t *testing.T, cfg *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tls.Client(theirs, cfg).Handshake() // it fails when ours is closed
	}()
	header := make([]byte, 5)
	if _, err := io.ReadFull(ours, header); err != nil {
		t.Fatal(err)
	}
	record := make([]byte, binary.BigEndian.Uint16(header[3:]))
	if _, err := io.ReadFull(ours, record); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	<-done
	theirs.Close()
	var a Assembler
	if err := a.Write(record); err != nil {
		t.Fatal(err)
	}
	messages := read(t, &a)
	if len(messages) != 1 || messages[0].Type != ClientHelloType || a.Pending() {
		t.Fatalf("%d messages in the first record", len(messages))
	}
	return messages[0].Raw
}

// TestQUIC parses every message of two connections of crypto/tls. In the first,
// there is a HelloRetryRequest, and both sides have certificates; the second
// resumes it.
func TestQUIC(t *testing.T) {
	t.Parallel()
	cert := foreignCertificate(t)
	server := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"two"}, Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert,
		CurvePreferences: []tls.CurveID{tls.CurveP384}}
	client := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"one", "two"}, Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true,
		ServerName: "db.example", ClientSessionCache: tls.NewLRUClientSessionCache(1), CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}}
	first := quicMessages(t, client, server)
	wantTypes(t, first, ClientHelloType, ServerHelloType, ClientHelloType, ServerHelloType, EncryptedExtensionsType, CertificateRequestType,
		CertificateType, CertificateVerifyType, FinishedType, CertificateType, CertificateVerifyType, FinishedType, NewSessionTicketType)
	hello, retry, again := first[0].(*ClientHello), first[1].(*ServerHello), first[2].(*ClientHello)
	answer, extensions, request := first[3].(*ServerHello), first[4].(*EncryptedExtensions), first[5].(*CertificateRequest)
	certificate, ticket := first[6].(*Certificate), first[12].(*NewSessionTicket)
	for name, ok := range map[string]bool{
		"retry":       retry.IsHelloRetryRequest() && retry.SelectedGroup == uint16(tls.CurveP384) && retry.KeyShare == nil,
		"second":      hello.Random == again.Random && len(again.KeyShares) == 1 && again.KeyShares[0].Group == uint16(tls.CurveP384),
		"answer":      !answer.IsHelloRetryRequest() && answer.KeyShare != nil && len(answer.KeyShare.Data) == 97 && answer.SupportedVersion == tls.VersionTLS13,
		"extensions":  extensions.ALPN == "two" && slices.ContainsFunc(extensions.Other, func(e Extension) bool { return e.Type == 57 }),
		"request":     len(request.SignatureAlgorithms) > 0 && request.SCT,
		"certificate": bytes.Equal(certificate.Entries[0].Data, cert.Certificate[0]),
		"staples":     string(certificate.Entries[0].OCSPResponse) == "response" && len(certificate.Entries[0].SCTs) == 2 && string(certificate.Entries[0].SCTs[1]) == "two",
		"signature":   first[7].(*CertificateVerify).Scheme == uint16(tls.ECDSAWithP256AndSHA256),
		"finished":    len(first[8].(*Finished).VerifyData) == 32 || len(first[8].(*Finished).VerifyData) == 48,
		"ticket":      ticket.MaxEarlyData == 0xffffffff && ticket.Lifetime > 0 && len(ticket.Ticket) > 0,
	} {
		if !ok {
			t.Errorf("%s is wrong", name)
		}
	}

	client.CurvePreferences = server.CurvePreferences
	second := quicMessages(t, client, server)
	hello, answer, extensions = second[0].(*ClientHello), second[1].(*ServerHello), second[2].(*EncryptedExtensions)
	if hello.PSK == nil || !bytes.Equal(hello.PSK.Identities[0].Identity, ticket.Ticket) || !hello.EarlyData || !slices.Equal(hello.PSKModes, []uint8{1}) {
		t.Errorf("the second connection does not resume: %+v", hello)
	}
	if prefix := hello.BinderPrefix(); len(hello.Raw)-len(prefix) != 2+1+len(hello.PSK.Binders[0]) || !bytes.HasPrefix(hello.Raw, prefix) {
		t.Errorf("the binders begin at %d of %d", len(prefix), len(hello.Raw))
	}
	if answer.SelectedPSK == nil || *answer.SelectedPSK != 0 || !extensions.EarlyData {
		t.Errorf("the server does not resume: %+v, %+v", answer, extensions)
	}
}

func wantTypes(t *testing.T, messages []marshaler, want ...MessageType) {
	t.Helper()
	var got []MessageType
	for _, m := range messages {
		got = append(got, MessageType(m.Marshal()[0]))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("messages %v, want %v", got, want)
	}
}

// quicMessages runs a handshake of crypto/tls with itself and returns its messages
// in their order, parsed; each was marshalled to the same bytes.
func quicMessages(t *testing.T, client, server *tls.Config) []marshaler {
	t.Helper()
	ends := [2]*tls.QUICConn{tls.QUICClient(&tls.QUICConfig{TLSConfig: client}), tls.QUICServer(&tls.QUICConfig{TLSConfig: server})}
	var streams [2]map[tls.QUICEncryptionLevel]*Assembler
	for i, end := range ends {
		streams[i] = make(map[tls.QUICEncryptionLevel]*Assembler)
		end.SetTransportParameters([]byte("params"))
		if err := end.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer end.Close()
	}
	var messages []marshaler
	for idle := 0; idle < 2; {
		for i, end := range ends {
			event := end.NextEvent()
			switch event.Kind {
			case tls.QUICNoEvent:
				idle++
				continue
			case tls.QUICWriteData:
				a := streams[i][event.Level]
				if a == nil {
					a = new(Assembler)
					streams[i][event.Level] = a
				}
				if err := a.Write(event.Data); err != nil {
					t.Fatal(err)
				}
				for _, m := range read(t, a) {
					messages = append(messages, foreignMessage(t, m.Raw))
				}
				if err := ends[1-i].HandleData(event.Level, event.Data); err != nil {
					t.Fatal(err)
				}
			case tls.QUICHandshakeDone:
				if i == 1 {
					if err := end.SendSessionTicket(tls.QUICSessionTicketOptions{EarlyData: true}); err != nil {
						t.Fatal(err)
					}
				}
			}
			idle = 0
		}
	}
	return messages
}

// foreignMessage parses a message that has to be in order.
func foreignMessage(t *testing.T, raw []byte) marshaler {
	t.Helper()
	m, err := parse(raw)
	if err != nil {
		t.Fatalf("%v: %x", err, raw)
	}
	if got := m.Marshal(); !bytes.Equal(got, raw) {
		t.Errorf("marshalled to\n%x, want\n%x", got, raw)
	}
	checkPrefixes(t, MessageType(raw[0]).String(), raw)
	return m
}

// TestRFC8448 parses every message of the traces of RFC 8448.
func TestRFC8448(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join("..", "..", "testdata", "rfc8448", "*-*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[MessageType]int)
	for _, path := range paths {
		if filepath.Base(path) == "rsa-key.txt" {
			continue
		}
		trace, err := testvec.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		messages, err := trace.Messages()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			foreignMessage(t, m.Raw)
			seen[MessageType(m.Raw[0])]++
		}
	}
	for _, typ := range []MessageType{ClientHelloType, ServerHelloType, NewSessionTicketType, EndOfEarlyDataType, EncryptedExtensionsType,
		CertificateType, CertificateRequestType, CertificateVerifyType, FinishedType} {
		if seen[typ] == 0 {
			t.Errorf("no %s in %d traces", typ, len(paths))
		}
	}
}
