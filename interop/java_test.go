// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"crypto/tls"
	"strings"
	"testing"
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
		lacks := func(auth authentication, group tls.CurveID) string { return javaLacks(j.said, auth, group) }
		everyCell(java, []authentication{x509Server, x509Mutual, rawServer, rawMutual}, lacks, func(c cell) {
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
	t.Run("sessions", func(t *testing.T) {
		t.Parallel()
		j := startJava(t, nil, nil)
		sessionCells(java, func(c cell) { j.runWith(t, c, j.tryResume) })
	})
	t.Run("empty-session-ID", func(t *testing.T) {
		t.Parallel()
		j := startJava(t, []string{"-Djdk.tls.client.useCompatibilityMode=false"}, nil)
		for _, suite := range suites {
			c := cell{peer: java, role: asClient, suite: suite, group: tls.X25519, auth: x509Server, key: ecdsaP256, with: emptySessionID}
			j.runWith(t, c, j.tryResume)
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
					retry: true, with: "HelloRetryRequest, " + itsKeyUpdates,
				})
			}
		}
	})
}

// javaLacks says why JSSE cannot do a part of the matrix: groups are those that it names.
func javaLacks(groups string, auth authentication, group tls.CurveID) string {
	switch {
	case auth.server == rawKey || auth.client == rawKey:
		return "JSSE has no raw public keys"
	case group == tls.X25519MLKEM768 && !strings.Contains(groups, "X25519MLKEM768"):
		return "JSSE of this version names no X25519MLKEM768"
	}
	return ""
}

// startJava starts one Java process.
func startJava(t *testing.T, options, args []string) *echoer {
	t.Helper()
	// It starts faster without its best compiler, which it would not come to use.
	all := append([]string{"-XX:+UseSerialGC", "-Xshare:auto"}, options...)
	all = append(append(all, "testdata/Peer.java"), args...)
	return startEchoer(t, java, javaProbe().path, all...)
}
