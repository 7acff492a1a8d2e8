// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"bufio"
	"bytes"
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

// startRedis starts a server on a Unix socket.
func startRedis(t *testing.T) (socket string) {
	t.Helper()
	redis := peerProgram(t, "redis-server")
	dir := shortDir(t)
	socket = filepath.Join(dir, "redis.sock")
	startPeer(t, exec.Command(redis, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir), "ready to accept connections")
	return socket
}

// shortDir is for sockets, whose paths must be short.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mayfly")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
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

// TestTunnelRedisClients puts a tunnel before a Redis, and lets 200 clients that know nothing of
// it store and fetch random values at the same time, while both ends of the tunnel read
// their keys again, are replaced by new processes, and are told to end: not a byte is lost.
func TestTunnelRedisClients(t *testing.T) {
	server, client := tunnels(t, "unix:"+startRedis(t))
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

// TestTunnelRedisCLI has Redis's own client before the tunnel.
func TestTunnelRedisCLI(t *testing.T) {
	t.Parallel()
	cli := peerProgram(t, "redis-cli")
	_, client := tunnels(t, "unix:"+startRedis(t))
	_, port, _ := net.SplitHostPort(client.addr)
	const values = 20000
	var mass strings.Builder
	for i := range values {
		fmt.Fprintf(&mass, "SET key:%d value:%d\r\n", i, i)
	}
	for _, step := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{"ping"}, "PONG"},
		{mass.String(), []string{"--pipe"}, fmt.Sprintf("errors: 0, replies: %d", values)},
		{"", []string{"dbsize"}, fmt.Sprint(values)},
		{"", []string{"get", "key:12345"}, "value:12345"},
	} {
		cmd := exec.CommandContext(bounded(t), cli, append([]string{"-h", "127.0.0.1", "-p", port}, step.args...)...)
		cmd.Stdin = strings.NewReader(step.stdin)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), step.want) {
			t.Errorf("%q: %s, %v", step.args, out, err)
		}
	}
}
