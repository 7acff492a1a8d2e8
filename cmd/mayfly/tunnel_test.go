// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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
	lines chan string // what it logs
	said  []string
}

func startTunnel(t *testing.T, args ...string) *tunnelProcess {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &tunnelProcess{t: t, lines: make(chan string, 10000)}
	p.cmd = exec.Command(program, append(append([]string{"tunnel"}, args...), "--log-format", "json")...)
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
			t.Log(strings.Join(p.said, "\n"))
		}
	})
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(read); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	begins := p.await("tunnel begins")
	p.addr = begins["listen"].(string)
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

// startRedis starts a server on a Unix socket.
func startRedis(t *testing.T) (socket string) {
	t.Helper()
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("MAYFLY_REQUIRE_PEERS") == "1" {
			t.Fatal("no redis-server here")
		}
		t.Skip("no redis-server here")
	}
	dir, err := os.MkdirTemp("", "redis") // short: the path of a socket is
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "redis.sock")
	cmd := exec.Command(redis, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	s := bufio.NewScanner(out)
	for s.Scan() {
		if strings.Contains(strings.ToLower(s.Text()), "ready to accept connections") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return socket
		}
	}
	t.Fatal("redis-server does not begin")
	return ""
}

// A redisClient speaks RESP, in the clear.
type redisClient struct {
	net.Conn
	r *bufio.Reader
}

func dialRedis(addr string) (*redisClient, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &redisClient{c, bufio.NewReader(c)}, nil
}

func (c *redisClient) do(args ...string) (string, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := c.Write(b.Bytes()); err != nil {
		return "", err
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	var n int
	if _, err := fmt.Sscanf(line, "$%d", &n); err != nil {
		return line, nil
	}
	value := make([]byte, n+2)
	_, err = io.ReadFull(c.r, value)
	return string(value[:n]), err
}

// TestTunnelRedis puts a tunnel before a Redis, and lets 200 clients that know nothing of
// it store and fetch random values at the same time, while both ends of the tunnel are
// given new keys, are replaced by new processes, and are told to end: not a byte is lost.
func TestTunnelRedis(t *testing.T) {
	socket := startRedis(t)
	serverKey, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	peers := filepath.Join(t.TempDir(), "peers")
	if err := os.WriteFile(peers, []byte(clientPin+" app\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := startTunnel(t, "server", "--listen", "127.0.0.1:0", "--target", "unix:"+socket, "--key", serverKey, "--peers", peers, "--watch", "0", "--drain", "50s", "--admin", "127.0.0.1:0")
	client := startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--key", clientKey, "--peer", serverPin, "--watch", "0", "--drain", "50s")

	const clients = 200
	var (
		stop   atomic.Bool
		rounds atomic.Int64
		all    sync.WaitGroup
		first  sync.WaitGroup
	)
	first.Add(clients)
	defer stop.Store(true)
	for i := range clients {
		all.Go(func() {
			n, err := storeAndFetch(client.addr, i, &stop, &first)
			rounds.Add(int64(n))
			if err != nil {
				t.Errorf("client %d, round %d: %v", i, n, err)
			}
		})
	}
	first.Wait()
	for _, p := range []*tunnelProcess{server, client} {
		p.signal(syscall.SIGHUP)
		p.await("reloaded")
	}
	for _, p := range []*tunnelProcess{server, client, server} {
		if n := p.replace(); n != clients {
			t.Errorf("%d connections were taken over", n)
		}
	}
	for _, p := range []*tunnelProcess{client, server} {
		p.signal(syscall.SIGTERM)
		p.awaitOf("draining")
	}
	stop.Store(true)
	all.Wait()
	for _, p := range []*tunnelProcess{client, server} {
		if cut := p.awaitOf("tunnel ends")["cut"].(float64); cut != 0 {
			t.Errorf("%v connections were cut", cut)
		}
	}
	t.Logf("%d clients, %d values there and back", clients, rounds.Load())
}

// storeAndFetch returns how many values came back as they were.
func storeAndFetch(addr string, i int, stop *atomic.Bool, first *sync.WaitGroup) (rounds int, err error) {
	passed := false
	pass := func() {
		if !passed {
			first.Done()
		}
		passed = true
	}
	defer pass()
	c, err := dialRedis(addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	random, value := rand.NewChaCha8([32]byte{byte(i)}), make([]byte, 8<<10)
	for key := fmt.Sprint(i); !stop.Load(); rounds++ {
		_, _ = random.Read(value)
		if answer, err := c.do("SET", key, string(value)); err != nil || answer != "+OK" {
			return rounds, fmt.Errorf("SET: %.20q, %w", answer, err)
		}
		if answer, err := c.do("GET", key); err != nil || answer != string(value) {
			return rounds, errors.Join(errors.New("GET returned another value"), err)
		}
		pass()
	}
	if answer, err := c.do("QUIT"); err != nil || answer != "+OK" {
		return rounds, fmt.Errorf("QUIT: %q, %w", answer, err)
	}
	if _, err := c.r.ReadByte(); err != io.EOF {
		return rounds, fmt.Errorf("after QUIT: %w", err)
	}
	return rounds, nil
}
