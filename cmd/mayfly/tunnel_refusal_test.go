// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTunnelRefusesToBegin shows, for each mistake, the exit code, and that what is said
// names the mistake and what to do.
func TestTunnelRefusesToBegin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, pin := keygen(t)
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := file("open.key", "anything")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	server := func(more ...string) []string {
		return append([]string{"server", "--listen", "127.0.0.1:0", "--target", "127.0.0.1:1", "--key", key, "--peer", pin}, more...)
	}
	client := func(more ...string) []string {
		return append([]string{"client", "--listen", "127.0.0.1:0", "--server", "127.0.0.1:1", "--key", key, "--peer", pin}, more...)
	}
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"server"}, 2, []string{"--listen ADDR"}},
		{[]string{"server", "--listen", ":0"}, 2, []string{"--target ADDR"}},
		{[]string{"client", "--listen", "127.0.0.1:0"}, 2, []string{"--server ADDR"}},
		{server("--target", "unix:@name"), 2, []string{"--target", "unix:@name", "abstract socket", "every user of this machine"}},
		{client("--listen", "unix:@name"), 2, []string{"--listen", "unix:@name", "abstract socket", "every user of this machine"}},
		{client("--admin", "unix:@name"), 2, []string{"--admin", "abstract socket"}},
		{server("--listen", "7000"), 2, []string{"--listen", `"7000"`, "host:port"}},
		{server("--listen", ":70000"), 2, []string{"--listen", `":70000"`, "up to 65535"}},
		{server("--target", "127.0.0.1:"), 2, []string{"--target", "number of a port"}},
		{[]string{"client", "--listen", "127.0.0.1:0", "--server", "unix:/x"}, 2, []string{"--server unix:/x", "--peer", "--name"}},
		{server("--target", "db"), 2, []string{"--target", `"db"`, "host:port"}},
		{server("--target", "unix:"), 2, []string{"--target", "path"}},
		{client("--server", "db"), 2, []string{"--server", `"db"`, "host:port"}},
		{server("--target", "192.0.2.1:5432"), 2, []string{"--target 192.0.2.1:5432", "not on this machine", "--plain-over-network"}},
		{client("--listen", ":0"), 2, []string{"--listen :0", "not on this machine", "--plain-over-network"}},
		{client("--listen", "[::]:0"), 2, []string{"--listen [::]:0", "--plain-over-network"}},
		{client("--listen", occupied.Addr().String()), 1, []string{"--listen", "address already in use"}},
		{client("--listen", "unix:"+filepath.Join(dir, "no", "socket")), 1, []string{"--listen", "no such file"}},
		{server("--admin", occupied.Addr().String()), 1, []string{"--admin", "address already in use"}},
		{server("--listen", "systemd:"), 2, []string{"--listen systemd:", "0 were handed over", "systemd.socket(5)"}},
		{server("--key", filepath.Join(dir, "none")), 2, []string{"none", "no such file"}},
		{server("--key", open), 2, []string{open, "chmod 600"}},
		{server("--key", file("junk.key", "junk")), 2, []string{"junk.key"}},
		{server("--peer", "junk"), 2, []string{`"junk" is no pin`, "keygen"}},
		{server("--peers", filepath.Join(dir, "none")), 2, []string{"none", "no such file"}},
		{server("--peers", file("junk.list", "junk\n")), 2, []string{"junk.list, line 1", "a pin and a name"}},
		{server("--ca", file("junk.pem", "junk")), 2, []string{"junk.pem", "no certificate"}},
		{client("--peers", file("good.list", pin+" db\n")), 2, []string{"--name"}},
		{client("--peers", file("junk.hosts", "junk\n"), "--name", "db"), 2, []string{"junk.hosts, line 1", "a name and a pin"}},
		{[]string{"server", "--listen", ":0", "--target", "127.0.0.1:1", "--key", key}, 2, []string{"whom to accept", "--peers"}},
		{[]string{"server", "--listen", ":0", "--target", "127.0.0.1:1", "--peer", pin}, 2, []string{"needs a key", "keygen"}},
		{server("--idle", "5"), 2, []string{"--idle", "a time with its unit"}},
		{server("--idle", "-5s"), 2, []string{"--idle", "below zero"}},
		{server("--max-connections", "many"), 2, []string{"--max-connections", "a whole number", `"many"`}},
		{server("--max-connections", "-1"), 2, []string{"--max-connections", "below zero"}},
		{server("--log-level", "loud"), 2, []string{"--log-level", "debug, info, warn or error"}},
		{server("--log-format", "xml"), 2, []string{"--log-format", "text or json"}},
		{server("--config", filepath.Join(dir, "none")), 2, []string{"configuration", "no such file"}},
		{server("--config", file("syntax.toml", "listen = [")), 2, []string{"syntax.toml", "line 1"}},
		{server("--config", file("name.toml", "nosuch = 1")), 2, []string{"name.toml", `"nosuch"`, "named as the flags"}},
		{server("--config", file("value.toml", `idle = "soon"`)), 2, []string{"value.toml", "idle"}},
		{server("--config", file("kind.toml", "[idle]\nx = 1")), 2, []string{"kind.toml", "idle", "a string"}},
		{server("--nosuch"), 2, []string{"--nosuch"}},
		{server("word"), 2, []string{"word"}},
		{[]string{"nosuch"}, 2, []string{"nosuch", "mayfly tunnel --help"}},
		{[]string{"servr"}, 2, []string{"server, perhaps"}},
	} {
		out, errs, code := runMayfly(t, append([]string{"tunnel"}, c.args...)...)
		if code != c.code || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: code %d, want %d; stdout %q, stderr %q", c.args, code, c.code, out, errs)
		}
		for _, want := range c.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%q: %q does not say %q", c.args, errs, want)
			}
		}
	}
}

// TestTunnelRefusesConnections has the target away, then a client that the server does not
// know: applications see a reset, both logs say why, and what goes on goes on.
func TestTunnelRefusesConnections(t *testing.T) {
	t.Parallel()
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := away.Addr().String()
	_ = away.Close()
	server, client := tunnels(t, target)
	expectReset(t, client.addr)
	if entry := server.await("the other side cannot be reached"); !strings.Contains(fmt.Sprint(entry["error"]), target) || entry["pin"] == nil {
		t.Errorf("the server says %v", entry)
	}
	client.await("connection cut")

	_, pin := keygen(t)
	strangerKey, strangerPin := keygen(t)
	stranger := startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--key", strangerKey, "--peer", pin)
	expectReset(t, stranger.addr)
	if entry := stranger.await("the other side cannot be reached"); !strings.Contains(fmt.Sprint(entry["error"]), "is not on the list") {
		t.Errorf("the client that expects another server says %v", entry)
	}
	serverPin := server.begins["self"].(string)
	stranger = startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--key", strangerKey, "--peer", serverPin)
	expectReset(t, stranger.addr)
	for {
		entry := server.await("handshake failed")
		if strings.Contains(fmt.Sprint(entry["error"]), strangerPin) {
			break // the one before has refused this server, which says so, too
		}
	}
	if entry := stranger.await("connection cut"); !strings.Contains(fmt.Sprint(entry["error"]), "access_denied") {
		t.Errorf("the stranger says %v", entry)
	}
}

// expectReset shows that a connection is cut, and not just ended.
func expectReset(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, err = io.ReadAll(c)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v; want a reset", err)
	}
}

// expectEcho sends something through a tunnel whose target echoes.
func expectEcho(t *testing.T, addr string) {
	t.Helper()
	expectEchoOf(t, "tcp", addr)
}

func expectEchoOf(t *testing.T, network, addr string) {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echoes(t, c)
	_ = c.(interface{ CloseWrite() error }).CloseWrite()
	if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v; want the end", rest, err)
	}
}

// echoes shows that a connection goes on.
func echoes(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	p := make([]byte, 4)
	if _, err := c.Write([]byte("echo")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(c, p); err != nil || string(p) != "echo" {
		t.Errorf("%q, %v", p, err)
	}
}
