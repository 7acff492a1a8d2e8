// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
)

// TestCryptoTLS talks to Go's own library, in this process.
func TestCryptoTLS(t *testing.T) {
	t.Parallel()
	const peer = "crypto/tls"
	for _, r := range []role{asClient, asServer} {
		for _, auth := range []authentication{x509Server, x509Mutual} {
			for _, group := range groups {
				for _, suite := range suites {
					cell{peer: peer, role: r, suite: suite, group: group, auth: auth, key: ecdsaP256}.run(t, tryCryptoTLS)
				}
			}
		}
		c := cell{peer: peer, role: r, suite: suites[0], group: tls.X25519, key: ecdsaP256}
		c.auth = x509Mutual
		for _, kind := range []keyKind{ecdsaP384, ecdsaP521, edwards, rsaPSS} {
			c.key = kind
			c.run(t, tryCryptoTLS)
		}
		c.auth, c.key = x509PinnedBoth, ecdsaP256
		c.run(t, tryCryptoTLS)
		c.auth, c.with, c.alpn = x509Server, "ALPN", "interop/1"
		c.run(t, tryCryptoTLS)
		c.with, c.alpn, c.retry = "HelloRetryRequest", "", true
		for _, group := range groups {
			c.group = group
			if r == asClient && group != tls.CurveP256 {
				// crypto/tls sends its own choice of shares, X25519 among them.
				continue
			}
			for _, suite := range suites {
				c.suite = suite
				c.run(t, tryCryptoTLS)
			}
		}
	}
	raw := cell{peer: peer, auth: rawMutual, key: ecdsaP256}
	for _, raw.role = range []role{asClient, asServer} {
		matrix.add(raw, "skipped: crypto/tls has no raw public keys")
	}
}

func tryCryptoTLS(t *testing.T, c cell) {
	here, there := loopback(t)
	theirs := startCryptoTLS(t, c, there)
	ours, tap := open(t, c, here)
	peer := theirs(t)
	c.check(t, ours, tap)
	state := peer.ConnectionState()
	if state.CipherSuite != c.suite || state.CurveID != c.group || state.HelloRetryRequest != c.retry || state.NegotiatedProtocol != c.alpn {
		t.Errorf("the peer says %s, %v, retry %v, protocol %q",
			tls.CipherSuiteName(state.CipherSuite), state.CurveID, state.HelloRetryRequest, state.NegotiatedProtocol)
	}
	if c.role == asServer && len(state.PeerCertificates) != int(c.auth.client) {
		t.Errorf("the peer has %d certificates from us", len(state.PeerCertificates))
	}
	exchange(t, ours, peer, bulk, false)
}

// startCryptoTLS begins the peer's handshake, and returns a function that waits
// for its end.
func startCryptoTLS(t *testing.T, c cell, inner net.Conn) (wait func(*testing.T) *tls.Conn) {
	return startCryptoTLSWith(t, c, c.cryptoTLS(t), inner)
}

func startCryptoTLSWith(t *testing.T, c cell, cfg *tls.Config, inner net.Conn) (wait func(*testing.T) *tls.Conn) {
	peer := tls.Server(inner, cfg)
	if c.role == asClient {
		peer = tls.Client(inner, cfg)
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		done <- peer.HandshakeContext(ctx)
	}()
	return func(t *testing.T) *tls.Conn {
		t.Helper()
		if err := <-done; err != nil {
			t.Fatalf("the peer's handshake: %v", err)
		}
		return peer
	}
}

// cryptoTLS is the peer's configuration. Its suites cannot be set: they are
// chosen by ours.
func (c cell) cryptoTLS(t *testing.T) *tls.Config {
	_, them := c.identities(t)
	cfg := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       c.theirGroups(),
		RootCAs:                keys.pool,
		ClientCAs:              keys.pool,
		ServerName:             serverName,
		SessionTicketsDisabled: c.role == asClient,
	}
	if c.role == asServer || c.auth.client == certificate {
		cfg.Certificates = []tls.Certificate{them.cert}
	}
	if c.role == asServer && c.auth.client == certificate {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if c.alpn != "" {
		cfg.NextProtos = []string{"not/this", c.alpn}
	}
	return cfg
}

// loopback is a pair of TCP connections.
func loopback(t *testing.T) (here, there net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if here, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	if there, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	return here, there
}
