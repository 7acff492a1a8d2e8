// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// TestResumeGnuTLS resumes with gnutls-cli and gnutls-serv, with early data too.
func TestResumeGnuTLS(t *testing.T) {
	t.Parallel()
	gnutlsProbe().require(t, gnutls)
	sessionCells(gnutls, func(c cell) {
		try := tryResumeGnuTLSClient
		if c.role == asServer {
			try = tryResumeGnuTLSServer
		}
		c.run(t, func(t *testing.T, c cell) { try(t, c, "") })
		c.with = "early data"
		c.run(t, func(t *testing.T, c cell) { try(t, c, earlyText) })
	})
}

// tryResumeGnuTLSClient has gnutls-cli connect twice, of itself, the second time with early
// data, if there is any.
func tryResumeGnuTLSClient(t *testing.T, c cell, early string) {
	cfg, dir := c.resumable(t), t.TempDir()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	args := append(c.gnutlsArgs(t), "--resume", "--waitresumption", "--logfile", filepath.Join(dir, "log"), "--port", port)
	if early != "" {
		file := filepath.Join(dir, "early")
		if err := os.WriteFile(file, []byte(early), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--earlydata", file)
	}
	p := start(t, gnutlsProbe().path, append(args, "127.0.0.1")...)
	for n := range 2 {
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		tap := tapped(conn)
		ours := mayfly.Server(tap, cfg)
		t.Cleanup(func() { ours.Close() })
		ours.SetDeadline(time.Now().Add(patience))
		got, err := io.ReadAll(earlyReader{ours})
		if err != nil || string(got) != strings.Repeat(early, n) {
			t.Fatalf("connection %d: early data: %q, %v", n, got, err)
		}
		if err := ours.Handshake(); err != nil {
			t.Fatal(err)
		}
		c.check(t, ours, tap)
		checkResumed(t, ours, n > 0)
		if n == 0 {
			if err := ours.Flush(); err != nil { // gnutls-cli waits for its ticket
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, ours) // until it has its ticket, and goes
			ours.Close()
			continue
		}
		exchange(t, ours, p, bulk/10, true)
	}
}

// tryResumeGnuTLSServer connects to one gnutls-serv several times. It says nothing of the
// early data that it has taken, of which there may be some.
func tryResumeGnuTLSServer(t *testing.T, c cell, early string) {
	cfg := c.resumable(t)
	var port string
	path := strings.TrimSuffix(gnutlsProbe().path, "-cli") + "-serv"
	p, conn := startServer(t, path, func(free string) []string {
		port = free
		return append(c.gnutlsArgs(t), "--earlydata", "--maxearlydata", "16384", "--port", free)
	})
	go io.Copy(io.Discard, p)
	for n := range 3 {
		if n > 0 {
			var err error
			if conn, err = net.Dial("tcp", net.JoinHostPort("127.0.0.1", port)); err != nil {
				t.Fatal(err)
			}
		}
		tap := tapped(conn)
		ours := mayfly.Client(tap, cfg)
		t.Cleanup(func() { ours.Close() })
		if accepted := handshake(t, ours, []byte(early)); accepted != (n > 0 && early != "") {
			t.Errorf("connection %d: early data accepted: %v", n, accepted)
		}
		c.check(t, ours, tap)
		checkResumed(t, ours, n > 0)
		exchangeEcho(t, ours)
		ours.Close()
	}
}
