// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// TestStaplesOfStandardLibrary shows staples to crypto/tls, and sees its own.
func TestStaplesOfStandardLibrary(t *testing.T) {
	t.Parallel()
	cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
	cert.OCSPStaple, cert.SignedCertificateTimestamps = []byte("staple"), [][]byte{[]byte("one"), []byte("two")}
	check := func(who string, state tls.ConnectionState) {
		if scts := state.SignedCertificateTimestamps; string(state.OCSPResponse) != "staple" || len(scts) != 2 || string(scts[1]) != "two" {
			t.Errorf("%s got %q and %q", who, state.OCSPResponse, scts)
		}
	}
	type side interface {
		Handshake() error
		ConnectionState() tls.ConnectionState
	}
	shake := func(client, server side) (clientErr, serverErr error) {
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		return client.Handshake(), <-done
	}
	pipe := func() (a, b net.Conn) {
		a, b = net.Pipe()
		t.Cleanup(func() { _, _ = a.Close(), b.Close() })
		for _, c := range []net.Conn{a, b} {
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		}
		return a, b
	}
	ours := &mayfly.Config{Certificates: []tls.Certificate{cert}, Peers: mayfly.NoClientAuth()}
	theirs := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	a, b := pipe()
	theirClient := tls.Client(a, theirs)
	if err, serverErr := shake(theirClient, mayfly.Server(b, ours)); err != nil || serverErr != nil {
		t.Fatal(err, serverErr)
	}
	check("crypto/tls", theirClient.ConnectionState())

	// A client that judges the staple says so in its alert.
	for _, refusal := range []error{nil, &mayfly.AlertError{Code: 113, Reason: "the certificate was revoked"}} {
		a, b = pipe()
		ourClient := mayfly.Client(a, &mayfly.Config{Peers: mayfly.InsecureAnyServer(), VerifyConnection: func(state tls.ConnectionState) error {
			check("VerifyConnection", state)
			return refusal
		}})
		server := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true})
		err, serverErr := shake(ourClient, server)
		if refusal == nil {
			if err != nil || serverErr != nil {
				t.Fatal(err, serverErr)
			}
			check("mayfly", ourClient.ConnectionState())
			continue
		}
		if !errors.Is(err, refusal) {
			t.Errorf("the client was told %v", err)
		}
		if want := "remote error: tls: bad certificate status response"; serverErr == nil || serverErr.Error() != want {
			t.Errorf("the server heard %v, want %q", serverErr, want)
		}
	}
}
