// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// itsKeyUpdates is in the names of rows in which the other program changes its keys of
// itself.
const itsKeyUpdates = "its key updates"

// An echoer is a process of another program that returns what it gets, over one
// connection after the other, as it is asked for: see testdata/Peer.java.
type echoer struct {
	*program
	peer string
	said string // behind its first word
	out  *bufio.Scanner
	busy bool // with a connection that was asked for
}

func startEchoer(t *testing.T, peer, path string, args ...string) *echoer {
	t.Helper()
	p := startWithin(t, 4*patience, path, args...)
	e := &echoer{program: p, peer: peer, out: bufio.NewScanner(p)}
	e.said = e.expect(t, "ready")
	return e
}

// expect reads the program's next line, which must begin with a word, and returns
// the rest.
func (e *echoer) expect(t *testing.T, word string) string {
	t.Helper()
	if !e.out.Scan() {
		t.Fatalf("%s has ended: %v", e.peer, e.out.Err())
	}
	first, rest, _ := strings.Cut(e.out.Text(), " ")
	e.busy = e.busy && first == "port"
	if first != word {
		t.Fatalf("%s says %q, and not %q", e.peer, e.out.Text(), word)
	}
	return strings.TrimSpace(rest)
}

// run tries a cell. It is not parallel to others on the same program.
func (e *echoer) run(t *testing.T, c cell) { e.runWith(t, c, e.try) }

func (e *echoer) runWith(t *testing.T, c cell, try func(*testing.T, cell)) {
	t.Run(c.name(), func(t *testing.T) {
		matrix.record(t, c)
		t.Cleanup(func() {
			for e.busy && e.out.Scan() { // a connection that failed
				first, _, _ := strings.Cut(e.out.Text(), " ")
				e.busy = first == "port"
			}
			if t.Failed() {
				t.Logf("%s:\n%s", e.peer, e.stderr)
			}
		})
		try(t, c)
	})
}

// connect has the program make its end of a cell's connection, and returns ours.
func (e *echoer) connect(t *testing.T, c cell) net.Conn {
	t.Helper()
	return e.connector(t, c)(t)
}

// connector returns what connects again and again: a client to the same port.
func (e *echoer) connector(t *testing.T, c cell) func(*testing.T) net.Conn {
	t.Helper()
	if c.role == asServer {
		return func(t *testing.T) net.Conn {
			t.Helper()
			e.ask(t, c, "0")
			inner, err := net.Dial("tcp", net.JoinHostPort(loopback4, e.expect(t, "port")))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { inner.Close() }) // before the program is asked what it thinks of it
			return inner
		}
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(loopback4, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return func(t *testing.T) net.Conn {
		t.Helper()
		ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
		e.ask(t, c, port)
		inner, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { inner.Close() })
		return inner
	}
}

func (e *echoer) try(t *testing.T, c cell) {
	cfg := c.ours(t)
	rekeys := watchRekeys(cfg)
	ours, tap := openWith(t, c, cfg, e.connect(t, c))
	c.check(t, ours, tap)
	exchangeEcho(t, ours)
	if got, want := e.expect(t, "ok"), tls.CipherSuiteName(c.suite)+" "+c.alpn; got != strings.TrimSpace(want) {
		t.Errorf("%s says %q, want %q", e.peer, got, want)
	}
	if changed := rekeys.of(mayfly.RekeyPeer) > 2; changed != strings.Contains(c.with, itsKeyUpdates) {
		t.Errorf("%s changed its keys %d times, asked us %d times to do so",
			e.peer, rekeys.of(mayfly.RekeyPeer), rekeys.of(mayfly.RekeyOwed))
	}
}

// ask asks the program for the connection of a cell.
func (e *echoer) ask(t *testing.T, c cell, port string) {
	t.Helper()
	us, them := c.identities(t)
	shows, sees := c.auth.client, c.auth.server
	if c.role == asServer {
		shows, sees = sees, shows
	}
	cert, key, algorithm := "", "", ""
	if shows != nothing {
		cert, key = them.certFile, them.keyFile
		algorithm = map[keyKind]string{edwards: "EdDSA", rsaPSS: "RSA"}[c.key]
		if algorithm == "" {
			algorithm = "EC"
		}
	}
	if shows == rawKey {
		cert = them.spkiFile
	}
	authority := keys.caFile
	if sees == rawKey {
		authority = us.spkiFile
	}
	mutual := fmt.Sprint(c.auth.client != nothing)
	fields := []string{string(c.role), port, tls.CipherSuiteName(c.suite), c.alpn, mutual, cert, key, algorithm, authority}
	if err := e.say(strings.Join(fields, "\t")); err != nil {
		t.Fatal(err)
	}
	e.busy = true
}

// tryWrongPin waits for another key than that which the program has.
func (e *echoer) tryWrongPin(t *testing.T, c cell) {
	cfg := c.ours(t)
	us, _ := c.identities(t)
	cfg.Peers = mayfly.MustParsePins(us.pin)
	if err := c.handshake(e.connect(t, c), cfg); !errors.Is(err, mayfly.ErrPeerRefused) {
		t.Errorf("our handshake: %v", err)
	}
	e.expect(t, "failed")
}

// tryWrongKey shows another key than that which the program waits for.
func (e *echoer) tryWrongKey(t *testing.T, c cell) {
	cfg := c.ours(t)
	var err error
	if cfg.Identity, err = mayfly.GenerateIdentity(); err != nil {
		t.Fatal(err)
	}
	err = c.handshake(e.connect(t, c), cfg)
	var alert *mayfly.AlertError
	if !errors.As(err, &alert) || !alert.Remote {
		t.Errorf("our handshake: %v", err)
	}
	e.expect(t, "failed")
}

// handshake makes our end of a connection that is to fail, and reads its end: a client
// is done before the server has judged it.
func (c cell) handshake(inner net.Conn, cfg *mayfly.Config) error {
	conn := mayfly.Client(inner, cfg)
	if c.role == asClient {
		conn = mayfly.Server(inner, cfg)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if err := conn.Handshake(); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	return err
}
