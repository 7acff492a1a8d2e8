// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

const wolfssl = "wolfSSL"

var wolfsslProbe = sync.OnceValue(probeWolfSSL)

// probeWolfSSL builds the peer with the library that is installed.
func probeWolfSSL() *probe {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	path := filepath.Join(keys.dir, "wolfssl peer")
	if err := compile(ctx, path, "testdata/wolfssl.c", "-lwolfssl"); err != nil {
		return &probe{missing: fmt.Sprintf("%s cannot be built: %v", wolfssl, err)}
	}
	return &probe{path: path, version: "installed"}
}

// TestWolfSSL talks to wolfSSL.
func TestWolfSSL(t *testing.T) {
	t.Parallel()
	p := wolfsslProbe()
	p.require(t, wolfssl)
	t.Run("certificates", func(t *testing.T) {
		t.Parallel()
		e := startEchoer(t, wolfssl, p.path)
		t.Logf("%s: %s", wolfssl, e.said)
		everyCell(wolfssl, []authentication{x509Server, x509Mutual, rawServer, rawMutual}, wolfsslLacks, func(c cell) {
			if c.role == asClient && c.group == tls.X25519 {
				c.retry, c.with = true, "HelloRetryRequest" // its first share is of secp256r1
			}
			e.run(t, c)
		})
		for _, r := range []role{asClient, asServer} {
			c := wolfsslCell(r)
			c.auth = x509Mutual
			for _, c.key = range []keyKind{ecdsaP384, ecdsaP521, edwards, rsaPSS} {
				e.run(t, c)
			}
			c.key, c.with, c.alpn = ecdsaP256, "ALPN", "interop/1"
			e.run(t, c)
			c.with, c.alpn = "our key updates", ""
			for _, c.suite = range suites {
				e.runWith(t, c, e.tryOurKeyUpdates)
			}
		}
	})
	t.Run("its-key-updates", func(t *testing.T) {
		t.Parallel()
		e := startEchoer(t, wolfssl, p.path, "rekey")
		for _, r := range []role{asClient, asServer} {
			c := wolfsslCell(r)
			c.with = itsKeyUpdates
			for _, c.suite = range suites {
				e.run(t, c)
			}
		}
	})
	t.Run("sessions", func(t *testing.T) {
		t.Parallel()
		sessionCells(wolfssl, func(c cell) {
			c.group = tls.CurveP256
			e := startEchoer(t, wolfssl, p.path, "resume")
			e.runWith(t, c, e.tryResume)
		})
	})
}

func wolfsslCell(r role) cell {
	return cell{peer: wolfssl, role: r, suite: suites[0], group: tls.CurveP256, auth: x509Server, key: ecdsaP256}
}

// wolfsslLacks says what Debian's build of wolfSSL cannot do.
func wolfsslLacks(auth authentication, group tls.CurveID) string {
	switch {
	case auth.server == rawKey || auth.client == rawKey:
		return "wolfSSL of this build has no raw public keys"
	case group == tls.X25519MLKEM768:
		return "wolfSSL of this build has no X25519MLKEM768"
	}
	return ""
}

// tryOurKeyUpdates changes our keys in the midst of bulk data.
func (e *echoer) tryOurKeyUpdates(t *testing.T, c cell) {
	cfg := c.ours(t)
	rekeyOften(cfg, bulk/10)
	rekeys := watchRekeys(cfg)
	ours, tap := openWith(t, c, cfg, e.connect(t, c))
	c.check(t, ours, tap)
	if err := ours.Rekey(t.Context()); err != nil {
		t.Fatalf("Rekey: %v", err)
	}
	exchangeEcho(t, ours)
	if own, its := rekeys.of(mayfly.RekeyBytes), rekeys.of(mayfly.RekeyPeer); own < 8 || its < 1 {
		t.Errorf("we changed our keys %d times among the data, and the peer its own %d times", own, its)
	}
	e.expect(t, "ok")
}
