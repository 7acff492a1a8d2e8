// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// The pre-shared key of each cell that has one, and its name.
const (
	pskHex      = "8c1f0e6d3b2a495786a7b4c5d2e3f0913e2d1c0bfae9d8c7b6a5948372615041"
	pskIdentity = "interop key 1"
)

// The names that an imported key is bound to.
const (
	pskClient = "the client"
	pskServer = "the server"
)

// psk is our side's key. A plain one is for our role alone.
func (c cell) psk(t *testing.T) *mayfly.PresharedKey {
	t.Helper()
	return c.pskOf(t, pskIdentity, pskHex)
}

func (c cell) pskOf(t *testing.T, identity, key string) *mayfly.PresharedKey {
	t.Helper()
	bytes, err := hex.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	var k *mayfly.PresharedKey
	switch {
	case c.auth.server == importedPSK && c.role == asServer:
		k, err = mayfly.NewPresharedKey(identity, bytes, pskClient, pskServer)
	case c.auth.server == importedPSK:
		k, err = mayfly.NewPresharedKey(identity, bytes, pskServer, pskClient)
	case c.role == asServer:
		k, err = mayfly.NewPlainClientKey(identity, bytes)
	default:
		k, err = mayfly.NewPlainServerKey(identity, bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// everyPSKCell visits the cells of a peer that knows plain keys: those go with the
// suites of SHA-256.
func everyPSKCell(peer string, lacks func(authentication, tls.CurveID) string, visit func(cell)) {
	everyCell(peer, []authentication{pskPlain}, lacks, func(c cell) {
		if c.suite == tls.TLS_AES_256_GCM_SHA384 {
			return
		}
		visit(c)
		if c.suite == suites[0] {
			c.retry, c.with = true, "HelloRetryRequest"
			visit(c)
		}
	})
}

// TestOpenSSLPSK talks to s_client and s_server by a pre-shared key.
func TestOpenSSLPSK(t *testing.T) {
	t.Parallel()
	opensslProbe().require(t, openssl)
	everyPSKCell(openssl, opensslLacks, func(c cell) { c.run(t, tryOpenSSL) })
	for _, r := range []role{asClient, asServer} {
		c := cell{peer: openssl, role: r, suite: suites[0], group: tls.X25519, auth: pskPlain, key: ecdsaP256}
		tryWrongPSKs(t, c, func(t *testing.T, c cell) net.Conn {
			_, conn := c.openssl(t, opensslQuiet[c.role]...)
			return conn
		})
	}
}

// TestGnuTLSPSK talks to gnutls-cli and gnutls-serv by a pre-shared key.
func TestGnuTLSPSK(t *testing.T) {
	t.Parallel()
	gnutlsProbe().require(t, gnutls)
	everyPSKCell(gnutls, gnutlsLacks, func(c cell) { c.run(t, tryGnuTLS) })
	for _, r := range []role{asClient, asServer} {
		c := cell{peer: gnutls, role: r, suite: suites[0], group: tls.X25519, auth: pskPlain, key: ecdsaP256}
		tryWrongPSKs(t, c, func(t *testing.T, c cell) net.Conn {
			_, conn := c.gnutls(t)
			return conn
		})
	}
}

// gnutlsPSK gives GnuTLS the key: a client by its arguments, a server in a file.
func (c cell) gnutlsPSK(t *testing.T) []string {
	t.Helper()
	if c.role == asClient {
		return []string{"--pskusername", pskIdentity, "--pskkey", pskHex}
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(pskIdentity+":"+pskHex+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--pskpasswd", file}
}

// tryWrongPSKs has us hold another key than the peer, and one of another name: there
// is no connection.
func tryWrongPSKs(t *testing.T, c cell, dial func(t *testing.T, c cell) net.Conn) {
	for with, k := range map[string][2]string{
		"another key: refused":      {pskIdentity, strings.Repeat("5a", 31) + "5b"},
		"another identity: refused": {"interop key 2", pskHex},
	} {
		c.with = with
		c.run(t, func(t *testing.T, c cell) {
			cfg := c.ours(t)
			cfg.Peers = mayfly.PSKs(c.pskOf(t, k[0], k[1]))
			conn := dial(t, c)
			ours := mayfly.Client(conn, cfg)
			if c.role == asClient {
				ours = mayfly.Server(conn, cfg)
			}
			defer ours.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := ours.HandshakeContext(ctx)
			e, ok := errors.AsType[*mayfly.AlertError](err)
			if !ok || e.Remote != (c.role == asServer) || c.role == asClient && e.Code.String() != "decrypt_error" {
				t.Errorf("the handshake: %v", err)
			}
		})
	}
}

const boringssl = "BoringSSL"

var bsslProbe = sync.OnceValue(func() *probe { return lookFor("bssl", "rand", "-hex", "1") })

// TestBoringSSLPSK talks to bssl client and bssl server by an imported key (RFC
// 9258). No distribution has bssl, so nothing requires it to be there.
func TestBoringSSLPSK(t *testing.T) {
	t.Parallel()
	p := bsslProbe()
	everyCell(boringssl, []authentication{pskImported}, func(authentication, tls.CurveID) string { return p.missing }, func(c cell) {
		c.run(t, tryBoringSSL)
		if c.suite == suites[0] && c.group != tls.X25519MLKEM768 { // of which it sends a share unasked
			c.retry, c.with = true, "HelloRetryRequest"
			c.run(t, tryBoringSSL)
		}
	})
	if p.missing != "" {
		t.Skip(p.missing)
	}
	for _, r := range []role{asClient, asServer} {
		c := cell{peer: boringssl, role: r, suite: suites[0], group: tls.X25519, auth: pskImported, key: ecdsaP256}
		tryWrongPSKs(t, c, func(t *testing.T, c cell) net.Conn {
			_, conn := c.bssl(t)
			return conn
		})
	}
}

func tryBoringSSL(t *testing.T, c cell) {
	p, conn := c.bssl(t)
	ours, tap := open(t, c, conn)
	c.check(t, ours, tap)
	ours.SetDeadline(time.Now().Add(patience))
	all(t,
		func() error { return send("us", ours, fromUs()) },
		func() error { return send("the peer", p, fromThem()) },
		func() error { return receive("us", ours, fromThem()) },
		func() error { return receive("the peer", p, fromUs()) },
	)
	// It closes the transport without a word, whoever closes first.
	if err := ours.CloseWrite(); err != nil {
		t.Fatalf("CloseWrite: %v", err)
	}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
}

// bssl starts bssl client or bssl server and returns our end of the connection. The
// suites of TLS 1.3 cannot be chosen there: ours decide.
func (c cell) bssl(t *testing.T) (*program, net.Conn) {
	t.Helper()
	context := string(rune(len(pskClient))) + pskClient + string(rune(len(pskServer))) + pskServer
	args := []string{
		"-psk-hex", pskHex, "-psk-identity", pskIdentity, "-psk-context", context,
		"-curves", strings.ReplaceAll(opensslGroups(c.theirGroups()), "secp256r1", "P-256"),
	}
	if c.role == asServer {
		return startServer(t, bsslProbe().path, func(port string) []string {
			return append([]string{"server", "-accept", port}, args...)
		})
	}
	return startClient(t, bsslProbe().path, func(port string) []string {
		return append([]string{"client", "-connect", "127.0.0.1:" + port}, args...)
	})
}
