// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
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

// tryWrongPin waits for another key than that which rustls has.
func (e *echoer) tryWrongPin(t *testing.T, c cell) {
	cfg := c.ours(t)
	us, _ := c.identities(t)
	cfg.Peers = mayfly.Pins(us.pin)
	if err := c.handshake(e.connect(t, c), cfg); !errors.Is(err, mayfly.ErrPeerRefused) {
		t.Errorf("our handshake: %v", err)
	}
	e.expect(t, "failed")
}

// tryWrongKey shows another key than that which rustls waits for.
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
