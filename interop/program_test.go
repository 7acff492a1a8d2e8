// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds each connection, and the life of each program but Java.
const patience = 30 * time.Second

// The addresses on which the programs talk to us.
const (
	loopback4 = "127.0.0.1"
	loopback6 = "::1"
)

// A program is another program while it runs: its standard input and output
// are a stream, its standard error is kept for the report of a failure.
type program struct {
	name   string
	stdin  io.WriteCloser
	stdout *os.File
	stderr *tail
	exited chan struct{} // closed when err is set
	err    error
}

// start starts a program, which is killed at the end of the test if it is
// still there by then.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	return startWithin(t, patience, name, args...)
}

func startWithin(t *testing.T, limit time.Duration, name string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	p := &program{name: name, stderr: new(tail), exited: make(chan struct{})}
	cmd.Stderr = p.stderr

	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout, cmd.Stdout = out, in
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	go func() {
		defer close(p.exited)
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		<-p.exited
		out.Close()
		if t.Failed() {
			t.Logf("%s %s\n%s", name, strings.Join(args, " "), p.stderr)
		}
	})
	return p
}

func (p *program) Read(b []byte) (int, error)  { return p.stdout.Read(b) }
func (p *program) Write(b []byte) (int, error) { return p.stdin.Write(b) }
func (p *program) CloseWrite() error           { return p.stdin.Close() }

// Finish waits until the program has ended by itself, which it must with
// status 0.
func (p *program) Finish() error {
	<-p.exited
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	return nil
}

// ended says whether the program has ended.
func (p *program) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// say writes one line to the program.
func (p *program) say(line string) error {
	_, err := io.WriteString(p.stdin, line+"\n")
	return err
}

// startServer starts a program that listens on the port that it is told, and
// connects to it. A program that ends before that has found the port taken, or
// has its own complaint: it gets two more ports.
func startServer(t *testing.T, name string, args func(port string) []string) (*program, net.Conn) {
	t.Helper()
	return startServerOn(t, loopback4, name, args)
}

func startServerOn(t *testing.T, host, name string, args func(port string) []string) (*program, net.Conn) {
	t.Helper()
	for range 3 {
		port := freePort(t)
		p := start(t, name, args(port)...)
		if conn := connect(t, p, host, port); conn != nil {
			return p, conn
		}
	}
	t.Fatalf("%s does not listen", name)
	return nil, nil
}

// connect dials until somebody listens, or until the program has ended.
func connect(t *testing.T, p *program, host, port string) net.Conn {
	t.Helper()
	between := time.NewTicker(5 * time.Millisecond)
	defer between.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		select {
		case <-p.exited:
			t.Logf("%s: %v\n%s", p.name, p.err, p.stderr)
			return nil
		case <-between.C:
		}
	}
	return nil
}

// lastPort is where the search for free ports goes on: below the ephemeral
// ports, so that no connection takes a port between its choice and its use.
var lastPort atomic.Uint32

func freePort(t *testing.T) string {
	t.Helper()
	lastPort.CompareAndSwap(0, uint32(os.Getpid()))
	for range 1000 {
		port := strconv.Itoa(15000 + int(lastPort.Add(1)%15000))
		// All addresses at once: that is how the programs will ask for it.
		ln, err := net.Listen("tcp", ":"+port)
		if err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port on this machine")
	return ""
}

// A tail keeps the last of what a program says, but not the lines of bulk data
// that some repeat.
type tail struct {
	mu   sync.Mutex
	buf  []byte
	line []byte // not yet at its end
}

const tailLen = 8 << 10

func (b *tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range bytes.Lines(p) {
		b.line = append(b.line, line...)
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		if rest := bytes.TrimRight(b.line, "0123456789\n"); len(rest) > 0 && !bytes.HasSuffix(rest, []byte(": ")) {
			b.buf = append(b.buf, b.line...)
		}
		b.line = b.line[:0]
	}
	if over := len(b.buf) - tailLen; over > 0 {
		b.buf = append(b.buf[:0], b.buf[over:]...)
	}
	return len(p), nil
}

func (b *tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.buf) + string(b.line)
}

// count says how often what is in the tail.
func (b *tail) count(what string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Count(b.buf, []byte(what))
}

// startClient starts a program that connects to the port that it is told, and
// accepts its connection.
func startClient(t *testing.T, name string, args func(port string) []string) (*program, net.Conn) {
	t.Helper()
	return startClientOn(t, loopback4, name, args)
}

func startClientOn(t *testing.T, host, name string, args func(port string) []string) (*program, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, name, args(port)...)
	go func() {
		<-p.exited
		ln.Close() // nobody will come any more
	}()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatalf("%s does not connect: %v", name, err)
	}
	t.Cleanup(func() { conn.Close() })
	return p, conn
}
