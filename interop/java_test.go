// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

const java = "java"

// TestJava talks to Java's JSSE, by way of a program in one file. Starting Java
// takes long, so that one process serves many connections, one by one.
func TestJava(t *testing.T) {
	t.Parallel()
	javaProbe().require(t, java)
	t.Run("both-shares", func(t *testing.T) {
		// X25519 and secp256r1: it sends a share for each.
		t.Parallel()
		j := startJava(t, nil, nil)
		everyCell(java, []authentication{x509Server, x509Mutual, rawServer, rawMutual}, javaLacks, func(c cell) {
			j.run(t, c)
		})
		for _, r := range []role{asClient, asServer} {
			c := cell{peer: java, role: r, suite: suites[0], group: tls.X25519, auth: x509Mutual}
			for _, c.key = range []keyKind{ecdsaP384, ecdsaP521, edwards, rsaPSS} {
				j.run(t, c)
			}
			c.key, c.with, c.alpn = ecdsaP256, "ALPN", "interop/1"
			j.run(t, c)
		}
	})
	t.Run("one-share", func(t *testing.T) {
		// Its first share is one that we do not take, and as a server it takes
		// none that we send at first.
		t.Parallel()
		j := startJava(t, []string{"-Djdk.tls.namedGroups=secp384r1,secp256r1"},
			[]string{"AES/GCM/NoPadding KeyUpdate 2^18, ChaCha20-Poly1305 KeyUpdate 2^18"})
		for _, r := range []role{asClient, asServer} {
			for _, suite := range suites {
				j.run(t, cell{
					peer: java, role: r, suite: suite, group: tls.CurveP256, auth: x509Mutual, key: ecdsaP256,
					retry: true, with: "HelloRetryRequest, its key updates",
				})
			}
		}
	})
}

func javaLacks(auth authentication, group tls.CurveID) string {
	switch {
	case auth.server == rawKey || auth.client == rawKey:
		return "JSSE has no raw public keys"
	case group == tls.X25519MLKEM768:
		return "JSSE of this version has no X25519MLKEM768"
	}
	return ""
}

// A jvm is one Java process.
type jvm struct {
	*program
	out  *bufio.Scanner
	busy bool // with a connection that was asked for
}

func startJava(t *testing.T, options, args []string) *jvm {
	t.Helper()
	// It starts faster without its best compiler, which it would not come to use.
	all := append([]string{"-XX:+UseSerialGC", "-Xshare:auto"}, options...)
	all = append(append(all, "testdata/Peer.java"), args...)
	p := startWithin(t, 4*patience, javaProbe().path, all...)
	j := &jvm{program: p, out: bufio.NewScanner(p)}
	j.expect(t, "ready")
	return j
}

// expect reads the next line of Java's, which must begin with a word, and
// returns the rest.
func (j *jvm) expect(t *testing.T, word string) string {
	t.Helper()
	if !j.out.Scan() {
		t.Fatalf("java has ended: %v", j.out.Err())
	}
	first, rest, _ := strings.Cut(j.out.Text(), " ")
	j.busy = j.busy && first == "port"
	if first != word {
		t.Fatalf("java says %q, and not %q", j.out.Text(), word)
	}
	return strings.TrimSpace(rest)
}

// run tries a cell. It is not parallel to others on the same jvm.
func (j *jvm) run(t *testing.T, c cell) {
	t.Run(c.name(), func(t *testing.T) {
		matrix.record(t, c)
		t.Cleanup(func() {
			for j.busy && j.out.Scan() { // a connection that failed
				first, _, _ := strings.Cut(j.out.Text(), " ")
				j.busy = first == "port"
			}
			if t.Failed() {
				t.Logf("java:\n%s", j.stderr)
			}
		})
		j.try(t, c)
	})
}

func (j *jvm) try(t *testing.T, c cell) {
	cfg := c.ours(t)
	rekeys := watchRekeys(cfg)
	var inner net.Conn
	if c.role == asServer {
		j.ask(t, c, "0")
		var err error
		if inner, err = net.Dial("tcp", net.JoinHostPort("127.0.0.1", j.expect(t, "port"))); err != nil {
			t.Fatal(err)
		}
	} else {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		j.ask(t, c, port)
		if inner, err = ln.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { inner.Close() }) // before Java is asked what it thinks of it
	ours, tap := openWith(t, c, cfg, inner)
	c.check(t, ours, tap)
	exchangeEcho(t, ours)
	if got, want := j.expect(t, "ok"), tls.CipherSuiteName(c.suite)+" "+c.alpn; got != strings.TrimSpace(want) {
		t.Errorf("java says %q, want %q", got, want)
	}
	if changed := rekeys.of(mayfly.RekeyPeer) > 2; changed != c.retry {
		t.Errorf("java changed its keys %d times, asked us %d times to do so",
			rekeys.of(mayfly.RekeyPeer), rekeys.of(mayfly.RekeyOwed))
	}
}

// ask asks Java for the connection of a cell.
func (j *jvm) ask(t *testing.T, c cell, port string) {
	t.Helper()
	_, them := c.identities(t)
	cert, key, algorithm := "", "", ""
	if c.role == asServer || c.auth.client == certificate {
		cert, key = them.certFile, them.keyFile
		algorithm = map[keyKind]string{edwards: "EdDSA", rsaPSS: "RSA"}[c.key]
		if algorithm == "" {
			algorithm = "EC"
		}
	}
	mutual := fmt.Sprint(c.auth.client == certificate)
	fields := []string{string(c.role), port, tls.CipherSuiteName(c.suite), c.alpn, mutual, cert, key, algorithm, keys.caFile}
	if err := j.say(strings.Join(fields, "\t")); err != nil {
		t.Fatal(err)
	}
	j.busy = true
}
