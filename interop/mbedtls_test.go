// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

const mbedtls = "Mbed TLS"

var mbedtlsProbe = sync.OnceValue(probeMbedTLS)

// The crate that has the library's source in it, the SHA-256 of its file, and the
// library's release. Debian's packages are of a release without TLS 1.3.
const (
	mbedtlsCrate    = "mbedtls-rs-sys-0.3.1"
	mbedtlsChecksum = "ed3d6fe75492994df511a63da8de669a0c59938ada3345e3d4756aec095d2ffb"
	mbedtlsRelease  = "3.6.5"
)

func probeMbedTLS() *probe {
	path, err := buildMbedTLS()
	if err != nil {
		return &probe{missing: fmt.Sprintf("%s cannot be built: %v", mbedtls, err)}
	}
	return &probe{path: path, version: mbedtlsRelease}
}

// buildMbedTLS builds the peer and the library in the user's cache, once for each version
// of their sources.
func buildMbedTLS() (path string, err error) {
	const source = "testdata/mbedtls.c"
	sum := sha256.New()
	for _, file := range []string{source, "testdata/peer.h"} {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "mayfly-interop")
	path = filepath.Join(cache, fmt.Sprintf("mbedtls-%s-%x", mbedtlsRelease, sum.Sum(nil)[:8]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(cache, "mbedtls")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := mbedtlsSource(ctx, dir); err != nil {
		return "", err
	}
	sources, err := filepath.Glob(filepath.Join(dir, "library", "*.c"))
	if err != nil {
		return "", err
	}
	built := filepath.Join(dir, "peer")
	if err := compile(ctx, built, source, append([]string{"-I" + filepath.Join(dir, "include")}, sources...)...); err != nil {
		return "", err
	}
	return path, os.Rename(built, path)
}

// mbedtlsSource has cargo get the crate, and unpacks the library in it.
func mbedtlsSource(ctx context.Context, dir string) error {
	name, version, _ := strings.Cut(mbedtlsCrate, "-sys-")
	cmd := exec.CommandContext(ctx, "cargo", "info", "--quiet", name+"-sys@"+version)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cargo, 1.82 or later: %w: %s", err, lastLine(out))
	}
	home := os.Getenv("CARGO_HOME")
	if home == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return err
		}
		home = filepath.Join(user, ".cargo")
	}
	found, err := filepath.Glob(filepath.Join(home, "registry", "cache", "*", mbedtlsCrate+".crate"))
	if err != nil || len(found) == 0 {
		return fmt.Errorf("cargo left no %s.crate in %s", mbedtlsCrate, home)
	}
	crate, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(crate); hex.EncodeToString(sum[:]) != mbedtlsChecksum {
		return fmt.Errorf("%s has the SHA-256 %x", found[0], sum)
	}
	return unpack(dir, crate, mbedtlsCrate+"/mbedtls/")
}

// unpack writes the include and library folders that are below prefix in a tar file.
func unpack(dir string, compressed []byte, prefix string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	z, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return err
	}
	for files := tar.NewReader(z); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(header.Name, prefix)
		if !ok || header.Typeflag != tar.TypeReg || !strings.HasPrefix(name, "include/") && !strings.HasPrefix(name, "library/") {
			continue
		}
		text, err := io.ReadAll(files)
		if err != nil {
			return err
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, text, 0o644); err != nil {
			return err
		}
	}
}

// TestMbedTLS talks to Mbed TLS, which ends a connection at the first KeyUpdate.
func TestMbedTLS(t *testing.T) {
	t.Parallel()
	p := mbedtlsProbe()
	p.require(t, mbedtls)
	t.Run("certificates", func(t *testing.T) {
		t.Parallel()
		e := startEchoer(t, mbedtls, p.path)
		everyCell(mbedtls, []authentication{x509Server, x509Mutual, rawServer, rawMutual}, mbedtlsLacks, func(c cell) {
			if c.role == asClient && c.group == tls.CurveP256 {
				c.retry, c.with = true, "HelloRetryRequest" // its first share is of X25519
			}
			e.run(t, c)
		})
		for _, r := range []role{asClient, asServer} {
			c := mbedtlsCell(r)
			c.auth = x509Mutual
			for _, c.key = range []keyKind{ecdsaP384, ecdsaP521, rsaPSS} {
				e.run(t, c)
			}
			c.key, c.with, c.alpn = ecdsaP256, "ALPN", "interop/1"
			e.run(t, c)
			c.with, c.alpn = "our key updates: refused", ""
			e.runWith(t, c, e.tryRefusedKeyUpdate)
			c.with = "no automatic rekeying"
			e.runWith(t, c, e.tryWithoutRekeys)
		}
	})
	t.Run("ephemeral", func(t *testing.T) {
		t.Parallel()
		e := startEchoer(t, mbedtls, p.path, "ephemeral")
		for _, r := range []role{asClient, asServer} {
			c := mbedtlsCell(r)
			c.with = "no PSK modes"
			for _, c.suite = range suites {
				e.run(t, c)
			}
		}
	})
	t.Run("psk", func(t *testing.T) {
		t.Parallel()
		e := startEchoer(t, mbedtls, p.path, "psk", pskHex, pskIdentity)
		everyPSKCell(mbedtls, mbedtlsLacks, func(c cell) {
			if c.retry = c.role == asClient && c.group == tls.CurveP256; c.retry {
				c.with = "HelloRetryRequest"
			} else if c.with != "" {
				return
			}
			e.run(t, c)
		})
	})
	t.Run("sessions", func(t *testing.T) {
		t.Parallel()
		sessionCells(mbedtls, func(c cell) {
			e := startEchoer(t, mbedtls, p.path, "resume")
			e.runWith(t, c, e.tryResume)
		})
	})
}

func mbedtlsCell(r role) cell {
	return cell{peer: mbedtls, role: r, suite: suites[0], group: tls.X25519, auth: x509Server, key: ecdsaP256}
}

func mbedtlsLacks(auth authentication, group tls.CurveID) string {
	switch {
	case auth.server == rawKey || auth.client == rawKey:
		return "Mbed TLS has no raw public keys"
	case group == tls.X25519MLKEM768:
		return "Mbed TLS has no X25519MLKEM768"
	}
	return ""
}

// tryRefusedKeyUpdate changes our keys by the policy, which ends the connection.
func (e *echoer) tryRefusedKeyUpdate(t *testing.T, c cell) {
	cfg := c.ours(t)
	rekeyOften(cfg, bulk/4)
	ours, tap := openWith(t, c, cfg, e.connect(t, c))
	c.check(t, ours, tap)
	ours.SetDeadline(time.Now().Add(patience))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		ours.Write(fromUs()) // as much as the transport takes
	}()
	if n, err := io.Copy(io.Discard, ours); err == nil || n > bulk/2 {
		t.Errorf("%d bytes came back, and then %v", n, err)
	}
	<-sent
	if got := e.expect(t, "failed"); !strings.Contains(got, "unexpected message") {
		t.Errorf("%s says %q", e.peer, got)
	}
}

// tryWithoutRekeys sends bulk data in small records under a policy that changes no keys.
func (e *echoer) tryWithoutRekeys(t *testing.T, c cell) {
	cfg := c.ours(t)
	cfg.Rekey = mayfly.RekeyPolicy{Records: math.MaxUint64, Bytes: math.MaxUint64, Age: -1}
	rekeys := watchRekeys(cfg)
	ours, tap := openWith(t, c, cfg, e.connect(t, c))
	c.check(t, ours, tap)
	ours.SetDeadline(time.Now().Add(patience))
	all(t,
		func() error { return send("us", pieces{ours, rekeySize}, fromUs()) },
		func() error { return receive("us", ours, fromUs()) },
	)
	if n := rekeys.of(mayfly.RekeyRecords) + rekeys.of(mayfly.RekeyBytes) + rekeys.of(mayfly.RekeyAge); n != 0 {
		t.Errorf("we changed our keys %d times", n)
	}
	if err := ours.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	expectEOF(t, "us", ours)
	e.expect(t, "ok")
}
