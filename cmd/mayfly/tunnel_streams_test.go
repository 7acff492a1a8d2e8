// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestTunnelStreams has 200 connections carry random bytes to a target that sends them
// back, all the time, while both ends of the tunnel read their keys again, are replaced
// by new processes, and drain. What comes back is what was sent, to the end.
func TestTunnelStreams(t *testing.T) {
	target := echoTarget(t)
	server, client := tunnels(t, target)
	const conns = 200
	var (
		stop     atomic.Bool
		carried  atomic.Int64
		all      sync.WaitGroup
		underWay sync.WaitGroup
	)
	defer stop.Store(true)
	underWay.Add(conns)
	for i := range conns {
		all.Go(func() {
			n, err := stream(client.addr, byte(i), underWay.Done, &stop)
			carried.Add(n)
			if err != nil {
				t.Errorf("connection %d, after %d bytes: %v", i, n, err)
			}
		})
	}
	underWay.Wait()
	for _, p := range []*tunnelProcess{server, client} {
		p.signal(syscall.SIGHUP)
		p.await("reloaded")
	}
	for _, p := range []*tunnelProcess{server, client} {
		if n := p.replace(); n != conns {
			t.Errorf("%d connections were taken over", n)
		}
		if code := p.ends(); code != 0 {
			t.Errorf("the process before ended with %d", code)
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
	t.Logf("%d connections, %d bytes there and back", conns, carried.Load())
}

// echoTarget sends back what it is sent, each half to its end.
func echoTarget(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return ln.Addr().String()
}

// stream sends random bytes in pieces until stop, and compares what comes back, which it
// counts. underWay is called when the first has.
func stream(addr string, seed byte, underWay func(), stop *atomic.Bool) (n int64, err error) {
	var once sync.Once
	defer once.Do(underWay)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	type sum struct {
		n    int64
		hash [32]byte
		err  error
	}
	sent, window, over := make(chan sum, 1), make(chan struct{}, 5), make(chan struct{})
	defer close(over)
	go func() {
		random, hash := rand.NewChaCha8([32]byte{seed}), sha256.New()
		var s sum
		for piece := make([]byte, 10_000); !stop.Load() && s.err == nil; {
			select {
			case window <- struct{}{}: // few pieces are under way
			case <-over:
			}
			_, _ = random.Read(piece)
			hash.Write(piece)
			var k int
			k, s.err = c.Write(piece)
			s.n += int64(k)
		}
		if s.err == nil {
			s.err = c.(*net.TCPConn).CloseWrite()
		}
		copy(s.hash[:], hash.Sum(nil))
		sent <- s
	}()
	hash := sha256.New()
	for p := make([]byte, 10_000); err == nil; {
		var k int
		k, err = c.Read(p)
		hash.Write(p[:k])
		for range (n+int64(k))/10_000 - n/10_000 {
			<-window
		}
		n += int64(k)
		once.Do(underWay)
	}
	if err != io.EOF {
		return n, err
	}
	if s := <-sent; s.err != nil || s.n != n || s.hash != [32]byte(hash.Sum(nil)) {
		return n, fmt.Errorf("%d bytes were sent, and what came back is not that: %w", s.n, s.err)
	}
	return n, nil
}
