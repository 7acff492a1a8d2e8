// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// The test binary is the program, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "serve" || os.Args[1] == "send") {
		main()
		return
	}
	os.Exit(m.Run())
}

const restarts = 100

// TestRestart replaces a server a hundred times while a client in another process
// sends and receives: not a byte is lost. Every second time, it lets a server change its
// keys, and so send something, before it is replaced.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	clientPin, clientKey := writeKey(t, dir, "client.key")
	serverPin, serverKey := writeKey(t, dir, "server.key")
	lines, stdout := io.Pipe()
	server := exec.Command(os.Args[0], "serve", "-listen", "127.0.0.1:0", "-key", serverKey, "-client", clientPin)
	server.Stdout, server.Stderr = stdout, os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	t.Cleanup(func() {
		_ = stdout.Close()
		if pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	limit := time.AfterFunc(2*time.Minute, func() { _ = stdout.CloseWithError(errors.New("it takes too long")) })
	t.Cleanup(func() { limit.Stop() })
	said := bufio.NewScanner(lines)
	serving := func() (addr string) {
		t.Helper()
		if !said.Scan() {
			t.Fatalf("the server says nothing: %v", said.Err())
		}
		before := pid
		if _, err := fmt.Sscanf(said.Text(), "serving %s %d", &addr, &pid); err != nil || pid == before {
			t.Fatalf("the server says %q", said.Text())
		}
		return addr
	}
	addr := serving()

	client := exec.Command(os.Args[0], "send", "-key", clientKey, "-server-pin", serverPin, addr)
	client.Stderr = os.Stderr
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Process.Kill() })
	patience := time.AfterFunc(2*time.Minute, func() { _ = client.Process.Kill() })
	t.Cleanup(func() { patience.Stop() })
	results := bufio.NewScanner(out)
	// heard returns the client's next line that begins so. It may tell of keys before.
	heard := func(start string) string {
		t.Helper()
		for results.Scan() && !strings.HasPrefix(results.Text(), start) {
			if !strings.HasPrefix(results.Text(), "keys ") {
				break
			}
		}
		if !strings.HasPrefix(results.Text(), start) {
			t.Fatalf("the client says %q, %v", results.Text(), results.Err())
		}
		return results.Text()
	}
	heard("flowing")
	for n := range restarts {
		if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if again := serving(); again != addr {
			t.Fatalf("the server listens on %s, then on %s", addr, again)
		}
		if n%2 == 1 {
			heard("keys ")
		}
	}
	_ = in.Close()
	result := heard("equal ")
	var bytes, sent, received int
	if _, err := fmt.Sscanf(result, "equal %d bytes, %d and %d keys", &bytes, &sent, &received); err != nil || received < restarts/2 {
		t.Errorf("the client says %q: a server changes its keys before its first data", result)
	}
	t.Logf("%d restarts, %s", restarts, result)
	if err := client.Wait(); err != nil {
		t.Error(err)
	}
}

func writeKey(t *testing.T, dir, name string) (pin, path string) {
	t.Helper()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, name)
	text, err := id.MarshalPEM()
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id.Pin().String(), path
}
