// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

const gnutls = "gnutls"

// GnuTLS's own names.
var (
	gnutlsCipher = map[uint16]string{
		tls.TLS_AES_128_GCM_SHA256:       "AES-128-GCM",
		tls.TLS_AES_256_GCM_SHA384:       "AES-256-GCM",
		tls.TLS_CHACHA20_POLY1305_SHA256: "CHACHA20-POLY1305",
	}
	gnutlsGroup = map[tls.CurveID]string{
		tls.X25519MLKEM768: "GROUP-X25519-MLKEM768",
		tls.X25519:         "GROUP-X25519",
		tls.CurveP256:      "GROUP-SECP256R1",
	}
)

// TestGnuTLS talks to gnutls-cli and gnutls-serv: X.509, raw public keys, and
// either on one side with the other on the other.
func TestGnuTLS(t *testing.T) {
	t.Parallel()
	gnutlsProbe().require(t, gnutls)
	everyCell(gnutls, []authentication{x509Server, x509Mutual, rawServer, rawMutual}, gnutlsLacks, func(c cell) {
		c.run(t, tryGnuTLS)
	})
	for _, r := range []role{asClient, asServer} {
		c := cell{peer: gnutls, role: r, suite: suites[2], group: tls.X25519, key: ecdsaP256}
		for _, c.auth = range []authentication{rawThenX509, x509ThenRaw} {
			c.tryGnuTLSIfAble(t)
		}
		c.auth, c.key = rawMutual, edwards
		c.tryGnuTLSIfAble(t)
		c.auth = x509Mutual
		for _, c.key = range []keyKind{ecdsaP384, ecdsaP521, edwards, rsaPSS} {
			c.tryGnuTLSIfAble(t)
		}
		c.auth, c.key = x509Server, ecdsaP256
		c.with, c.alpn = "ALPN", "interop/1"
		c.tryGnuTLSIfAble(t)
		c.auth, c.with, c.alpn = rawMutual, "record_size_limit", ""
		if gnutlsLacks(c.auth, c.group) == "" {
			c.run(t, tryGnuTLSSmallRecords)
		}
		c.with = "another pin: refused"
		if gnutlsLacks(c.auth, c.group) == "" {
			c.run(t, tryGnuTLSWrongPin)
		}
		c.with, c.retry = "HelloRetryRequest", true
		for _, c.auth = range []authentication{x509Mutual, rawMutual} {
			for _, c.group = range []tls.CurveID{tls.X25519, tls.CurveP256} {
				c.tryGnuTLSIfAble(t)
			}
		}
	}
}

func (c cell) tryGnuTLSIfAble(t *testing.T) {
	if reason := gnutlsLacks(c.auth, c.group); reason != "" {
		matrix.add(c, "skipped: "+reason)
		return
	}
	c.run(t, tryGnuTLS)
}

// gnutlsLacks says why the installed GnuTLS cannot do a part of the matrix.
func gnutlsLacks(auth authentication, group tls.CurveID) string {
	version := lastWord(gnutlsProbe().version)
	switch {
	case (auth.server == rawKey || auth.client == rawKey) && !atLeast(version, 3, 6, 6):
		return fmt.Sprintf("GnuTLS %s has no raw public keys (3.6.6 has)", version)
	case group == tls.X25519MLKEM768 && !gnutlsHybrid():
		return fmt.Sprintf("GnuTLS %s has no X25519MLKEM768", version)
	}
	return ""
}

// gnutlsHybrid asks gnutls-cli whether it knows the hybrid group: from 3.8.9 on
// it may, if it was built so.
var gnutlsHybrid = sync.OnceValue(func() bool {
	out, err := ask(gnutlsProbe().path, "--list", "--priority", "NORMAL:+GROUP-X25519-MLKEM768")
	return err == nil && strings.Contains(out, "GROUP-X25519-MLKEM768")
})

func tryGnuTLS(t *testing.T, c cell) {
	if c.role == asClient {
		tryGnuTLSClient(t, c)
	} else {
		tryGnuTLSServer(t, c)
	}
}

func tryGnuTLSClient(t *testing.T, c cell) {
	log := filepath.Join(t.TempDir(), "log") // not mixed with the data
	p, conn := c.gnutls(t, "--logfile", log)
	ours, tap := open(t, c, conn)
	c.check(t, ours, tap)
	n := bulk
	if c.suite != suites[0] || c.auth.client == nothing {
		n = bulk / 10 // it writes what it gets byte by byte
	}
	exchange(t, ours, p, n, true)
	said, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	c.checkGnuTLS(t, string(said))
}

func tryGnuTLSServer(t *testing.T, c cell) {
	p, conn := c.gnutls(t)
	said := new(tail)
	go io.Copy(said, p)
	ours, tap := open(t, c, conn)
	c.check(t, ours, tap)
	exchangeEcho(t, ours)
	if err := p.until(func() bool { return said.count("- Channel bindings\n") > 0 }); err != nil {
		t.Fatal(err)
	}
	c.checkGnuTLS(t, said.String())
}

// tryGnuTLSSmallRecords agrees on small records in both directions (RFC 8449).
func tryGnuTLSSmallRecords(t *testing.T, c cell) {
	const limit, protection = 512, 1 + 16 // the content type and the tag
	cfg := c.ours(t)
	cfg.RecordSizeLimit = limit
	more := []string{"--recordsize", fmt.Sprint(limit)}
	if c.role == asClient {
		more = append(more, "--logfile", filepath.Join(t.TempDir(), "log"))
	}
	p, conn := c.gnutls(t, more...)
	ours, tap := openWith(t, c, cfg, conn)
	c.check(t, ours, tap)
	ours.SetDeadline(time.Now().Add(patience))
	sent := fromUs()[:100_000]
	if c.role == asServer { // which is an echo
		go io.Copy(io.Discard, p)
		all(t,
			func() error { return send("us", ours, sent) },
			func() error { return receive("us", ours, sent) },
		)
	} else {
		// Of what it cannot send in one record, gnutls-cli sends the beginning.
		returned := fromThem()[:limit/2]
		all(t,
			func() error { return send("us", ours, sent) },
			func() error { return send("the peer", p, returned) },
			func() error { return receive("us", ours, returned) },
			func() error { return receive("the peer", p, sent) },
		)
	}
	// What the limit counts is the content and its type.
	if in, out := tap.largest(); max(in, out) > limit+protection || out < limit {
		t.Errorf("the largest records are of %d bytes (in) and %d bytes (out), want at most %d", in, out, limit+protection)
	}
}

// tryGnuTLSWrongPin checks that we turn away a peer whose raw key is not the one
// that we know.
func tryGnuTLSWrongPin(t *testing.T, c cell) {
	us, _ := c.identities(t)
	cfg := c.ours(t)
	cfg.Peers = mayfly.MustParsePins(us.pin)
	cfg.AllowSelf = true
	_, conn := c.gnutls(t)
	ours := mayfly.Client(conn, cfg)
	if c.role == asClient {
		ours = mayfly.Server(conn, cfg)
	}
	defer ours.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := ours.HandshakeContext(ctx); !errors.Is(err, mayfly.ErrPeerRefused) {
		t.Errorf("the handshake: %v, want ErrPeerRefused", err)
	}
}

// checkGnuTLS compares what GnuTLS says of a session with what the cell asks for.
func (c cell) checkGnuTLS(t *testing.T, said string) {
	t.Helper()
	_, rest, _ := strings.Cut(said, "- Description: ")
	description, _, _ := strings.Cut(rest, "\n")
	group := strings.TrimPrefix(gnutlsGroup[c.group], "GROUP-") + ")"
	if c.auth.server == plainPSK {
		group = "" // it describes no more of such a session
		if !strings.Contains(said, "- PSK authentication. Connected as '"+pskIdentity+"'") {
			t.Error("GnuTLS does not say who we are by our key")
		}
	}
	for _, want := range []string{group, "(" + gnutlsCipher[c.suite] + ")"} {
		if !strings.Contains(description, want) {
			t.Errorf("GnuTLS describes the session as %q, without %q", description, want)
		}
	}
}

// gnutls starts gnutls-cli or gnutls-serv and returns our end of the connection.
func (c cell) gnutls(t *testing.T, more ...string) (*program, net.Conn) {
	t.Helper()
	args := append(c.gnutlsArgs(t), more...)
	if c.role == asClient {
		return startClient(t, gnutlsProbe().path, func(port string) []string {
			return append(args, "--port", port, "127.0.0.1")
		})
	}
	path := strings.TrimSuffix(gnutlsProbe().path, "-cli") + "-serv"
	return startServer(t, path, func(port string) []string {
		return append(args, "--port", port)
	})
}

func (c cell) gnutlsArgs(t *testing.T) []string {
	_, them := c.identities(t)
	args := []string{"--priority", c.gnutlsPriority()}
	if c.alpn != "" {
		args = append(args, "--alpn", "not/this", "--alpn", c.alpn)
	}
	shows, sees := c.auth.client, c.auth.server
	if c.role == asServer {
		shows, sees = sees, shows
	}
	switch shows {
	case certificate:
		args = append(args, "--x509certfile", them.certFile, "--x509keyfile", them.keyFile)
	case rawKey:
		args = append(args, "--rawpkkeyfile", them.keyFile, "--rawpkfile", them.spkiFile)
	case plainPSK:
		args = append(args, c.gnutlsPSK(t)...)
	}
	if sees == certificate {
		args = append(args, "--x509cafile", keys.caFile)
	}
	if c.role == asClient {
		args = append(args, "--sni-hostname", serverName, "--verify-hostname", serverName)
		if c.retry {
			args = append(args, "--single-key-share")
		}
		if sees == rawKey {
			args = append(args, "--insecure") // it has no way to say which key is right
		}
		return args
	}
	args = append(args, "--echo")
	switch sees {
	case nothing, plainPSK:
		args = append(args, "--disable-client-cert")
	case certificate:
		args = append(args, "--require-client-cert", "--verify-client-cert")
	case rawKey:
		args = append(args, "--require-client-cert")
	}
	return args
}

// gnutlsPriority is the priority string that leaves GnuTLS no choice.
func (c cell) gnutlsPriority() string {
	words := []string{"NORMAL", "-VERS-ALL", "+VERS-TLS1.3", "-CIPHER-ALL", "+" + gnutlsCipher[c.suite], "-GROUP-ALL"}
	for _, g := range c.theirGroups() {
		words = append(words, "+"+gnutlsGroup[g])
	}
	if c.auth.server == plainPSK {
		return strings.Join(append(words, "-KX-ALL", "+ECDHE-PSK", "+DHE-PSK"), ":")
	}
	words = append(words, "-CTYPE-ALL")
	words = append(words, "+CTYPE-SRV-"+gnutlsType(c.auth.server), "+CTYPE-CLI-"+gnutlsType(c.auth.client))
	return strings.Join(words, ":")
}

func gnutlsType(kind credential) string {
	if kind == rawKey {
		return "RAWPK"
	}
	return "X509"
}
