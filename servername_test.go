// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// TestServerNameThatIsNoHostName has clients of crypto/tls send names that are no host
// names: the handshake goes on as if they had sent none, and no callback sees the name.
func TestServerNameThatIsNoHostName(t *testing.T) {
	t.Parallel()
	cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
	for _, name := range []string{"*.example", "bücher.example", "db.example:443", "a b", "db..example", "db.example/x"} {
		var seen []string
		see := func(hello *mayfly.ClientHello) { seen = append(seen, hello.ServerName) }
		for n, config := range []*mayfly.Config{
			{Certificates: []tls.Certificate{cert}},
			{GetCertificate: func(_ context.Context, hello *mayfly.ClientHello) (*tls.Certificate, error) {
				see(hello)
				return &cert, nil
			}},
			{Certificates: []tls.Certificate{cert}, GetConfig: func(_ context.Context, hello *mayfly.ClientHello) (*mayfly.Config, error) {
				see(hello)
				return nil, nil
			}},
			{Certificates: []tls.Certificate{cert}, CurvePreferences: []tls.CurveID{tls.CurveP384}}, // asks for a second ClientHello
		} {
			config.Peers = mayfly.NoClientAuth()
			a, b := tcpPair(t)
			client, server := tls.Client(a, &tls.Config{InsecureSkipVerify: true, ServerName: name}), mayfly.Server(b, config)
			done := make(chan error, 1)
			go func() { done <- server.Handshake() }()
			if err, serverErr := client.Handshake(), <-done; err != nil || serverErr != nil {
				t.Errorf("%q: %v, %v", name, err, serverErr)
			} else if got := server.ConnectionState().ServerName; got != "" {
				t.Errorf("%q: ServerName is %q", name, got)
			}
			if want := min(n, 2); len(seen) != want {
				t.Errorf("%q: the callback of Config %d was not called", name, n)
			}
			_, _ = client.Close(), server.Close()
		}
		for _, got := range seen {
			if got != "" {
				t.Errorf("%q reached a callback as %q", name, got)
			}
		}
	}
}

// TestServerNamesRefuseWhatIsNoHostName: a server that answers to some names alone is
// selected by none of them.
func TestServerNamesRefuseWhatIsNoHostName(t *testing.T) {
	t.Parallel()
	cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
	a, b := tcpPair(t)
	server := mayfly.Server(b, &mayfly.Config{Certificates: []tls.Certificate{cert}, Peers: mayfly.NoClientAuth(), ServerNames: []string{"db.example"}})
	go func() { _ = server.Handshake() }()
	err := tls.Client(a, &tls.Config{InsecureSkipVerify: true, ServerName: "*.db.example"}).Handshake()
	if want := "remote error: tls: unrecognized name"; err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}
