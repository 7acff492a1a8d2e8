// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTunnelTellsTheTargetTheClientsAddress has HAProxy and nginx as targets that read the
// PROXY protocol, and answer with the address that they take the client for.
func TestTunnelTellsTheTargetTheClientsAddress(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) string{"haproxy": startHAProxy, "nginx": startNginx} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := start(t)
			settings := filepath.Join(t.TempDir(), "tunnel.toml")
			if err := os.WriteFile(settings, []byte("send-proxy-v2 = true\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			serverKey, serverPin := keygen(t)
			clientKey, clientPin := keygen(t)
			server := startTunnel(t, "server", "--listen", "127.0.0.1:0", "--target", target, "--key", serverKey, "--peer", clientPin, "--config", settings)
			client := startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--key", clientKey, "--peer", serverPin)
			for range 3 {
				h := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
				answer, err := h.Get("http://" + client.addr + "/")
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if err != nil {
					t.Fatal(err)
				}
				if got, want := strings.TrimSpace(string(body)), server.await("connection ended")["secure"]; got != want {
					t.Errorf("%s takes %q for the client, which is %q", name, got, want)
				}
			}
		})
	}
}

func startHAProxy(t *testing.T) (addr string) {
	program, config := peerProgram(t, "haproxy"), filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(config, []byte(`defaults
	mode http
	timeout client 30s
	timeout server 30s
	timeout connect 30s
frontend f
	bind fd@3 accept-proxy
	http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port]"
`), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(program, "-db", "-f", config)
	cmd.ExtraFiles = []*os.File{f} // where connections wait until it is ready
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return ln.Addr().String()
}

func startNginx(t *testing.T) (addr string) {
	program, dir := peerProgram(t, "nginx"), shortDir(t)
	config, socket := filepath.Join(dir, "nginx.conf"), filepath.Join(dir, "nginx.sock")
	if err := os.WriteFile(config, []byte(`daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen unix:`+socket+` proxy_protocol;
		return 200 $proxy_protocol_addr:$proxy_protocol_port;
	}
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	startPeer(t, exec.Command(program, "-p", dir, "-c", config, "-e", "stderr"), "getrlimit")
	return "unix:" + socket
}
