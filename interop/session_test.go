// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// earlyText is what is sent as early data.
const earlyText = "sent before the handshake was done\n"

// resumable is our side's Config with what sessions need: a client keeps them, a
// server gives tickets, for early data too.
func (c cell) resumable(t *testing.T) *mayfly.Config {
	cfg := c.ours(t)
	if c.role == asServer {
		cfg.Sessions = mayfly.NewSessionCache(0)
		return cfg
	}
	cfg.TicketKeys = mayfly.NewTicketRing(mayfly.GenerateSealingKey())
	cfg.MaxEarlyData, cfg.Replay = 16384, mayfly.NewReplayGuard(0)
	return cfg
}

// checkResumed checks whether our side has resumed a session.
func checkResumed(t *testing.T, ours *mayfly.Conn, want bool) {
	t.Helper()
	if got := ours.ConnectionState().DidResume; got != want {
		t.Fatalf("resumed: %v, want %v", got, want)
	}
}

// sessionCells are the cells in which sessions are resumed.
func sessionCells(peer string, visit func(cell)) {
	for _, r := range []role{asClient, asServer} {
		for _, auth := range []authentication{x509Server, x509Mutual} {
			for _, suite := range suites {
				visit(cell{peer: peer, role: r, suite: suite, group: tls.X25519, auth: auth, key: ecdsaP256, with: "resumption"})
			}
		}
	}
}

// emptySessionID is what rows are called whose client sends no legacy_session_id, which
// leaves it to the server whether a change_cipher_spec comes (RFC 9846, Appendix E.4).
const emptySessionID = "resumption, empty session ID"

// tryResume makes three connections, of which the later ones resume.
func (e *echoer) tryResume(t *testing.T, c cell) {
	cfg, connect := c.resumable(t), e.connector(t, c)
	for n := range 3 {
		ours, tap := openWith(t, c, cfg, connect(t))
		c.check(t, ours, tap)
		checkResumed(t, ours, n > 0)
		if c.with == emptySessionID && (!tap.emptySessionID() || !tap.sentChangeCipherSpec()) {
			t.Errorf("the ClientHello's session ID is empty: %v; a change_cipher_spec of ours: %v", tap.emptySessionID(), tap.sentChangeCipherSpec())
		}
		exchangeEcho(t, ours)
		if got := e.expect(t, "ok"); got != tls.CipherSuiteName(c.suite) {
			t.Errorf("%s says %q", e.peer, got)
		}
	}
}

// TestResumeCryptoTLS resumes with crypto/tls.
func TestResumeCryptoTLS(t *testing.T) {
	t.Parallel()
	sessionCells("crypto/tls", func(c cell) { c.run(t, tryResumeCryptoTLS) })
}

func tryResumeCryptoTLS(t *testing.T, c cell) {
	cfg, theirs := c.resumable(t), c.cryptoTLS(t)
	theirs.SessionTicketsDisabled = false
	theirs.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	for n := range 3 {
		here, there := loopback(t)
		wait := startCryptoTLSWith(t, c, theirs, there)
		ours, tap := openWith(t, c, cfg, here)
		peer := wait(t)
		c.check(t, ours, tap)
		checkResumed(t, ours, n > 0)
		if peer.ConnectionState().DidResume != (n > 0) {
			t.Errorf("connection %d: the peer has resumed: %v", n, n == 0)
		}
		exchange(t, ours, peer, bulk/10, false)
	}
}

// TestResumeOpenSSL resumes with s_client and s_server, with early data too.
func TestResumeOpenSSL(t *testing.T) {
	t.Parallel()
	opensslProbe().require(t, openssl)
	sessionCells(openssl, func(c cell) {
		if c.role == asServer {
			c.run(t, tryResumeOpenSSLServer)
			c.with = "early data"
			c.run(t, tryEarlyOpenSSLServer)
			return
		}
		c.run(t, tryResumeOpenSSLClient)
		c.with = "early data"
		c.run(t, tryEarlyOpenSSLClient)
	})
}

func tryResumeOpenSSLClient(t *testing.T, c cell) {
	cfg, session := c.resumable(t), filepath.Join(t.TempDir(), "session")
	for n := range 3 {
		more := append([]string{"-sess_out", session}, opensslQuiet[c.role]...)
		if n > 0 {
			more = append(more, "-sess_in", session)
		}
		p, conn := c.openssl(t, more...)
		ours, tap := openWith(t, c, cfg, conn)
		c.check(t, ours, tap)
		checkResumed(t, ours, n > 0)
		exchange(t, ours, p, bulk/10, true)
	}
}

func tryEarlyOpenSSLClient(t *testing.T, c cell) {
	cfg, dir := c.resumable(t), t.TempDir()
	session, early := filepath.Join(dir, "session"), filepath.Join(dir, "early")
	if err := os.WriteFile(early, []byte(earlyText), 0o600); err != nil {
		t.Fatal(err)
	}
	p, conn := c.openssl(t, append([]string{"-sess_out", session}, opensslQuiet[c.role]...)...)
	ours, _ := openWith(t, c, cfg, conn)
	exchange(t, ours, p, bulk/10, true)

	log, ourLog := filepath.Join(dir, "keys"), new(syncBuffer)
	cfg.KeyLogWriter = ourLog
	p, conn = c.openssl(t, append([]string{"-sess_in", session, "-early_data", early, "-keylogfile", log}, opensslQuiet[c.role]...)...)
	tap := tapped(conn)
	ours = mayfly.Server(tap, cfg)
	t.Cleanup(func() { ours.Close() })
	ours.SetDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(earlyReader{ours})
	if err != nil || string(got) != earlyText {
		t.Fatalf("early data: %q, %v", got, err)
	}
	if err := ours.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.check(t, ours, tap)
	checkResumed(t, ours, true)
	exchange(t, ours, p, bulk/10, true)
	theirLog, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	all := append([]string{"CLIENT_EARLY_TRAFFIC_SECRET", "EARLY_EXPORTER_SECRET"}, keyLogLabels...)
	compareKeyLogs(t, ourLog.Bytes(), theirLog, all, all)
}

// earlyReader reads a connection's early data.
type earlyReader struct{ *mayfly.Conn }

func (r earlyReader) Read(p []byte) (int, error) { return r.ReadEarly(p) }

// tryResumeOpenSSLServer connects to one s_server several times: it echoes in lines
// that are turned round, and its own input closes a connection.
func tryResumeOpenSSLServer(t *testing.T, c cell) {
	cfg := c.resumable(t)
	_, dial := c.opensslServer(t, "-rev")
	for n := range 3 {
		tap := tapped(dial())
		ours := mayfly.Client(tap, cfg)
		t.Cleanup(func() { ours.Close() })
		handshake(t, ours, nil)
		c.check(t, ours, tap)
		checkResumed(t, ours, n > 0)
		reverse(t, ours)
	}
}

// tryEarlyOpenSSLServer finds early data, and what comes after it, among what an
// s_server prints.
func tryEarlyOpenSSLServer(t *testing.T, c cell) {
	cfg := c.resumable(t)
	p, dial := c.opensslServer(t, "-early_data", "-max_early_data", "16384")
	said := new(tail)
	go io.Copy(said, p)
	for n := range 3 {
		tap := tapped(dial())
		ours := mayfly.Client(tap, cfg)
		t.Cleanup(func() { ours.Close() })
		if accepted := handshake(t, ours, []byte(earlyText)); accepted != (n > 0) {
			t.Errorf("connection %d: early data accepted: %v", n, accepted)
		}
		c.check(t, ours, tap)
		checkResumed(t, ours, n > 0)
		ours.SetDeadline(time.Now().Add(patience))
		if _, err := ours.Write([]byte("sent afterwards\n")); err != nil {
			t.Fatal(err)
		}
		if err := ours.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		expectEOF(t, "us", ours)
		done := func() bool { return said.count(earlyText) == n && said.count("sent afterwards\n") == n+1 }
		if err := p.until(done); err != nil {
			t.Fatalf("%v: s_server printed\n%s", err, said)
		}
	}
}

// handshake sends early data, if there is any, and says whether it was accepted.
func handshake(t *testing.T, ours *mayfly.Conn, early []byte) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	accepted, err := ours.HandshakeEarly(ctx, early)
	if err != nil {
		t.Fatalf("our handshake: %v", err)
	}
	return accepted
}

// opensslServer starts an s_server, and returns what connects to it.
func (c cell) opensslServer(t *testing.T, more ...string) (p *program, dial func() net.Conn) {
	t.Helper()
	var port string
	args := append(c.opensslArgs(t), more...)
	p, first := startServer(t, opensslProbe().path, func(p string) []string {
		port = p
		return append([]string{"s_server", "-accept", "127.0.0.1:" + p}, args...)
	})
	return p, func() net.Conn {
		if first != nil {
			conn := first
			first = nil
			return conn
		}
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
}

// reverse has a line turned round, which comes after the server's tickets.
func reverse(t *testing.T, ours *mayfly.Conn) {
	t.Helper()
	ours.SetDeadline(time.Now().Add(patience))
	if _, err := ours.Write([]byte("stressed\n")); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for !strings.Contains(got.String(), "desserts\n") { // behind early data, turned round too
		p := make([]byte, 100)
		n, err := ours.Read(p)
		if got.Write(p[:n]); err != nil {
			t.Fatalf("read %q, %v", got.String(), err)
		}
	}
	if err := ours.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, ours); err != nil && !errors.Is(err, mayfly.ErrTruncated) {
		t.Fatal(err)
	}
}
