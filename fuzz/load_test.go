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
	"github.com/mayfly-tls/mayfly/record"
)

var held = flag.Int("connections", 500, "how many connections TestManyConnections holds")

// strangers are how many of them TestStrangers lets in, a fifth of each kind.
const strangers = 1000

// strangerCost is the most heap that a stranger of a kind may cost. MaxHandshakes times
// the largest is what all strangers together can hold.
var strangerCost = []struct {
	kind  string
	words [][]byte // one after the other
	most  int      // bytes of heap
}{
	{"silent", nil, 8 << 10},
	{"in the middle of a ClientHello", [][]byte{{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}}, 16 << 10},
	{"in the middle of a long record", [][]byte{{22, 3, 1, 0x40, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 16000)}, 32 << 10},
	{"in the middle of a long message", longHello(60 << 10), 128 << 10},
	{"silent after a ClientHello", nil, 16 << 10},
}

// firstHello is what a client says first.
func firstHello() []byte {
	a, b := testnet.Pipe(testnet.Path{}, testnet.Path{})
	c := mayfly.Client(a, &mayfly.Config{Peers: mayfly.InsecureAnyServer()})
	done := make(chan error, 1)
	go func() { done <- c.Handshake() }()
	buf := make([]byte, 1<<14)
	n := must(b.Read(buf))
	_, _, _ = b.Close(), c.Close(), <-done
	return buf[:n]
}

// longHello is the first part of a message, in full records, and the start of another record.
func longHello(n int) (records [][]byte) {
	rest := append([]byte{1, 0, 0xff, 0xf0}, make([]byte, n)...)
	for len(rest) > 0 {
		k := min(len(rest), record.MaxPlaintext)
		records = append(records, append(header(record.Handshake, 0x0301, k), rest[:k]...))
		rest = rest[k:]
	}
	return append(records, header(record.Handshake, 0x0301, 1000))
}

// TestStrangers shows what a thousand strangers cost who connect and say nothing, or begin
// something and do not end it, and go on with a byte now and then; and that somebody with
// a key gets in beside them within a second.
func TestStrangers(t *testing.T) {
	people()
	before := runtime.NumGoroutine()
	pipes := newPipes()
	ln, err := mayfly.NewListener(pipes, &mayfly.Config{
		Identity: people().serverEd.identity, Peers: mayfly.MustParsePins(people().client.pin()),
		HandshakeTimeout: time.Minute, Trace: new(mayfly.Trace),
	})
	if err != nil {
		t.Fatal(err)
	}
	ln.MaxHandshakesPerHost = -1 // they have as many addresses as they like
	ln.CookieAbove = strangers / 10
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
	goroutines := runtime.NumGoroutine()
	var there, dribbling []*testnet.Conn
	for i, kind := range strangerCost {
		const n = strangers / 5
		if i == len(strangerCost)-1 {
			kind.words = [][]byte{firstHello()}
		}
		heap := heapInUse()
		for range n {
			c := pipes.dial(t)
			there = append(there, c)
			if kind.words != nil && i < len(strangerCost)-1 {
				dribbling = append(dribbling, c)
			}
			for _, word := range kind.words {
				if _, err := c.Write(word); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, c := range there[len(there)-n:] {
			c.WaitRead()
		}
		cost := (int(heapInUse()) - int(heap)) / n
		t.Logf("a stranger who is %s costs %d bytes of heap", kind.kind, cost)
		if cost > kind.most {
			t.Errorf("that is more than %d", kind.most)
		}
	}
	var took []time.Duration
	for i := range 20 {
		for _, c := range dribbling {
			_, _ = c.Write([]byte{byte(i)})
		}
		began := time.Now()
		c := mayfly.Client(pipes.dial(t), &mayfly.Config{Identity: people().client.identity, Peers: mayfly.MustParsePins(people().serverEd.pin())})
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
	if half := took[len(took)/2]; half > time.Second { // the worst is what a busy machine makes of it
		t.Errorf("half of the honest clients waited %v and longer", half)
	}
	t.Logf("%d strangers, of whom a fifth are silent, take %.2f goroutines each; honest clients get in within %v, half of them within %v",
		strangers, float64(runtime.NumGoroutine()-goroutines)/strangers, took[len(took)-1], took[len(took)/2])
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
			mayfly.Client(a, &mayfly.Config{Identity: people().client.identity, Peers: mayfly.MustParsePins(people().serverEd.pin()), Trace: sum.trace()}),
			mayfly.Server(b, &mayfly.Config{Identity: people().serverEd.identity, Peers: mayfly.MustParsePins(people().client.pin()), Trace: sum.trace()}),
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
