// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// TestFirstHandshakesAtOnce begins many handshakes at the same time in a process that has
// done none: what the standard library does once, under a lock, must not happen while a
// goroutine is pinned, which would end the process.
func TestFirstHandshakesAtOnce(t *testing.T) {
	if os.Getenv("MAYFLY_TEST_FIRST_HANDSHAKES") != "" {
		firstHandshakes(t)
		return
	}
	for _, fips := range []string{"off", "on"} {
		for range 4 {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFirstHandshakesAtOnce$", "-test.timeout=2m")
			child.Env = append(os.Environ(), "MAYFLY_TEST_FIRST_HANDSHAKES=1", "GODEBUG=fips140="+fips)
			skipWithoutFIPS(t, child)
		}
	}
}

func firstHandshakes(t *testing.T) {
	groups := []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}
	suites := []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}
	server, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	client, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range 64 {
		running.Go(func() {
			a, b := net.Pipe()
			choose := func(own *mayfly.Identity, peer mayfly.Pin) *mayfly.Config {
				return &mayfly.Config{Identity: own, Peers: mayfly.Pins(peer),
					CurvePreferences: groups[i%len(groups) : i%len(groups)+1], CipherSuites: suites[i%len(suites) : i%len(suites)+1]}
			}
			c, s := mayfly.Client(a, choose(client, server.Pin())), mayfly.Server(b, choose(server, client.Pin()))
			defer a.Close()
			defer b.Close()
			<-start
			done := make(chan error, 1)
			go func() { done <- s.Handshake() }()
			err := c.Handshake()
			if err != nil {
				_ = a.Close()
			}
			err = errors.Join(err, <-done)
			// In FIPS mode some of these are refused, as a Config or by the peer.
			if err != nil && os.Getenv("GODEBUG") == "fips140=off" {
				t.Error(err)
			}
		})
	}
	close(start)
	running.Wait()
}
