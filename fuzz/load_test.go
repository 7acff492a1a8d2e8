// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"context"
	"errors"
	"flag"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/testnet"
)

var held = flag.Int("connections", 500, "how many connections TestManyConnections holds")

// strangers are how many of them TestStrangers lets in.
const strangers = 1000

// TestStrangers shows what a thousand strangers cost who connect and say nothing, or a
// byte now and then, and that somebody with a key gets in beside them within a
// second.
func TestStrangers(t *testing.T) {
	people()
	before := runtime.NumGoroutine()
	pipes := newPipes()
	ln, err := mayfly.NewListener(pipes, &mayfly.Config{
		Identity: people().serverEd.identity, Peers: mayfly.Pins(people().client.pin()),
		HandshakeTimeout: time.Minute, Trace: new(mayfly.Trace),
	})
	if err != nil {
		t.Fatal(err)
	}
	ln.MaxHandshakesPerHost = -1 // they have as many addresses as they like
	accepted := make(chan *mayfly.Conn, 16)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.AcceptConn()
			if err != nil {
				return
			}
			accepted <- c
		}
	})
	goroutines, heap := runtime.NumGoroutine(), heapInUse()
	var there []*testnet.Conn
	for i := range strangers {
		c := pipes.dial(t)
		there = append(there, c)
		if i%2 == 1 { // the beginning of a ClientHello that never ends
			_, _ = c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3})
		}
	}
	var took []time.Duration
	for range 20 {
		for i, c := range there { // all dribble
			if i%2 == 1 {
				_, _ = c.Write([]byte{byte(i)})
			}
		}
		began := time.Now()
		c := mayfly.Client(pipes.dial(t), &mayfly.Config{Identity: people().client.identity, Peers: mayfly.Pins(people().serverEd.pin())})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := c.HandshakeContext(ctx); err != nil {
			t.Fatal(err)
		}
		_ = (<-accepted).Close()
		took = append(took, time.Since(began))
		cancel()
		_ = c.Close()
	}
	slices.Sort(took)
	if worst := took[len(took)-1]; worst > time.Second {
		t.Errorf("an honest client waited %v", worst)
	}
	each := func(n int) float64 { return float64(n) / strangers }
	t.Logf("each of %d strangers, of whom half are silent, costs %.0f bytes of heap and %.2f goroutines; honest clients get in within %v, half of them within %v",
		strangers, each(int(heapInUse())-int(heap)), each(runtime.NumGoroutine()-goroutines), took[len(took)-1], took[len(took)/2])
	_ = ln.Close()
	for _, c := range there {
		_ = c.Close()
	}
	all.Wait()
	checkGoroutines(t, before)
}

// TestManyConnections holds many connections at once, with a word now and then on each,
// and closes them. What each costs, both of its sides together, is logged.
func TestManyConnections(t *testing.T) {
	people()
	before, heap := runtime.NumGoroutine(), heapInUse()
	sum := new(ledger)
	type pair struct{ client, server *mayfly.Conn }
	var pairs []pair
	began := time.Now()
	for range *held {
		a, b := testnet.Pipe(testnet.Path{}, testnet.Path{})
		p := pair{
			mayfly.Client(a, &mayfly.Config{Identity: people().client.identity, Peers: mayfly.Pins(people().serverEd.pin()), Trace: sum.trace()}),
			mayfly.Server(b, &mayfly.Config{Identity: people().serverEd.identity, Peers: mayfly.Pins(people().client.pin()), Trace: sum.trace()}),
		}
		done := make(chan error, 1)
		go func() { done <- p.server.Handshake() }()
		if err := errors.Join(p.client.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, p)
	}
	opened := time.Since(began)
	word := []byte("now and then a word")
	say := func() {
		for _, p := range pairs {
			for _, way := range [][2]*mayfly.Conn{{p.client, p.server}, {p.server, p.client}} {
				buf := make([]byte, 64)
				if _, err := way[0].Write(word); err != nil {
					t.Fatal(err)
				}
				if n, err := way[1].Read(buf); err != nil || string(buf[:n]) != string(word) {
					t.Fatal(n, err)
				}
			}
		}
	}
	say()
	cost := int(heapInUse()) - int(heap)
	t.Logf("%d connections: %d bytes of heap each, both sides and what is between them; %v to open each; %d goroutines more",
		*held, cost / *held, opened/time.Duration(*held), runtime.NumGoroutine()-before)
	say()
	for _, p := range pairs {
		if err := errors.Join(p.client.Close(), p.server.Close()); err != nil {
			t.Fatal(err)
		}
	}
	pairs = nil
	if n := sum.open(); n != 0 {
		t.Errorf("%d more keys were installed than destroyed", n)
	}
	checkGoroutines(t, before)
	if left := int(heapInUse()) - int(heap); left > cost/4+(1<<20) {
		t.Errorf("%d bytes of heap are left", left)
	}
}

// pipes is a listener whose connections are in memory: as many as one likes.
type pipes struct {
	calls chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{calls: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) dial(t *testing.T) *testnet.Conn {
	t.Helper()
	a, b := testnet.Pipe(testnet.Path{}, testnet.Path{})
	select {
	case p.calls <- b:
	case <-time.After(patience):
		t.Fatal("nobody accepts")
	}
	return a
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.calls:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "testnet" }
func (pipeAddr) String() string  { return "pipes" }
