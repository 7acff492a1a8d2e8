// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestTunnelServerNameIsAddress has programs connect to a tunnel's server by an IPv6
// address, which they send as the name of the host.
func TestTunnelServerNameIsAddress(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	_ = ln.Close()
	dir := t.TempDir()
	writeCertificates(t, dir, "server.test", "client.test")
	path := func(name string) string { return filepath.Join(dir, name) }
	server := startTunnel(t, "server", "--listen", "[::1]:0", "--cert", path("server.test.pem"), "--cert-key", path("server.test.key"),
		"--ca", path("ca.pem"), "--target", echoTarget(t))
	host, port, err := net.SplitHostPort(server.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("stunnel", func(t *testing.T) {
		accepts := startStunnel(t, peerProgram(t, "stunnel4"), fmt.Sprintf("client = yes\nconnect = %s:%s\ncert = %s\nkey = %s\nCAfile = %s\nverifyChain = yes\ncheckHost = server.test\n",
			host, port, path("client.test.pem"), path("client.test.key"), path("ca.pem")))
		for range 2 { // the second one resumes
			expectEcho(t, accepts)
		}
	})
	t.Run("socat", func(t *testing.T) {
		expectEchoThrough(t, exec.Command(peerProgram(t, "socat"), "STDIO", fmt.Sprintf("OPENSSL:[%s]:%s,cert=%s,key=%s,cafile=%s,commonname=server.test,snihost=[%[1]s]",
			host, port, path("client.test.pem"), path("client.test.key"), path("ca.pem"))))
	})
	t.Run("ncat", func(t *testing.T) {
		expectEchoThrough(t, exec.Command(peerProgram(t, "ncat"), "--ssl", "--ssl-cert", path("client.test.pem"), "--ssl-key", path("client.test.key"), host, port))
	})
}

// expectEchoThrough expects what a program reads from its standard input on its standard
// output.
func expectEchoThrough(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	overdue := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer overdue.Stop()
	if _, err := io.WriteString(in, "echo"); err != nil {
		t.Error(err)
	}
	p := make([]byte, 4)
	if n, err := io.ReadFull(out, p); string(p) != "echo" {
		t.Errorf("read %q, %v", p[:n], err)
	}
	_ = in.Close()
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
