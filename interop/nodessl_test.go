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

// nodeSSL is the OpenSSL in Node.js, which is newer than that of most distributions.
const nodeSSL = "OpenSSL in Node.js"

var nodeSSLProbe = sync.OnceValue(probeNodeSSL)

// probeNodeSSL asks for the version of that OpenSSL. Where Node.js was installed without
// koffi beside it, there is no such peer, required or not: no distribution's packages
// have it.
func probeNodeSSL() *probe {
	p := lookFor("node", "testdata/openssl.mjs", "version")
	if p.missing != "" {
		return &probe{missing: nodeSSL + ": there is no Node.js with koffi beside it"}
	}
	p.version = strings.TrimPrefix(p.version, "OpenSSL ")
	return p
}

// TestNodeSSL talks to that OpenSSL, by raw public keys, too.
func TestNodeSSL(t *testing.T) {
	t.Parallel()
	p := nodeSSLProbe()
	if p.missing != "" {
		t.Skip(p.missing)
	}
	t.Logf("%s: %s", nodeSSL, p.version)
	e := startEchoer(t, nodeSSL, p.path, "testdata/openssl.mjs")
	lacks := func(_ authentication, group tls.CurveID) string {
		if group == tls.X25519MLKEM768 && !atLeast(p.version, 3, 5, 0) {
			return nodeSSL + " is " + p.version + ", without X25519MLKEM768 (3.5 has it)"
		}
		return ""
	}
	everyCell(nodeSSL, []authentication{x509Server, x509Mutual, rawServer, rawMutual}, lacks, func(c cell) {
		if c.role == asClient && c.group == tls.CurveP256 {
			c.retry, c.with = true, "HelloRetryRequest" // its shares are of the others
		}
		e.run(t, c)
	})
	for _, r := range []role{asClient, asServer} {
		c := cell{peer: nodeSSL, role: r, suite: suites[0], group: tls.X25519, auth: rawMutual}
		for _, c.key = range []keyKind{ecdsaP384, ecdsaP521, edwards, rsaPSS} {
			e.run(t, c)
		}
		c.key = ecdsaP256
		for _, c.auth = range []authentication{rawThenX509, x509ThenRaw} {
			e.run(t, c)
		}
		c.auth, c.with = rawMutual, "another pin: refused"
		e.runWith(t, c, e.tryWrongPin)
		c.with = "another key: refused"
		e.runWith(t, c, e.tryWrongKey)
	}
}
