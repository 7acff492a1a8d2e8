// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// TestMain builds the command once: the tests run it as a user does.
func TestMain(m *testing.M) {
	if os.Getenv(becomes) != "" {
		panic(become(os.Args[1:]))
	}
	os.Exit(testMain(m))
}

// becomes is set where this program is started to become another, as a service's manager
// does it.
const becomes = "MAYFLY_TEST_BECOMES"

// become has the sockets that were inherited be meant for this process.
func become(args []string) error {
	if err := errors.Join(os.Unsetenv(becomes), os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))); err != nil {
		return err
	}
	return syscall.Exec(args[0], args, os.Environ())
}

var program string

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mayfly-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "mayfly")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// bounded ends the processes of a test that hangs.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// runMayfly runs the command to its end.
func runMayfly(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(bounded(t), program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// keygen makes a key and returns its file and pin.
func keygen(t *testing.T) (file, pin string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "node.key")
	out, errs, code := runMayfly(t, "keygen", "-o", file)
	if code != 0 {
		t.Fatal(errs)
	}
	return file, strings.TrimSpace(out)
}

func TestKeygen(t *testing.T) {
	file, pin := keygen(t)
	if !strings.HasPrefix(pin, "sha256//") {
		t.Errorf("the pin is %q", pin)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	before, _ := os.ReadFile(file)
	if _, errs, code := runMayfly(t, "keygen", "-o", file); code != exitUsage || !strings.Contains(errs, "never overwritten") {
		t.Errorf("a second keygen: %d, %s", code, errs)
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		t.Error("the key was overwritten")
	}
	if out, errs, code := runMayfly(t, "pin", file); code != 0 || strings.TrimSpace(out) != pin {
		t.Errorf("pin: %d, %s%s", code, out, errs)
	}
}

// TestKeygenToStandardOutput writes the key to standard output and the pin to standard
// error, and makes no file.
func TestKeygenToStandardOutput(t *testing.T) {
	t.Chdir(t.TempDir())
	out, errs, code := runMayfly(t, "keygen", "-o", "-")
	if code != 0 || strings.Count(out, "BEGIN PRIVATE KEY") != 2 || !strings.HasPrefix(errs, "sha256//") {
		t.Fatalf("keygen: %d, %s", code, errs)
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("%v was made: %v", entries, err)
	}
	if err := os.WriteFile("key", []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if pin, _, code := runMayfly(t, "pin", "key"); code != 0 || pin != errs {
		t.Errorf("the pin of the key is %s, and %s was printed", pin, errs)
	}
	if _, errs, code := runMayfly(t, "keygen", "--add", "-o", "-"); code != exitUsage || !strings.Contains(errs, "--add goes with a file") {
		t.Errorf("keygen --add: %d, %s", code, errs)
	}
}

// TestPinAgreesWithOpenSSL computes the pin of a key that OpenSSL reads.
func TestPinAgreesWithOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	file, pin := keygen(t)
	public := filepath.Join(t.TempDir(), "public.pem")
	if out, err := exec.Command(openssl, "pkey", "-in", file, "-pubout", "-out", public).CombinedOutput(); err != nil {
		t.Skipf("this openssl reads no Ed25519 key: %s", out)
	}
	if out, errs, code := runMayfly(t, "pin", public); code != 0 || strings.TrimSpace(out) != pin {
		t.Errorf("%d: %s%s, want %s", code, out, errs, pin)
	}
}

// A peer is a running listen command.
type peer struct {
	cmd    *exec.Cmd
	addr   string
	stdin  io.WriteCloser
	stdout *bytes.Buffer
	stderr *bufio.Reader
	done   chan struct{}
}

func listen(t *testing.T, args ...string) *peer {
	t.Helper()
	cmd := exec.CommandContext(bounded(t), program, append([]string{"listen", "127.0.0.1:0"}, args...)...)
	p := &peer{cmd: cmd, stdout: new(bytes.Buffer), done: make(chan struct{})}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
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
	go func() { defer close(p.done); _, _ = io.Copy(p.stdout, out) }()
	p.stderr = bufio.NewReader(errs)
	line, err := p.stderr.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "listening on ") {
		t.Fatalf("listen says %q, %v", line, err)
	}
	p.addr = strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return p
}

// wait returns the exit code and what was written to standard error.
func (p *peer) wait() (int, string) {
	errs, _ := io.ReadAll(p.stderr)
	<-p.done
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode(), string(errs)
}

// TestListenDial sends data both ways, with the ends at different times.
func TestListenDial(t *testing.T) {
	serverKey, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	p := listen(t, "--key", serverKey, "--peer", clientPin, "--alpn", "x/1")
	data := make([]byte, 5<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(data)
	go func() { _, _ = p.stdin.Write(data[:3<<20]); _ = p.stdin.Close() }()

	cmd := exec.CommandContext(bounded(t), program, "dial", "--key", clientKey, "--peer", serverPin, "--alpn", "x/1", "--trace", p.addr)
	cmd.Stdin = bytes.NewReader(data)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatal(err, errs.String())
	}
	if code, errs := p.wait(); code != 0 {
		t.Fatal(code, errs)
	}
	if sha256.Sum256(p.stdout.Bytes()) != sha256.Sum256(data) {
		t.Error("client to server: not what was sent")
	}
	if sha256.Sum256(out.Bytes()) != sha256.Sum256(data[:3<<20]) {
		t.Error("server to client: not what was sent")
	}
	for _, want := range []string{"handshake with", "_SHA256, X25519MLKEM768", serverPin, "keys for sending, generation 0, installed", "destroyed"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("the trace does not say %q:\n%s", want, errs.String())
		}
	}
}

// TestX509 joins a server with a certificate to a client that knows the authority,
// by way of the server's list of pins.
func TestX509(t *testing.T) {
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned("db.example")
	if err != nil {
		t.Fatal(err)
	}
	key, err := id.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile, list := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "peers")
	clientKey, clientPin := keygen(t)
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	for name, content := range map[string][]byte{certFile: chain, keyFile: key, list: []byte(clientPin + " alice\n")} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, errs, code := runMayfly(t, "pin", certFile); code != 0 || strings.TrimSpace(out) != id.Pin().String() {
		t.Errorf("the certificate's pin: %d, %s%s", code, out, errs)
	}
	p := listen(t, "--cert", certFile, "--cert-key", keyFile, "--peers", list)
	_ = p.stdin.Close()
	if _, errs, code := runMayfly(t, "dial", "--key", clientKey, "--ca", certFile, "--name", "web.example", p.addr); code != exitRefused {
		t.Errorf("the wrong name: %d, %s", code, errs)
	}
	if _, errs, code := runMayfly(t, "dial", "--key", clientKey, "--ca", certFile, "--name", "db.example", p.addr); code != 0 {
		t.Errorf("%d, %s", code, errs)
	}
	if code, errs := p.wait(); code != 0 {
		t.Errorf("listen: %d, %s", code, errs)
	}
}

// TestRefusals shows the exit code and the words of each refusal.
func TestRefusals(t *testing.T) {
	serverKey, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	_, otherPin := keygen(t)
	p := listen(t, "--key", serverKey, "--peer", clientPin)
	if _, errs, code := runMayfly(t, "dial", "--key", clientKey, "--peer", otherPin, p.addr); code != exitRefused || !strings.Contains(errs, "refused") {
		t.Errorf("a server that is not on the list: %d, %s", code, errs)
	}
	if _, errs, code := runMayfly(t, "dial", "--confirm", "--peer", serverPin, p.addr); code != exitRefused || !strings.Contains(errs, "certificate_required") {
		t.Errorf("a client without a key: %d, %s", code, errs)
	}
	_ = p.stdin.Close() // listen is still there for the right one
	if _, errs, code := runMayfly(t, "dial", "--key", clientKey, "--peer", serverPin, p.addr); code != 0 {
		t.Errorf("the right client: %d, %s", code, errs)
	}
	if code, errs := p.wait(); code != 0 || !strings.Contains(errs, "turned") {
		t.Errorf("listen: %d, %s", code, errs)
	}
}

// TestCutIsNoEnd stops dial and listen before their input or output has ended: the
// other side must not take what it has for all there was.
func TestCutIsNoEnd(t *testing.T) {
	serverKey, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	dial := func(addr string) *exec.Cmd {
		return exec.CommandContext(bounded(t), program, "dial", "--key", clientKey, "--peer", serverPin, addr)
	}
	cut := func(t *testing.T, p *peer) {
		t.Helper()
		if code, errs := p.wait(); code != exitFailed || !strings.HasPrefix(errs, "mayfly: ") {
			t.Errorf("listen: %d, %q", code, errs)
		}
	}
	t.Run("interrupted", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("no signal can be sent to one process alone")
		}
		p := listen(t, "--key", serverKey, "--peer", clientPin)
		cmd := dial(p.addr)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		stdin, err := cmd.StdinPipe()
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
		_, _ = stdin.Write([]byte("half of"))
		_, _ = p.stdin.Write([]byte("here"))
		if _, err := io.ReadFull(out, make([]byte, 4)); err != nil { // connected
			t.Fatal(err, errs.String())
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("dial: %d, %q", code, errs.String())
		}
		cut(t, p)
	})
	t.Run("interrupted after the peer's end", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("no signal can be sent to one process alone")
		}
		p := listen(t, "--key", serverKey, "--peer", clientPin)
		_ = p.stdin.Close()
		cmd := dial(p.addr)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Args = append(cmd.Args, "--trace")
		errs, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(errs)
		for lines.Scan() && !strings.Contains(lines.Text(), "keys for receiving, generation 0, destroyed") {
		}
		_ = cmd.Process.Signal(os.Interrupt) // while dial waits for input alone, or is about to
		for lines.Scan() {
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != exitFailed {
			t.Errorf("dial: %d", code)
		}
		cut(t, p)
	})
	t.Run("input that cannot be read", func(t *testing.T) {
		p := listen(t, "--key", serverKey, "--peer", clientPin) // its input stays open
		dir, err := os.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		cmd := dial(p.addr)
		cmd.Stdin = dir
		errs, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(string(errs), "stdin") {
			t.Errorf("dial: %d, %v, %q", code, err, errs)
		}
		cut(t, p)
	})
	t.Run("output that cannot be written", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("no /dev/full here")
		}
		defer full.Close()
		p := listen(t, "--key", serverKey, "--peer", clientPin)
		_, _ = p.stdin.Write([]byte("more than a full disk takes"))
		cmd := dial(p.addr)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = full, &errs
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(errs.String(), "stdout") {
			t.Errorf("dial: %d, %q", code, errs.String())
		}
		cut(t, p)
	})
}

func TestUsage(t *testing.T) {
	key, pin := keygen(t)
	for _, test := range []struct {
		says string
		code int
		args []string
	}{
		{"--peer", exitUsage, []string{"listen", "--key", key, "127.0.0.1:0"}},
		{"--key", exitUsage, []string{"listen", "--peer", pin, "127.0.0.1:0"}},
		{"--peer", exitUsage, []string{"dial", "--key", key, "127.0.0.1:1"}},
		{"pin", exitUsage, []string{"dial", "--peer", "sha256//nonsense", "127.0.0.1:1"}},
		{"go together", exitUsage, []string{"dial", "--cert", "x", "127.0.0.1:1"}},
		{"--name", exitUsage, []string{"dial", "--peers", key, "127.0.0.1:1"}},
		{"no such file", exitUsage, []string{"dial", "--peers", "/nonexistent/peers", "--name", "x", "127.0.0.1:1"}},
		{"no such file", exitUsage, []string{"listen", "--key", key, "--peers", "/nonexistent/peers", "127.0.0.1:0"}},
		{"no such file", exitUsage, []string{"dial", "--key", "/nonexistent/key", "--peer", pin, "127.0.0.1:1"}},
		{"unknown flag: --nonsense: see mayfly dial --help", exitUsage, []string{"dial", "--nonsense"}},
		{`unknown command "nonsense": see mayfly --help`, exitUsage, []string{"nonsense"}},
		{`unknown command "dail" (dial, perhaps)`, exitUsage, []string{"dail"}},
		{`unknown command "dail" (dial, perhaps)`, exitUsage, []string{"help", "dail"}},
		{"see mayfly completion --help", exitUsage, []string{"completion", "ksh"}},
		{"dial takes ADDR, and was given nothing: see mayfly dial --help", exitUsage, []string{"dial"}},
		{`send takes ADDR FILE..., and was given "db:1": see mayfly send --help`, exitUsage, []string{"send", "db:1"}},
		{`keygen takes no arguments, and was given "a.key": see mayfly keygen --help`, exitUsage, []string{"keygen", "a.key"}},
		{"--max-bytes takes a whole number, and not \"x\"", exitUsage, []string{"recv", "--max-bytes", "x", ":0"}},
		{"--max-bytes is below zero", exitUsage, []string{"recv", "--max-bytes", "-1", ":0"}},
		{"--retries is below zero", exitUsage, []string{"send", "--retries", "-1", "db:1", key}},
		{"the same name", exitUsage, []string{"send", "--peer", pin, "db:1", key, key}},
		{`"7000" is no address to listen on: say host:port, or :port`, exitUsage, []string{"listen", "7000"}},
		{`"db" is no address to dial: say host:port`, exitUsage, []string{"dial", "db"}},
		{`":7000" is no address to dial: say host:port`, exitUsage, []string{"inspect", ":7000"}},
		{"number of a port", exitUsage, []string{"send", "db:70000", key}},
		{"number of a port", exitUsage, []string{"recv", "db:"}},
		{`--peer: "zzz" is no pin`, exitUsage, []string{"dial", "--peer", pin, "--peer", "zzz", "127.0.0.1:1"}},
		{"--ca: mayfly_test.go holds no certificate", exitUsage, []string{"dial", "--ca", "mayfly_test.go", "127.0.0.1:1"}},
		{"--alpn: the name of a protocol", exitUsage, []string{"dial", "--peer", pin, "--alpn", "h2,", "127.0.0.1:1"}},
		{"--identity and --cert do not go together", exitUsage, []string{"seal", "-r", "x", "-i", key, "--cert", "x"}},
		{"--cert and --cert-key go together", exitUsage, []string{"seal", "-r", "x", "--cert", "x"}},
		{"--from and --ca do not go together", exitUsage, []string{"open", "-i", key, "--from", "any", "--ca", "x"}},
		{"not a PEM file", exitUsage, []string{"pin", "mayfly_test.go"}},
		{"line 1: a pin is", exitUsage, []string{"dial", "--peers", key, "--name", "x", "127.0.0.1:1"}},
		{"line 1: a pin is", exitUsage, []string{"send", "--peers", key, "--name", "x", "127.0.0.1:1", key}},
		{"line 1: a pin is", exitUsage, []string{"listen", "--key", key, "--peers", key, "127.0.0.1:0"}},
		{"refused", exitFailed, []string{"dial", "--peer", pin, "127.0.0.1:1"}},
	} {
		_, errs, code := runMayfly(t, test.args...)
		if code != test.code || !strings.Contains(errs, test.says) || !strings.HasPrefix(errs, "mayfly: ") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: %d, %s", test.args, code, errs)
		}
	}
}

// TestSentence shows that an error is one line, without what a terminal would obey.
func TestSentence(t *testing.T) {
	t.Parallel()
	err := errors.Join(errors.New("mayfly: a name: \x1b[31m\xff…"), errors.New("and\tmore"))
	if s := sentence(err); s != "a name: \ufffd[31m\ufffd…; and\ufffdmore" {
		t.Errorf("%q", s)
	}
}

func TestDemo(t *testing.T) {
	out, errs, code := runMayfly(t, "demo", "--size", "8")
	if code != 0 {
		t.Fatal(code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	verdict := lines[len(lines)-1]
	if !strings.Contains(verdict, "of 5 secrets of the second process, 0 pieces in") && (canReadMemory(t) || !strings.Contains(verdict, errNotMeasured.Error())) {
		t.Errorf("it does not end with the memory scan's verdict:\n%s", out)
	}
	for _, way := range []string{"client sent", "server sent"} {
		_, line, _ := strings.Cut(out, way)
		_, changes, _ := strings.Cut(line, "keys changed ")
		if n, err := strconv.Atoi(strings.Fields(changes + " ?")[0]); err != nil || n < 2 {
			t.Errorf("%s: keys changed %d times, %v\n%s", way, n, err, out)
		}
	}
	var server, client int
	_, destroyed, _ := strings.Cut(out, "\nkeys ")
	if _, err := fmt.Sscanf(strings.TrimSpace(destroyed), "%d traffic keys wiped by the server, %d by the client", &server, &client); err != nil || min(server, client) < 8 {
		t.Errorf("%d and %d sets of keys destroyed, %v\n%s", server, client, err, out)
	}
	for _, want := range []string{"ok: each side knew the other", "X25519MLKEM768", "raw public key", "8388608 bytes in 512 records", "raw keys: full handshake", "certificates: full handshake"} {
		if !strings.Contains(out, want) {
			t.Errorf("the account does not say %q:\n%s", want, out)
		}
	}
}

// canReadMemory says whether this process may read the memory of a child.
func canReadMemory(t *testing.T) bool {
	t.Helper()
	key, _ := keygen(t)
	p := listen(t, "--key", key, "--anybody")
	return readMemory(p.cmd.Process.Pid, func([]byte) {}) == nil
}
