// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A loggedTunnel is a running tunnel server whose log the test reads, or not.
type loggedTunnel struct {
	cmd    *exec.Cmd
	addr   string
	reader *os.File
	writer *os.File // another descriptor of what the server writes to
	lines  *bufio.Scanner
	client string // where a client of the server listens
}

// startLogged starts a server with standard error, and standard output, to one end of a
// pipe or a socket. ignored starts it with SIGPIPE ignored.
func startLogged(t *testing.T, socket, ignored bool) *loggedTunnel {
	t.Helper()
	var l loggedTunnel
	var err error
	if socket {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		l.reader, l.writer = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	} else if l.reader, l.writer, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	serverKey, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	args := []string{program, "tunnel", "server", "--listen", "127.0.0.1:0", "--target", echoTarget(t), "--key", serverKey, "--peer", clientPin, "--watch", "0", "--log-format", "json"}
	if ignored {
		args = append([]string{"/bin/sh", "-c", `trap "" PIPE; exec "$@"`, "sh"}, args...)
	}
	l.cmd = exec.Command(args[0], args[1:]...)
	l.cmd.Stdout, l.cmd.Stderr = l.writer, l.writer
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.cmd.Process.Kill()
		_ = l.cmd.Wait()
		_ = l.reader.Close()
		_ = l.writer.Close()
	})
	l.lines = bufio.NewScanner(l.reader)
	l.addr = l.await(t, "tunnel begins")["listen"].(string)
	l.client = startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", l.addr, "--key", clientKey, "--peer", serverPin, "--watch", "0").addr
	return &l
}

func (l *loggedTunnel) await(t *testing.T, msg string) map[string]any {
	t.Helper()
	for l.lines.Scan() {
		var entry map[string]any
		if json.Unmarshal(l.lines.Bytes(), &entry) == nil && says(entry, msg) {
			return entry
		}
	}
	t.Fatalf("the log has no %q: %v", msg, l.lines.Err())
	return nil
}

// ends waits for the process, and returns how it ended.
func (l *loggedTunnel) ends(t *testing.T) *os.ProcessState {
	t.Helper()
	limit := time.AfterFunc(30*time.Second, func() { _ = l.cmd.Process.Kill() })
	defer limit.Stop()
	_ = l.cmd.Wait()
	return l.cmd.ProcessState
}

// TestTunnelSurvivesItsLogReader closes the reader of a server's log. Connections go on,
// new ones come in, reloads work, and SIGTERM ends the process with exit code 0.
func TestTunnelSurvivesItsLogReader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		socket, ignored bool
	}{{"pipe", false, false}, {"socket", true, false}, {"pipe, SIGPIPE ignored at start", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := startLogged(t, c.socket, c.ignored)
			there, err := net.Dial("tcp", l.client)
			if err != nil {
				t.Fatal(err)
			}
			defer there.Close()
			echoes(t, there)
			_ = l.writer.Close()
			_ = l.reader.Close()
			for range 3 {
				if err := l.cmd.Process.Signal(syscall.SIGHUP); err != nil {
					t.Fatal(err)
				}
				expectEcho(t, l.client)
				echoes(t, there)
			}
			_ = there.Close()
			_ = l.cmd.Process.Signal(syscall.SIGTERM)
			if state := l.ends(t); state.ExitCode() != 0 {
				t.Errorf("the server ended with %v", state)
			}
		})
	}
}

// TestTunnelDoesNotWaitForItsLogReader fills the pipe of a server's log. Connections go
// on, and SIGTERM ends the process with exit code 0.
func TestTunnelDoesNotWaitForItsLogReader(t *testing.T) {
	t.Parallel()
	l := startLogged(t, false, false)
	fillPipe(t, l)
	there, err := net.Dial("tcp", l.client)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	for range 5 {
		_ = l.cmd.Process.Signal(syscall.SIGHUP)
		expectEcho(t, l.client)
		echoes(t, there)
	}
	_ = l.cmd.Process.Signal(syscall.SIGTERM)
	_ = there.Close()
	if state := l.ends(t); state.ExitCode() != 0 {
		t.Errorf("the server ended with %v", state)
	}
}

// fillPipe writes until the pipe of the log takes no more.
func fillPipe(t *testing.T, l *loggedTunnel) {
	t.Helper()
	size, err := unix.FcntlInt(l.reader.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	for {
		held, err := unix.IoctlGetInt(int(l.reader.Fd()), unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		if held >= size {
			return
		}
		// Pages that hold lines of the log are full for the pipe, and not for FIONREAD.
		fds := []unix.PollFd{{Fd: int32(l.writer.Fd()), Events: unix.POLLOUT}}
		if n, err := unix.Poll(fds, 0); err != nil || n == 0 {
			return
		}
		if _, err := l.writer.WriteString(strings.Repeat("\n", min(size-held, 4096))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecvDoesNotWaitForTheReaderOfItsMessages lets nothing read what recv prints, on
// both outputs: transfers are received all the same.
func TestRecvDoesNotWaitForTheReaderOfItsMessages(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	recvKey, recvPin := keygen(t)
	sendKey, sendPin := keygen(t)
	inbox := t.TempDir()
	cmd := exec.Command(program, "recv", "--keep", "--key", recvKey, "--peer", sendPin, "127.0.0.1:0", inbox)
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(read)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "listening on ") {
		t.Fatalf("recv says %q", lines.Text())
	}
	addr := strings.TrimPrefix(lines.Text(), "listening on ")
	fillPipe(t, &loggedTunnel{reader: read, writer: write})
	file := messageFile(t, "hello")
	for range 3 {
		send := exec.CommandContext(t.Context(), program, "send", "--retries", "0", "--key", sendKey, "--peer", recvPin, addr, file)
		limit := time.AfterFunc(30*time.Second, func() { _ = send.Process.Kill() })
		out, err := send.CombinedOutput()
		limit.Stop()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// messageFile makes a file.
func messageFile(t *testing.T, text string) string {
	t.Helper()
	path := fmt.Sprintf("%s/file", t.TempDir())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDroppedLogLinesAreCounted shows that what a slow reader does not take is bounded,
// and that the reader learns how much it missed.
func TestDroppedLogLinesAreCounted(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	w := newLineWriter(write)
	const messages = 3000
	for range messages {
		if n, err := fmt.Fprintln(w, strings.Repeat("x", 999)); n != 1000 || err != nil {
			t.Fatal(n, err)
		}
	}
	go func() {
		w.flush()
		_ = write.Close()
	}()
	came, dropped := 0, 0
	for s := bufio.NewScanner(read); s.Scan(); {
		if _, err := fmt.Sscanf(s.Text(), "mayfly: %d messages were dropped", &dropped); err != nil {
			came++
		}
	}
	if dropped == 0 || came+dropped != messages || came < 1000 || came > 1200 {
		t.Errorf("%d messages came, %d were dropped, of %d", came, dropped, messages)
	}
}
