// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// A process is a command that runs beside the test.
type process struct {
	*exec.Cmd
	out  bytes.Buffer // after it has ended
	errs *lines
}

// lines are what a process has said so far.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
	more *sync.Cond
	done bool
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	l.more.Broadcast()
	return len(p), nil
}

// await waits until what was said matches.
func (l *lines) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if m := re.FindStringSubmatch(l.text.String()); m != nil {
			return m
		}
		if l.done {
			t.Fatalf("%q is not in %q", pattern, l.text.String())
		}
		l.more.Wait()
	}
}

func begin(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(bounded(t), program, args...), errs: new(lines)}
	p.errs.more = sync.NewCond(&p.errs.mu)
	p.Stdout, p.Stderr = &p.out, p.errs
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// end waits for the end, and returns the exit code.
func (p *process) end() int {
	_ = p.Wait()
	p.errs.mu.Lock()
	defer p.errs.mu.Unlock()
	p.errs.done = true
	p.errs.more.Broadcast()
	return p.ProcessState.ExitCode()
}

// A relay stands between two processes, and cuts each connection after so many bytes.
func relay(t *testing.T, to string, cuts []int64) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for n := 0; ; n++ {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				_ = a.Close()
				return
			}
			go func() {
				defer a.Close()
				defer b.Close()
				go func() { _, _ = io.Copy(a, b); _ = a.Close() }()
				if n < len(cuts) {
					_, _ = io.CopyN(b, a, cuts[n])
				} else {
					_, _ = io.Copy(b, a)
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// TestSend sends a folder through a connection that is cut twice.
func TestSend(t *testing.T) {
	t.Parallel()
	ours, ourPin := keygen(t)
	theirs, theirPin := keygen(t)
	from, to := filepath.Join(t.TempDir(), "photos"), t.TempDir()
	large := make([]byte, 5<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(large)
	for name, b := range map[string][]byte{"large": large, "small": []byte("small"), "empty": nil} {
		if err := os.MkdirAll(filepath.Join(from, "in"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, "in", name), b, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	recv := begin(t, "recv", "--key", theirs, "--peer", ourPin, "127.0.0.1:0", to)
	addr := recv.errs.await(t, `listening on (\S+)\n`)[1]
	out, errs, code := runMayfly(t, "send", "--key", ours, "--peer", theirPin, relay(t, addr, []int64{2 << 20, 1 << 20}), from)
	if code != 0 || strings.Count(errs, "it goes on in") != 2 {
		t.Errorf("send: %d, %s", code, errs)
	}
	if code := recv.end(); code != 0 {
		t.Errorf("recv: %d, %s", code, recv.errs.text.String())
	}
	for name, want := range map[string][]byte{"large": large, "small": []byte("small"), "empty": {}} {
		if b, err := os.ReadFile(filepath.Join(to, "photos", "in", name)); err != nil || !bytes.Equal(b, want) {
			t.Errorf("%s: %d bytes have arrived: %v", name, len(b), err)
		}
	}
	line := regexp.MustCompile(`^sent 3 files, 5242885 bytes, (SHA-256 [0-9a-f]{64}, of which [1-9]\d{5,} bytes had arrived before)\n$`).FindStringSubmatch(out)
	if line == nil || recv.out.String() != "received 3 files, 5242885 bytes, "+line[1]+"\n" {
		t.Errorf("%q and %q", out, recv.out.String())
	}
}

// TestSendSkipsWhatItCannotRead changes files while a folder is sent: some are announced to
// the receiver, others are not yet. send names them, sends the rest at once and exits with 4.
func TestSendSkipsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	ours, ourPin := keygen(t)
	theirs, theirPin := keygen(t)
	from, to := filepath.Join(t.TempDir(), "logs"), t.TempDir()
	file := func(name string, size int64) string {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(from, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("a-large", 64<<20) // more than what is under way between two processes
	grows, shrinks, gone := file("b-grows", 100_000), file("b-shrinks", 100_000), file("b-vanishes", 100_000)
	for i := range 300 { // more than the receiver is told of at once
		file(fmt.Sprintf("m-%03d", i), 3)
	}
	late, last := file("y-vanishes", 100), file("z-last", 100)
	want := 303
	closed := ""
	if os.Geteuid() != 0 {
		closed = file("x-closed", 10)
		if err := os.Chmod(closed, 0); err != nil {
			t.Fatal(err)
		}
	}
	recv := begin(t, "recv", "--key", theirs, "--peer", ourPin, "127.0.0.1:0", to)
	addr := recv.errs.await(t, `listening on (\S+)\n`)[1]
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for first := true; ; first = false {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", addr)
			if err != nil {
				_ = a.Close()
				return
			}
			go func() { _, _ = io.Copy(a, b); _ = a.Close() }()
			if first {
				_, _ = io.CopyN(b, a, 1<<20)
				if err := errors.Join(os.Truncate(grows, 200_000), os.Truncate(shrinks, 10), os.Remove(gone), os.Remove(late)); err != nil {
					t.Error(err)
				}
			}
			_, _ = io.Copy(b, a)
			_ = b.Close()
		}
	}()
	_, errs, code := runMayfly(t, "send", "--retries", "1", "--key", ours, "--peer", theirPin, ln.Addr().String(), from)
	if code != exitPartly || strings.Contains(errs, "goes on in") {
		t.Errorf("exit code %d, want %d", code, exitPartly)
	}
	for _, name := range []string{grows, shrinks, gone, late, closed} {
		if !strings.Contains(errs, name) {
			t.Errorf("%s is not named", name)
		}
	}
	if t.Failed() {
		t.Fatal(errs)
	}
	if code := recv.end(); code != 0 {
		t.Errorf("recv: %d, %s", code, recv.errs.text.String())
	}
	if entries, err := os.ReadDir(filepath.Join(to, "logs")); err != nil || len(entries) != want {
		t.Errorf("%d files have arrived, want %d: %v", len(entries), want, err)
	}
	if _, err := os.Stat(filepath.Join(to, "logs", filepath.Base(last))); err != nil {
		t.Error(err)
	}
}

// TestSendOnTerminal shows the bar where standard error is a terminal.
func TestSendOnTerminal(t *testing.T) {
	t.Parallel()
	script, err := exec.LookPath("script")
	if version, _ := exec.Command("script", "--version").Output(); err != nil || !strings.Contains(string(version), "util-linux") {
		t.Skip("util-linux's script, which makes a terminal, is not there")
	}
	ours, ourPin := keygen(t)
	theirs, theirPin := keygen(t)
	file, to := filepath.Join(t.TempDir(), "file"), t.TempDir()
	if err := os.WriteFile(file, make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	recv := begin(t, "recv", "--key", theirs, "--peer", ourPin, "127.0.0.1:0", to)
	addr := recv.errs.await(t, `listening on (\S+)\n`)[1]
	out, err := exec.CommandContext(bounded(t), script, "-qec", strings.Join([]string{program, "send", "--key", ours, "--peer", theirPin, addr, file}, " "), os.DevNull).CombinedOutput()
	if err != nil || !regexp.MustCompile(`\d% \|.*\|.*B/s`).Match(out) || !strings.Contains(string(out), "sent 1 file, 67108864 bytes, SHA-256 ") {
		t.Errorf("%v, %q", err, out)
	}
	if code := recv.end(); code != 0 || strings.Contains(recv.errs.text.String(), "%") {
		t.Errorf("recv, which has no terminal: %d, %s", code, recv.errs.text.String())
	}
}

// TestSendRefused has senders whom the receiver does not know, or who send too much, and
// what is not there.
func TestSendRefused(t *testing.T) {
	t.Parallel()
	ours, ourPin := keygen(t)
	theirs, theirPin := keygen(t)
	stranger, _ := keygen(t)
	file, to := filepath.Join(t.TempDir(), "file"), t.TempDir()
	if err := os.WriteFile(file, []byte("ten bytes."), 0o600); err != nil {
		t.Fatal(err)
	}
	recv := begin(t, "recv", "--keep", "--max-bytes", "5", "--key", theirs, "--peer", ourPin, "127.0.0.1:0", to)
	addr := recv.errs.await(t, `listening on (\S+)\n`)[1]
	if _, errs, code := runMayfly(t, "send", "--key", stranger, "--peer", theirPin, addr, file); code != exitRefused {
		t.Errorf("a stranger: %d, %s", code, errs)
	}
	if _, errs, code := runMayfly(t, "send", "--key", ours, "--peer", theirPin, addr, file); code != exitFailed || !strings.Contains(errs, "more than the 5 bytes that are taken") {
		t.Errorf("too much: %d, %s", code, errs)
	}
	recv.errs.await(t, "has not sent all: it is more than the 5 bytes")
	if _, errs, code := runMayfly(t, "send", "--key", ours, "--peer", theirPin, addr, filepath.Join(to, "nothing")); code != exitUsage || !strings.Contains(errs, "no such file") {
		t.Errorf("nothing: %d, %s", code, errs)
	}
	if entries, err := os.ReadDir(to); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	_ = recv.Process.Signal(os.Interrupt)
	if code := recv.end(); code != exitFailed {
		t.Errorf("interrupted: %d", code)
	}
}
