// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// inspected is a server of mayfly's, for clients with or without a key.
func inspected(t *testing.T, config *mayfly.Config) (addr string) {
	t.Helper()
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	return ln.Addr().String()
}

// TestInspect runs the command against a server that is known, one that is not, one that
// refuses the client, and none.
func TestInspect(t *testing.T) {
	t.Parallel()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	file, pin := keygen(t)
	open := inspected(t, &mayfly.Config{Identity: id, Peers: mayfly.NoClientAuth(), Tickets: mayfly.TicketPolicy{Count: -1}})
	closed := inspected(t, &mayfly.Config{Identity: id, Peers: mayfly.Pins(id.Pin())})
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := nobody.Addr().String()
	_ = nobody.Close()

	page := filepath.Join(t.TempDir(), "page.html")
	for _, test := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"its pin", []string{open, "--peer", id.Pin().String(), "--rekeys", "2"}, 0, "client_application_traffic_secret_2"},
		{"a page", []string{open, "--peer", id.Pin().String(), "--html", page}, 0, "verified: "},
		{"another pin", []string{open, "--peer", pin}, exitRefused, "NOT VERIFIED"},
		{"another pin, insecure", []string{open, "--peer", pin, "--insecure"}, 0, "NOT VERIFIED"},
		{"refused", []string{closed, "--peer", id.Pin().String(), "--key", file}, exitRefused, "access_denied"},
		{"nowhere", []string{nowhere, "--peer", pin}, exitFailed, ""},
		{"no port", []string{"127.0.0.1", "--peer", pin}, exitUsage, ""},
		{"too many", []string{open, "--peer", pin, "--rekeys", "17"}, exitUsage, ""},
		{"no folder", []string{open, "--peer", id.Pin().String(), "--html", filepath.Join(page, "x")}, exitFailed, ""},
	} {
		out, errs, code := runMayfly(t, append([]string{"inspect"}, test.args...)...)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("%s: %d, %s%s", test.name, code, out, errs)
		}
		if strings.Contains(out, " = ") {
			t.Errorf("%s: a value is shown: %s", test.name, out)
		}
	}
	b, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(b), "<svg") || strings.Contains(string(b), "<script") {
		t.Errorf("the page: %v, %d bytes", err, len(b))
	}

	onOutput, report, code := runMayfly(t, "inspect", open, "--peer", id.Pin().String(), "--html", "-")
	if code != 0 || !strings.HasPrefix(onOutput, "<!") || !strings.Contains(report, "verified: ") {
		t.Errorf("--html -: %d, a page of %d bytes, the report %q", code, len(onOutput), report)
	}
	secret := filepath.Join(t.TempDir(), "secret.html")
	out, errs, code := runMayfly(t, "inspect", open, "--peer", id.Pin().String(), "--reveal", "--html", secret)
	if code != 0 || !strings.Contains(out, " = ") {
		t.Errorf("--reveal: %d, %s%s", code, out, errs)
	}
	if info, err := os.Stat(secret); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the page with secrets: %v, %v", err, info.Mode())
	}
}
