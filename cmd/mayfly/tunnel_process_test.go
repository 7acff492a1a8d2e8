// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A tunnelProcess is a running tunnel, with those that take over from it.
type tunnelProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	pid   int // of the one that serves
	addr  string
	admin string // "" without --admin

	begins map[string]any // the first entry of the log
	lines  chan string    // what it logs
	said   []string
}

func startTunnel(t *testing.T, args ...string) *tunnelProcess {
	t.Helper()
	return startTunnelBy(t, exec.Command(program, append(append([]string{"tunnel"}, args...), "--log-format", "json")...))
}

func startTunnelBy(t *testing.T, cmd *exec.Cmd) *tunnelProcess {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &tunnelProcess{t: t, cmd: cmd, lines: make(chan string, 10000)}
	p.cmd.Stderr = write
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	p.pid = p.cmd.Process.Pid
	t.Cleanup(func() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		_ = read.Close()
		if t.Failed() {
			t.Log(strings.Join(p.said[max(0, len(p.said)-50):], "\n"))
		}
	})
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(read); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	p.begins = p.await("tunnel begins")
	p.addr = p.begins["listen"].(string)
	p.admin, _ = p.begins["admin"].(string)
	return p
}

// next reads the log up to an entry that is wanted.
func (p *tunnelProcess) next(what string, wanted func(entry map[string]any) bool) map[string]any {
	p.t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the log ends without %q", what)
			}
			p.said = append(p.said, line)
			var entry map[string]any
			if json.Unmarshal([]byte(line), &entry) == nil && wanted(entry) {
				return entry
			}
		case <-limit:
			p.t.Fatalf("the log has no %q", what)
		}
	}
}

// says reports whether a log entry has a message that begins so.
func says(entry map[string]any, msg string) bool {
	return strings.HasPrefix(fmt.Sprint(entry["msg"]), msg)
}

// await reads the log up to a line with a message.
func (p *tunnelProcess) await(msg string) map[string]any {
	p.t.Helper()
	return p.next(msg, func(entry map[string]any) bool { return says(entry, msg) })
}

// awaitOf is await of the process that serves: those before it may still be there.
func (p *tunnelProcess) awaitOf(msg string) map[string]any {
	p.t.Helper()
	return p.next(msg, func(entry map[string]any) bool { return says(entry, msg) && entry["pid"] == float64(p.pid) })
}

func (p *tunnelProcess) signal(s syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(p.pid, s); err != nil {
		p.t.Fatal(err)
	}
}

// replace hands over to a new process, and returns how many connections that has taken.
// The two log as they please, one before the other.
func (p *tunnelProcess) replace() (taken int) {
	p.t.Helper()
	p.signal(syscall.SIGUSR2)
	var over, there map[string]any
	p.next("handed over, and taken over", func(entry map[string]any) bool {
		switch {
		case says(entry, "handed over"):
			over = entry
		case says(entry, "taken over"):
			there = entry
		}
		return over != nil && there != nil
	})
	if over["to"] != there["pid"] || over["connections"] != there["connections"] || there["error"] != nil {
		p.t.Errorf("what was handed over is not what was taken over: %v, %v", over, there)
	}
	p.pid = int(there["pid"].(float64))
	return int(there["connections"].(float64))
}

// ends waits for the process that was started first, and returns its exit code.
func (p *tunnelProcess) ends() (code int) {
	p.t.Helper()
	limit := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer limit.Stop()
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// tunnels starts a server before a target, and a client before that. Flags beside are of
// both; a --watch among them is a flag of its own, else nothing is watched.
func tunnels(t *testing.T, target string, flags ...string) (server, client *tunnelProcess) {
	t.Helper()
	serverKey, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	flags = append([]string{"--listen", "127.0.0.1:0", "--watch", "0", "--drain", "50s"}, flags...)
	server = startTunnel(t, append([]string{"server", "--target", target, "--key", serverKey, "--peer", clientPin}, flags...)...)
	client = startTunnel(t, append([]string{"client", "--server", server.addr, "--key", clientKey, "--peer", serverPin}, flags...)...)
	return server, client
}

// peerProgram finds a program; a test without it is skipped, or fails where peers are
// required. Some distributions have PostgreSQL's outside the PATH.
func peerProgram(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		return found[len(found)-1]
	}
	if os.Getenv("MAYFLY_REQUIRE_PEERS") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// startPeer starts a server that tells when it is ready.
func startPeer(t *testing.T, cmd *exec.Cmd, ready string) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = read.Close()
	})
	var said []string
	for s := bufio.NewScanner(read); s.Scan(); {
		if strings.Contains(strings.ToLower(s.Text()), ready) {
			go func() { _, _ = io.Copy(io.Discard, read) }()
			return
		}
		said = append(said, s.Text())
	}
	t.Fatalf("%s does not begin:\n%s", cmd.Path, strings.Join(said, "\n"))
}
