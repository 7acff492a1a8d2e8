// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/testnet"
)

var places = flag.Int("places", 0, "at how many more places TestFaults breaks connections")

// A path is what happens between the two ends of a connection.
type path struct {
	fault      testnet.Fault
	at         int64
	fromClient bool
	segments   []int
	capacity   int
	delay      time.Duration
}

func (p path) pipe() (client, server *testnet.Conn) {
	there := testnet.Path{Segments: p.segments, Capacity: p.capacity, Delay: p.delay}
	back := there
	if p.fromClient {
		there.Fault, there.At = p.fault, p.at
	} else {
		back.Fault, back.At = p.fault, p.at
	}
	return testnet.Pipe(there, back)
}

// A visit is one side's use of a connection.
type visit struct {
	config *mayfly.Config
	conn   *mayfly.Conn // nil: it came to none
	keys   ledger
	says   []byte
	wrote  int // bytes that were sealed, and are the library's to deliver
	got    []byte
	end    error

	mu     sync.Mutex // guards what do notes
	errs   []error
	failed string
}

const (
	tooLong   = 10 * time.Second // for each call
	visitData = 30000
)

// deadline is for those whose peer may have vanished. Where nothing breaks none of
// it is used.
func (p path) deadline() time.Duration {
	if p.fault == testnet.None {
		return patience
	}
	return 150 * time.Millisecond
}

// do runs one operation, and notes where it takes too long.
func (v *visit) do(name string, f func() error) error {
	began := time.Now()
	err := f()
	v.mu.Lock()
	defer v.mu.Unlock()
	if took := time.Since(began); took > tooLong {
		v.failed = name + " took " + took.String()
	}
	v.errs = append(v.errs, err)
	return err
}

func newVisits(p path) (client, server *visit) {
	client, server = &visit{says: pattern(visitData, 'c')}, &visit{says: pattern(visitData, 's')}
	client.config = &mayfly.Config{Identity: people().client.identity, Peers: mayfly.MustParsePins(people().serverEd.pin()),
		HandshakeTimeout: p.deadline(), Trace: client.keys.trace(), Rekey: mayfly.RekeyPolicy{MinInterval: -1}}
	server.config = &mayfly.Config{Identity: people().serverEd.identity, Peers: mayfly.MustParsePins(people().client.pin()),
		HandshakeTimeout: p.deadline(), Trace: server.keys.trace(), Rekey: mayfly.RekeyPolicy{MinInterval: -1}}
	return client, server
}

// meet lets two connections visit each other over a path.
func meet(p path, clientUse, serverUse func(v *visit, p path)) (client, server *visit) {
	client, server = newVisits(p)
	a, b := p.pipe()
	client.conn, server.conn = mayfly.Client(a, client.config), mayfly.Server(b, server.config)
	var both sync.WaitGroup
	both.Go(func() { clientUse(client, p) })
	both.Go(func() { serverUse(server, p) })
	both.Wait()
	return client, server
}

// check says what of one side is wrong.
func (v *visit) check(t *testing.T, p path, who string, theirs *visit) {
	t.Helper()
	complain := func(text string) {
		t.Helper()
		t.Errorf("%+v, %s: %s (%d bytes, %v; %v)", p, who, text, len(v.got), v.end, v.errs)
	}
	if v.failed != "" {
		complain(v.failed)
	}
	if !bytes.HasPrefix(theirs.says, v.got) {
		complain("wrong data")
	}
	if v.end == io.EOF && len(v.got) != theirs.wrote {
		complain("a cut looks like an end")
	}
	var e *mayfly.AlertError
	switch {
	case v.end == io.EOF, errors.As(v.end, &e), errors.Is(v.end, io.ErrUnexpectedEOF), errors.Is(v.end, os.ErrDeadlineExceeded),
		errors.Is(v.end, context.DeadlineExceeded), errors.Is(v.end, net.ErrClosed), errors.As(v.end, new(*net.OpError)):
	default:
		complain("an error of an unknown kind")
	}
	left := ""
	if v.conn != nil {
		left = leftIn(v.conn)
	}
	for end := time.Now().Add(patience); v.conn == nil && v.keys.open() != 0 && time.Now().Before(end); {
		runtime.Gosched() // a Listener that was closed does not wait for the handshakes that it has cut short
	}
	if left != "" || v.keys.open() != 0 {
		complain("keys are left: " + left)
	}
}

// TestFaults uses connections, in all the ways that there are, over a network that delays,
// splits, joins, cuts, resets, stalls, corrupts, loses, doubles and reorders, at many
// places in turn. Nothing wrong is read, no cut looks like an end, every call returns, no
// key and no goroutine is left.
func TestFaults(t *testing.T) {
	people()
	before := runtime.NumGoroutine()
	type trial struct {
		path
		use use
	}
	var trials []trial
	at := []int64{0, 1, 4, 5, 6, 50, 200, 1300, 1500, 1505, 1700, 1800, 1900, 2000, 2200, 5000, 9000, 20000, 31000}
	manners := []path{{}, {segments: []int{1, 500}}, {capacity: 1000}, {segments: []int{3000}, delay: 50 * time.Microsecond}}
	all := uses()
	for i := range *places {
		at = append(at, int64(i*34000 / *places))
	}
	for i, at := range at {
		for j, fault := range testnet.Faults() {
			for k, fromClient := range []bool{true, false} {
				p := manners[(i+j)%len(manners)]
				p.fault, p.at, p.fromClient = fault, at+int64(j), fromClient
				trials = append(trials, trial{p, all[0]})
				for n, use := range all[1:] {
					if *places > 0 || (i+j+k)%5 == n { // each fault in each use, and not at each place
						trials = append(trials, trial{p, use})
					}
				}
			}
		}
	}
	var mu sync.Mutex
	whole, done := 0, make(map[string]int)
	work := make(chan trial)
	var workers sync.WaitGroup
	for range 32 { // most of the time somebody waits for a deadline
		workers.Go(func() {
			for p := range work {
				client, server := p.use.meet(p.path)
				client.check(t, p.path, p.use.name+", client", server)
				server.check(t, p.path, p.use.name+", server", client)
				mu.Lock()
				done[p.use.name]++
				ended := client.end == io.EOF && server.end == io.EOF
				if ended && client.wrote+server.wrote == 2*visitData {
					whole++
				} else if p.fault == testnet.None && p.use.name != "aborts" {
					t.Errorf("%s, without a fault: %+v: %v, %v", p.use.name, p.path, client.end, server.end)
				}
				mu.Unlock()
			}
		})
	}
	for _, p := range trials {
		work <- p
	}
	close(work)
	workers.Wait()
	checkGoroutines(t, before)
	t.Logf("%d connections with faults, in uses %v, of which %d ended in order", len(trials), done, whole)
}
