// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"crypto/tls"
	"strings"
	"sync"
	"testing"
)

const (
	node   = "Node.js"
	python = "Python"
)

var (
	nodeProbe   = sync.OnceValue(func() *probe { return probeScript("node", "process.versions.openssl", "-p") })
	pythonProbe = sync.OnceValue(func() *probe { return probeScript("python3", "import ssl; print(ssl.OPENSSL_VERSION)", "-c") })
)

// probeScript asks an interpreter for the version of the OpenSSL in it, by an
// expression behind an option.
func probeScript(name, expression, option string) *probe {
	p := lookFor(name, option, expression)
	if p.missing == "" {
		p.version = strings.TrimPrefix(p.version, "OpenSSL ")
	}
	return p
}

// TestNode talks to Node.js.
func TestNode(t *testing.T) {
	t.Parallel()
	nodeProbe().require(t, node)
	tryScript(t, node, nodeProbe(), "testdata/peer.mjs")
}

// TestPython talks to Python's ssl.
func TestPython(t *testing.T) {
	t.Parallel()
	pythonProbe().require(t, python)
	tryScript(t, python, pythonProbe(), "testdata/peer.py")
}

func tryScript(t *testing.T, peer string, p *probe, file string) {
	e := startEchoer(t, peer, p.path, file)
	lacks := func(auth authentication, group tls.CurveID) string { return scriptLacks(peer, p, auth, group) }
	everyCell(peer, []authentication{x509Server, x509Mutual, rawServer, rawMutual}, lacks, func(c cell) {
		if c.role == asClient && c.group == tls.CurveP256 {
			c.retry, c.with = true, "HelloRetryRequest" // its first share is of X25519
		}
		e.run(t, c)
	})
	for _, r := range []role{asClient, asServer} {
		c := cell{peer: peer, role: r, suite: suites[0], group: tls.X25519, auth: x509Mutual}
		for _, c.key = range []keyKind{ecdsaP384, ecdsaP521, edwards, rsaPSS} {
			e.run(t, c)
		}
		c.key, c.with, c.alpn = ecdsaP256, "ALPN", "interop/1"
		e.run(t, c)
	}
}

func scriptLacks(peer string, p *probe, auth authentication, group tls.CurveID) string {
	switch {
	case auth.server == rawKey || auth.client == rawKey:
		return peer + " has no raw public keys"
	case group == tls.X25519MLKEM768 && !atLeast(p.version, 3, 5, 0):
		return peer + " with OpenSSL " + p.version + " has no X25519MLKEM768 (3.5 has)"
	}
	return ""
}
