// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const rustls = "rustls"

var rustlsProbe = sync.OnceValue(probeRustls)

// probeRustls builds the peer in testdata/rustls, in the user's cache. Where there is no
// cargo, or no registry that it reaches, there is no such peer, required or not: no
// distribution's packages have it.
func probeRustls() *probe {
	p := lookFor("cargo", "--version")
	if p.missing != "" {
		return p
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return &probe{missing: err.Error()}
	}
	target := filepath.Join(cache, "mayfly-interop", "rustls")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, "build", "--quiet", "--release", "--locked", "--manifest-path", "testdata/rustls/Cargo.toml")
	cmd.Env = append(os.Environ(), "CARGO_TARGET_DIR="+target)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return &probe{missing: fmt.Sprintf("rustls cannot be built: %v: %s", err, lastLine(out))}
	}
	lock, err := os.ReadFile("testdata/rustls/Cargo.lock")
	if err != nil {
		return &probe{missing: err.Error()}
	}
	_, version, _ := strings.Cut(string(lock), "name = \"rustls\"\nversion = \"")
	version, _, _ = strings.Cut(version, "\"")
	return &probe{path: filepath.Join(target, "release", "peer"), version: version}
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// TestRustls talks to rustls, on aws-lc.
func TestRustls(t *testing.T) {
	t.Parallel()
	p := rustlsProbe()
	if p.missing != "" {
		t.Skip(p.missing)
	}
	t.Logf("%s: %s", rustls, p.version)
	e := startEchoer(t, rustls, p.path)
	lacks := func(authentication, tls.CurveID) string { return "" }
	everyCell(rustls, []authentication{x509Server, x509Mutual, rawServer, rawMutual}, lacks, func(c cell) {
		if c.role == asClient && c.group == tls.CurveP256 {
			c.retry, c.with = true, "HelloRetryRequest" // its shares are of the others
		}
		e.run(t, c)
	})
	for _, r := range []role{asClient, asServer} {
		c := cell{peer: rustls, role: r, suite: suites[0], group: tls.X25519}
		for _, c.auth = range []authentication{x509Mutual, rawMutual} {
			for _, c.key = range []keyKind{ecdsaP384, ecdsaP521, edwards} {
				e.run(t, c)
			}
		}
		c.key = ecdsaP256
		for _, c.auth = range []authentication{rawThenX509, x509ThenRaw} {
			e.run(t, c)
		}
		c.auth, c.with, c.alpn = x509Mutual, "ALPN", "interop/1"
		e.run(t, c)
		c.auth, c.alpn = rawMutual, ""
		c.with = "another pin: refused"
		e.runWith(t, c, e.tryWrongPin)
		c.with = "another key: refused"
		e.runWith(t, c, e.tryWrongKey)
	}
}
