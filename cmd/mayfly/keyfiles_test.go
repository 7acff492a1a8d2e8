// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// TestKeyFiles gives each command that takes a private key one that it cannot use.
func TestKeyFiles(t *testing.T) {
	key, pin := keygen(t)
	id, err := mayfly.LoadIdentity(key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := id.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned("db.example")
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	other, _ := keygen(t)
	dir := t.TempDir()
	put := func(name string, mode os.FileMode, content []byte) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, content, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certFile := put("cert.pem", 0o644, chain)
	files := map[string]string{ // and what is said of them
		filepath.Join(dir, "absent"):         "no such file",
		dir:                                  "directory",
		put("empty", 0o600, nil):             "no private key in PEM",
		put("public", 0o600, id.PublicPEM()): "a public key and no private key",
		put("certificate.pem", 0o600, chain): "a certificate and no private key",
		put("encrypted", 0o600, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")): "an encrypted private key",
		put("damaged", 0o600, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")):                       "damaged",
		put("openssh", 0o600, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")):       "OpenSSH",
	}
	if runtime.GOOS == "windows" {
		files[filepath.Join(dir, "absent")] = "cannot find the file"
	} else {
		files[put("open", 0o644, private)] = "chmod 600"
		files[put("group", 0o640, private)] = "chmod 600"
	}
	for file, says := range files {
		for _, args := range [][]string{
			{"listen", "--key", file, "--peer", pin, "127.0.0.1:0"},
			{"dial", "--key", file, "--peer", pin, "127.0.0.1:1"},
			{"listen", "--cert", certFile, "--cert-key", file, "--peer", pin, "127.0.0.1:0"},
			{"dial", "--cert", certFile, "--cert-key", file, "--peer", pin, "127.0.0.1:1"},
		} {
			_, errs, code := runMayfly(t, args...)
			if code != exitUsage || !strings.Contains(errs, says) || !strings.Contains(errs, file) || !strings.HasPrefix(errs, "mayfly: ") {
				t.Errorf("%v: %d, %s", args, code, errs)
			}
		}
	}
	for says, args := range map[string][]string{
		"does not match":        {"--cert", certFile, "--cert-key", other},
		"no certificate in PEM": {"--cert", key, "--cert-key", key},
		"x509: ":                {"--cert", put("bad.pem", 0o600, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), "--cert-key", key},
	} {
		if _, errs, code := runMayfly(t, append([]string{"listen", "127.0.0.1:0", "--anybody"}, args...)...); code != exitUsage || !strings.Contains(errs, says) {
			t.Errorf("%v: %d, %s", args, code, errs)
		}
	}
}

// TestByteOrderMark puts one before the PEM of a key, a certificate and authorities. The
// first block behind it counts.
func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	writeCertificates(t, dir, "localhost", "client")
	for _, name := range []string{"ca.pem", "localhost.pem", "localhost.key", "client.pem", "client.key"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		put(name, "\ufeff"+string(text))
	}
	args := func(command, name string, more ...string) []string {
		return append([]string{command, "--cert", filepath.Join(dir, name+".pem"), "--cert-key", filepath.Join(dir, name+".key"), "--ca", filepath.Join(dir, "ca.pem")}, more...)
	}
	server := begin(t, args("listen", "localhost", "127.0.0.1:0")...)
	addr := server.errs.await(t, `listening on (\S+)\n`)[1]
	if _, errs, code := runMayfly(t, args("dial", "client", "--name", "localhost", addr)...); code != 0 {
		t.Errorf("dial: %d, %s", code, errs)
	}
	if code := server.end(); code != 0 {
		t.Errorf("listen: %d, %s", code, server.errs.text.String())
	}
}
