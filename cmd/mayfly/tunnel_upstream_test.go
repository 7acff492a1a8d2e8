// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTunnelThroughProxies has tinyproxy (HTTP CONNECT) and microsocks (SOCKS5) on the way
// to the server, with a password and with a wrong one. A new process takes over the
// connections through them.
func TestTunnelThroughProxies(t *testing.T) {
	t.Parallel()
	for scheme, start := range map[string]func(t *testing.T, port string) *exec.Cmd{"http": tinyproxy, "socks5": microsocks} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			proxy := startProxy(t, start)
			serverKey, serverPin := keygen(t)
			clientKey, clientPin := keygen(t)
			server := startTunnel(t, "server", "--listen", "127.0.0.1:0", "--target", echoTarget(t), "--key", serverKey, "--peer", clientPin)
			_, port, err := net.SplitHostPort(server.addr)
			if err != nil {
				t.Fatal(err)
			}
			through := func(password string) *tunnelProcess {
				settings := filepath.Join(t.TempDir(), "tunnel.toml")
				if err := os.WriteFile(settings, fmt.Appendf(nil, "proxy = %q\n", scheme+"://user:"+password+"@"+proxy), 0o600); err != nil {
					t.Fatal(err)
				}
				return startTunnel(t, "client", "--config", settings, "--listen", "127.0.0.1:0", "--server", "localhost:"+port, "--key", clientKey, "--peer", serverPin, "--watch", "0")
			}
			client := through("password")
			open, err := net.Dial("tcp", client.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer open.Close()
			pingPong(t, open)
			expectEcho(t, client.addr)
			if ended := client.await("connection ended"); ended["secure"] != proxy {
				t.Errorf("the client has dialed %v, not the proxy %s", ended["secure"], proxy)
			}
			if taken := client.replace(); taken != 1 {
				t.Errorf("%d connections were handed over, not 1", taken)
			}
			pingPong(t, open)
			expectEcho(t, client.addr)

			client = through("wrong")
			refused, err := net.Dial("tcp", client.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer refused.Close()
			entry := client.await("the other side cannot be reached")
			if says := fmt.Sprint(entry["error"]); !strings.Contains(says, "the proxy") || strings.Contains(says, "wrong") {
				t.Errorf("the log says %q", says)
			}
		})
	}
}

// pingPong has a target echo something over a connection that stays open.
func pingPong(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	got := make([]byte, 4)
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "ping" {
		t.Fatalf("the answer is %q, %v", got, err)
	}
}

// startProxy starts a proxy on a port of its own, and returns its address when it listens.
func startProxy(t *testing.T, start func(t *testing.T, port string) *exec.Cmd) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = ln.Addr().String()
	_ = ln.Close()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := start(t, port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for ctx := bounded(t); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("the proxy does not listen: %v", err)
		}
	}
}

func tinyproxy(t *testing.T, port string) *exec.Cmd {
	program, config := peerProgram(t, "tinyproxy"), filepath.Join(t.TempDir(), "tinyproxy.conf")
	if err := os.WriteFile(config, []byte("Listen 127.0.0.1\nPort "+port+"\nTimeout 60\nBasicAuth user password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.Command(program, "-d", "-c", config)
}

func microsocks(t *testing.T, port string) *exec.Cmd {
	return exec.Command(peerProgram(t, "microsocks"), "-i", "127.0.0.1", "-p", port, "-u", "user", "-P", "password")
}
