// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]struct {
		Address
		local bool
	}{
		"127.0.0.1:5432":        {Address{"tcp", "127.0.0.1:5432"}, true},
		"127.8.9.10:1":          {Address{"tcp", "127.8.9.10:1"}, true},
		"[::1]:5432":            {Address{"tcp", "[::1]:5432"}, true},
		"[::ffff:127.0.0.1]:80": {Address{"tcp", "[::ffff:127.0.0.1]:80"}, true},
		"localhost:http":        {Address{"tcp", "localhost:http"}, true},
		"LocalHost.:80":         {Address{"tcp", "LocalHost.:80"}, true},
		":7000":                 {Address{"tcp", ":7000"}, false},
		"0.0.0.0:7000":          {Address{"tcp", "0.0.0.0:7000"}, false},
		"[::]:7000":             {Address{"tcp", "[::]:7000"}, false},
		"192.0.2.1:80":          {Address{"tcp", "192.0.2.1:80"}, false},
		"localhost.example:80":  {Address{"tcp", "localhost.example:80"}, false},
		"127.0.0.1.example:80":  {Address{"tcp", "127.0.0.1.example:80"}, false},
		"unix:/run/db.sock":     {Address{"unix", "/run/db.sock"}, true},
		"unix:db.sock":          {Address{"unix", "db.sock"}, true},
		"/run/db.sock":          {Address{"unix", "/run/db.sock"}, true},
	} {
		a, err := ParseAddress(s)
		if err != nil || a != want.Address || a.Local() != want.local {
			t.Errorf("%s: %+v, local: %t, %v", s, a, a.Local(), err)
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%s: written as %s, which is %+v, %v", s, a, again, err)
		}
	}
	for _, s := range []string{"", "unix:", "unix:@name", "unix:@", "unix:\x00name", "5432", "localhost", "::1:80:90", "[::1]", "db.sock", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:no such service"} {
		if a, err := ParseAddress(s); err == nil {
			t.Errorf("%q is taken for %+v", s, a)
		}
	}
	if (Address{"tcp", "127.0.0.1"}).Local() {
		t.Error("what has no port is local")
	}
}

// TestUnixListen shows that a socket is its owner's alone, and takes the place of a dead
// one, and of nothing else.
func TestUnixListen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Unix sockets have no modes there")
	}
	path := filepath.Join(t.TempDir(), "s")
	a := Address{"unix", path}
	ln, err := a.Listen()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if _, err := a.Listen(); err == nil {
		t.Error("it takes the place of one that is in use")
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
	if ln, err = a.Listen(); err != nil {
		t.Fatal("a dead one stands in the way: ", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	_ = ln.Close()
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Listen(); err == nil {
		t.Error("it takes the place of a file")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("the file is %q, %v", b, err)
	}
}
