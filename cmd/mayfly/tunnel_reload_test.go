// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTunnelReload breaks a server's key, and mends it with another, at a signal and by
// itself: what could be read before stays in use, and connections that are there go on.
func TestTunnelReload(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"at SIGHUP", "by itself"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			watch := "0"
			if how == "by itself" {
				watch = "20ms"
			}
			key, oldPin := keygen(t)
			next, newPin := keygen(t)
			clientKey, clientPin := keygen(t)
			server := startTunnel(t, "server", "--listen", "127.0.0.1:0", "--target", echoTarget(t), "--key", key, "--peer", clientPin, "--watch", watch)
			client := startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--key", clientKey, "--peer", oldPin, "--peer", newPin, "--watch", "0")
			changed := func(await string) map[string]any {
				if how == "at SIGHUP" {
					server.signal(syscall.SIGHUP)
				}
				return server.await(await)
			}
			c, err := net.Dial("tcp", client.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			echoes(t, c)

			if err := os.Remove(key); err != nil {
				t.Fatal(err)
			}
			entry := changed("reload: the key cannot be used; what was read before stays in use")
			if entry["level"] != "ERROR" || !strings.Contains(fmt.Sprint(entry["error"]), "no such file") {
				t.Errorf("the log says %v", entry)
			}
			expectEcho(t, client.addr)
			if err := os.Rename(next, key); err != nil {
				t.Fatal(err)
			}
			if entry := changed("reloaded"); entry["self"] != newPin {
				t.Errorf("the log says %v, and the new key is %s", entry, newPin)
			}
			expectEcho(t, client.addr)
			echoes(t, c)
			fresh := startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--key", clientKey, "--peer", newPin)
			expectEcho(t, fresh.addr)
		})
	}
}

// TestTunnelPeersReload takes a client off the server's list: its open connection is cut,
// and its next one is refused. A list that cannot be read cuts nothing. The list is a file of --peers, then the pins of
// a configuration file, which names the other settings, too.
func TestTunnelPeersReload(t *testing.T) {
	t.Parallel()
	key, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	_, otherPin := keygen(t)
	list, config := filepath.Join(t.TempDir(), "peers"), filepath.Join(t.TempDir(), "tunnel.toml")
	settings := fmt.Sprintf("listen = \"127.0.0.1:0\"\ntarget = %q\nkey = %q\nwatch = \"0s\"\n", echoTarget(t), key)
	for _, c := range []struct{ name, file, accepted, refused string }{
		{"list", list, clientPin + " app\n" + otherPin + " other\n", otherPin + " other\n"},
		{"configuration", config, settings + fmt.Sprintf("peer = [%q, %q]\n", otherPin, clientPin), settings + fmt.Sprintf("peer = [%q]\n", otherPin)},
	} {
		t.Run(c.name, func(t *testing.T) {
			write := func(text string) {
				if err := os.WriteFile(c.file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(settings)
			args := []string{"server", "--config", config, "--peers", list}
			if c.file == config {
				args = args[:3]
			} else if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
				t.Fatal(err)
			}
			write(c.accepted)
			server := startTunnel(t, args...)
			client := startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--key", clientKey, "--peer", serverPin)
			there, err := net.Dial("tcp", client.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer there.Close()
			echoes(t, there)
			write(c.refused)
			server.signal(syscall.SIGHUP)
			server.await("reloaded")
			expectReset(t, client.addr)
			if entry := server.await("handshake failed"); !strings.Contains(fmt.Sprint(entry["error"]), clientPin) {
				t.Errorf("the log says %v", entry)
			}
			expectCut(t, there)
			write(c.accepted)
			server.signal(syscall.SIGHUP)
			server.await("reloaded")
			expectEcho(t, client.addr)
			there = dialEcho(t, client.addr)
			write("junk\n")
			server.signal(syscall.SIGHUP)
			server.await("reload: the list of p") // of peers, or of pins
			expectEcho(t, client.addr)
			echoes(t, there)
		})
	}
}

// TestTunnelHeirThatCannotBegin asks for a hand-over when the configuration is wrong: the
// process goes on, and hands over when it has been mended.
func TestTunnelHeirThatCannotBegin(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "tunnel.toml")
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	server, client := tunnels(t, echoTarget(t), "--config", config)
	c, err := net.Dial("tcp", client.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echoes(t, c)
	write("nosuch = 1\n")
	for _, p := range []*tunnelProcess{server, client} {
		p.signal(syscall.SIGUSR2)
		p.await("hand-over failed; this process goes on")
	}
	echoes(t, c)
	expectEcho(t, client.addr)
	write("")
	for _, p := range []*tunnelProcess{server, client} {
		if n := p.replace(); n != 1 {
			t.Errorf("%d connections were taken over", n)
		}
		if code := p.ends(); code != 0 {
			t.Errorf("the process before ended with %d", code)
		}
	}
	echoes(t, c)
	expectEcho(t, client.addr)
}

// TestTunnelUnixSocket listens on a Unix socket, hands that over, and takes it away when
// it ends.
func TestTunnelUnixSocket(t *testing.T) {
	t.Parallel()
	serverKey, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	path := filepath.Join(shortDir(t), "plain")
	server := startTunnel(t, "server", "--listen", "127.0.0.1:0", "--target", echoTarget(t), "--key", serverKey, "--peer", clientPin)
	client := startTunnel(t, "client", "--listen", "unix:"+path, "--server", server.addr, "--key", clientKey, "--peer", serverPin)
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v: the socket should be for its owner alone", info, err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echoes(t, c)
	for range 2 {
		client.replace()
		echoes(t, c)
		expectEchoOf(t, "unix", path)
	}
	_ = c.Close()
	client.signal(syscall.SIGTERM)
	client.awaitOf("tunnel ends")
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is still there")
	}
}

// TestTunnelDrainZero does not wait for a connection that does not end.
func TestTunnelDrainZero(t *testing.T) {
	t.Parallel()
	server, client := tunnels(t, echoTarget(t), "--drain", "0")
	c := dialEcho(t, client.addr)
	server.signal(syscall.SIGTERM)
	if cut := server.await("tunnel ends")["cut"]; cut != 1.0 {
		t.Errorf("%v connections were cut", cut)
	}
	if code := server.ends(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	expectCut(t, c)
}

// TestTunnelDrainCuts ends a server whose connection does not end: it is cut after
// --drain, and the exit code says so.
func TestTunnelDrainCuts(t *testing.T) {
	t.Parallel()
	server, client := tunnels(t, echoTarget(t), "--drain", "50ms")
	c, err := net.Dial("tcp", client.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echoes(t, c)
	server.signal(syscall.SIGTERM)
	if cut := server.await("tunnel ends")["cut"]; cut != 1.0 {
		t.Errorf("%v connections were cut", cut)
	}
	if code := server.ends(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for line := range server.lines {
		server.said = append(server.said, line)
	}
	if last := server.said[len(server.said)-1]; last != "mayfly: connections that were cut: 1; --drain says how long to wait for them" {
		t.Errorf("the last line is %q", last)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came", n)
	}
}
