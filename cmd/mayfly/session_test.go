// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSessionFile resumes a session with a later process, by another one.
func TestSessionFile(t *testing.T) {
	serverKey, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	dir := t.TempDir()
	file, ticketKey := filepath.Join(dir, "sessions"), filepath.Join(dir, "tickets.key")
	// dial returns what the trace says.
	dial := func(resumed bool) string {
		t.Helper()
		p := listen(t, "--key", serverKey, "--peer", clientPin, "--ticket-key", ticketKey)
		_ = p.stdin.Close()
		_, errs, code := runMayfly(t, "dial", "--trace", "--key", clientKey, "--peer", serverPin, "--name", "db.example", "--session-file", file, p.addr)
		if code != 0 {
			t.Fatal(code, errs)
		}
		if code, errs := p.wait(); code != 0 {
			t.Fatal(code, errs)
		}
		if got := strings.Contains(errs, "a session resumed"); got != resumed {
			t.Fatalf("resumed: %v, want %v\n%s", got, resumed, errs)
		}
		return errs
	}
	dial(false)
	dial(true)
	dial(true)

	out, errs, code := runMayfly(t, "session", file)
	if code != 0 {
		t.Fatal(code, errs)
	}
	for _, want := range []string{"2 sessions\n", "db.example\n", serverPin, "TLS_", "can be resumed", "early data     0 bytes"} {
		if !strings.Contains(out, want) {
			t.Errorf("session does not say %q:\n%s", want, out)
		}
	}
	for _, secret := range []string{file + ".key", ticketKey} {
		b, err := os.ReadFile(secret)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, strings.TrimSpace(string(b))) {
			t.Error("session shows a key")
		}
		if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v, %v", secret, info.Mode(), err)
		}
	}

	// A damaged file is said to be one, costs a full handshake, and stays.
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1)
	if err := os.WriteFile(file, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := dial(false); !strings.Contains(said, "damaged") {
		t.Errorf("dial says %s", said)
	}
	if now, _ := os.ReadFile(file); !bytes.Equal(now, bad) {
		t.Error("the damaged file was written over")
	}
	if _, errs, code := runMayfly(t, "session", file); code != exitUsage || !strings.Contains(errs, "damaged") {
		t.Errorf("session: %d, %s", code, errs)
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	dial(true)

	// With other ticket keys the server knows nothing of it.
	if err := os.Remove(ticketKey); err != nil {
		t.Fatal(err)
	}
	dial(false)
}

func TestSessionUsage(t *testing.T) {
	_, pin := keygen(t)
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	zeros := file("zeros", base64.StdEncoding.EncodeToString(make([]byte, 32)), 0o600)
	short := file("short", "AAAA\n", 0o600)
	long := file("long", strings.Repeat("A", 4096), 0o600)
	open := file("open", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1, 2}, 16)), 0o644)
	sessions := file("sessions", "whatever", 0o600) // and no key
	for _, test := range []struct {
		says string
		args []string
	}{
		{"goes with --session-file", []string{"dial", "--peer", pin, "--session-key", short, "127.0.0.1:1"}},
		{"32 random bytes", []string{"dial", "--peer", pin, "--session-file", filepath.Join(dir, "new"), "--session-key", short, "127.0.0.1:1"}},
		{"32 random bytes", []string{"dial", "--peer", pin, "--session-file", filepath.Join(dir, "new"), "--session-key", long, "127.0.0.1:1"}},
		{"32 random bytes", []string{"dial", "--peer", pin, "--session-file", filepath.Join(dir, "new"), "--session-key", zeros, "127.0.0.1:1"}},
		{"chmod", []string{"dial", "--peer", pin, "--session-file", filepath.Join(dir, "new"), "--session-key", open, "127.0.0.1:1"}},
		{"no such file", []string{"dial", "--peer", pin, "--session-file", sessions, "127.0.0.1:1"}},
		{"is a folder", []string{"dial", "--peer", pin, "--session-file", dir, "127.0.0.1:1"}},
		{"the key under which " + sessions + " is sealed", []string{"session", sessions}},
		{"no such file", []string{"session", filepath.Join(dir, "nothing")}},
		{"32 random bytes", []string{"listen", "--anybody", "--key", pin, "--ticket-key", zeros, "127.0.0.1:0"}},
	} {
		if test.args[0] == "listen" {
			key, _ := keygen(t)
			test.args[3] = key
		}
		if _, errs, code := runMayfly(t, test.args...); code != exitUsage || !strings.Contains(errs, test.says) {
			t.Errorf("%v: %d, %s", test.args, code, errs)
		}
	}
}
