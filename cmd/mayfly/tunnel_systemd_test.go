// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTunnelSocketActivation hands sockets over as systemd does (sd_listen_fds(3)), tells
// it what it would be told (sd_notify(3)), and replaces the process, which keeps them.
func TestTunnelSocketActivation(t *testing.T) {
	t.Parallel()
	key, pin := keygen(t)
	clientKey, clientPin := keygen(t)
	dir := shortDir(t)
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	told := make(chan string, 10)
	go func() {
		defer close(told)
		for p := make([]byte, 1000); ; {
			n, err := notify.Read(p)
			if err != nil {
				return
			}
			told <- string(p[:n])
		}
	}()
	var files []*os.File
	for range 3 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
		defer f.Close()
		files = append(files, f)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// LISTEN_PID is that of the process, which this program becomes.
	cmd := exec.Command(self, program, "tunnel", "server", "--listen", "systemd:tunnel", "--admin", "systemd:admin",
		"--target", echoTarget(t), "--key", key, "--peer", clientPin, "--log-format", "json")
	cmd.Env = append(os.Environ(), becomes+"=1", "LISTEN_FDS=3", "LISTEN_FDNAMES=other:tunnel:admin", "NOTIFY_SOCKET="+notify.LocalAddr().String())
	cmd.ExtraFiles = files
	server := startTunnelBy(t, cmd)
	client := startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--key", clientKey, "--peer", pin)
	if s := <-told; s != "READY=1" {
		t.Errorf("systemd was told %q", s)
	}
	expectEcho(t, client.addr)
	if got := get(t, server.admin, "/readyz"); got != "ok\n" {
		t.Errorf("readyz: %q", got)
	}
	server.replace()
	pid := fmt.Sprintf("MAINPID=%d", server.pid)
	for s := range told {
		if s == pid {
			break
		}
	}
	expectEcho(t, client.addr)
	if got := get(t, server.admin, "/readyz"); got != "ok\n" {
		t.Errorf("readyz: %q", got)
	}
	server.signal(syscall.SIGTERM)
	for s := range told {
		if s == "STOPPING=1" {
			break
		}
	}
}

// TestTunnelAdmin asks for metrics and health.
func TestTunnelAdmin(t *testing.T) {
	t.Parallel()
	server, client := tunnels(t, echoTarget(t), "--admin", "127.0.0.1:0", "--drain", "50s")
	expectEcho(t, client.addr)
	server.await("connection ended")
	server.signal(syscall.SIGHUP)
	server.await("reloaded")
	if got := get(t, server.admin, "/healthz"); got != "ok\n" {
		t.Errorf("healthz: %q", got)
	}
	text := get(t, server.admin, "/metrics")
	for _, line := range []string{
		"mayfly_tunnel_connections 0", "mayfly_tunnel_connections_accepted_total 1",
		`mayfly_tunnel_connections_ended_total{how="orderly"} 1`, `mayfly_tunnel_connections_ended_total{how="cut"} 0`,
		`mayfly_tunnel_bytes_total{direction="sent"} 4`, `mayfly_tunnel_bytes_total{direction="received"} 4`,
		`mayfly_tunnel_reloads_total{result="ok"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the metrics do not say %s", line)
		}
	}
	if strings.Contains(get(t, client.admin, "/metrics"), "sha256") {
		t.Error("the metrics name somebody")
	}

	c, err := net.Dial("tcp", client.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echoes(t, c)
	server.signal(syscall.SIGTERM)
	server.await("draining")
	if got := get(t, server.admin, "/readyz"); got != "draining\n" {
		t.Errorf("readyz, while draining: %q", got)
	}
	echoes(t, c)
	_ = c.Close()
	server.await("tunnel ends")
}

func get(t *testing.T, addr, path string) string {
	t.Helper()
	r, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestTunnelUnits shows that the commands of contrib/systemd are ones that this program
// understands.
func TestTunnelUnits(t *testing.T) {
	t.Parallel()
	units, err := filepath.Glob("../../contrib/systemd/*.service")
	if err != nil || len(units) != 2 {
		t.Fatalf("%q, %v", units, err)
	}
	for _, unit := range units {
		b, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		commands := 0
		for s := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(string(b), "\\\n", " "))); s.Scan(); {
			command, ok := strings.CutPrefix(s.Text(), "ExecStart=")
			if !ok {
				continue
			}
			commands++
			args := strings.Fields(command)
			if args[0] != "/usr/local/bin/mayfly" {
				t.Errorf("%s starts %s", unit, args[0])
			}
			if err := understand(args[1:]); err != nil {
				t.Errorf("%s: %v", unit, err)
			}
		}
		if commands != 1 {
			t.Errorf("%s has %d commands", unit, commands)
		}
	}
	// All settings of the examples are understood: what is missing is the key.
	dir := t.TempDir()
	for _, side := range []string{"server", "client"} {
		b, err := os.ReadFile("../../contrib/systemd/" + side + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(dir, side+".toml")
		if err := os.WriteFile(config, []byte(strings.ReplaceAll(string(b), "/etc/mayfly", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, errs, code := runMayfly(t, "tunnel", side, "--config", config)
		if want := fmt.Sprintf("open %s/%s.key: no such file", dir, side); code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%s.toml: code %d, %q", side, code, errs)
		}
	}
}
