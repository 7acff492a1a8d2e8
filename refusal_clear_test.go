// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestRefusalInTheClear is a client that cannot accept the server's flight and says so
// before it has changed its keys, as OpenSSL does (RFC 9846, Appendix A.1): the server
// learns what it said. An end that nobody vouches for is none.
func TestRefusalInTheClear(t *testing.T) {
	t.Parallel()
	server := identityOf(t, "")
	cert, err := server.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		record []byte
		remote bool
		code   mayfly.AlertCode
	}{
		{"unknown_ca", []byte{21, 3, 3, 0, 2, 2, 48}, true, 48},
		{"an unknown alert, as a warning", []byte{21, 3, 3, 0, 2, 1, 200}, true, 200},
		{"close_notify", []byte{21, 3, 3, 0, 2, 1, 0}, false, 10},
		{"user_canceled", []byte{21, 3, 3, 0, 2, 1, 90}, false, 10},
		{"half an alert", []byte{21, 3, 3, 0, 1, 2}, false, 10},
		{"two alerts", []byte{21, 3, 3, 0, 4, 2, 48, 2, 48}, false, 10},
		{"a handshake message", []byte{22, 3, 3, 0, 4, 20, 0, 0, 0}, false, 10},
	} {
		a, b := net.Pipe()
		conn := mayfly.Server(b, &mayfly.Config{Certificates: []tls.Certificate{cert}, Peers: mayfly.NoClientAuth()})
		failed := make(chan error, 1)
		go func() { failed <- conn.Handshake() }()
		if _, err := a.Write(firstRecord(t)); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, a) }()
		if _, err := a.Write(test.record); err != nil {
			t.Fatal(err)
		}
		var said *mayfly.AlertError
		if err := <-failed; !errors.As(err, &said) || said.Remote != test.remote || said.Code != test.code {
			t.Errorf("%s: %v", test.name, err)
		}
		_ = a.Close()
		_ = conn.Close()
	}
}

// TestRefusalHandedOn is one in the clear on a server's connection that was handed on: it
// comes as late as any other after the handshake, and is not believed.
func TestRefusalHandedOn(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	client, server, clientErr, serverErr := shake(t, cc, sc)
	if err := errors.Join(clientErr, serverErr); err != nil {
		t.Fatal(err)
	}
	server = handOn(t, server, sc)
	_, raw, err := client.Detach(t.Context(), newOffer(t))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Write([]byte{21, 3, 3, 0, 2, 2, 48}); err != nil {
		t.Fatal(err)
	}
	var said *mayfly.AlertError
	if _, err := server.Read(make([]byte, 1)); !errors.As(err, &said) || said.Remote || said.Code != 10 {
		t.Errorf("a forged refusal: %v", err)
	}
}

// firstRecord is the ClientHello of crypto/tls.
func firstRecord(t *testing.T) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		_ = tls.Client(a, &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}}).Handshake()
		_ = a.Close()
	}()
	record := make([]byte, 5)
	if _, err := io.ReadFull(b, record); err != nil {
		t.Fatal(err)
	}
	record = append(record, make([]byte, int(record[3])<<8|int(record[4]))...)
	if _, err := io.ReadFull(b, record[5:]); err != nil {
		t.Fatal(err)
	}
	return record
}
