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
	"sync/atomic"
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

// A visit is one side's use of a connection: every operation that there is.
type visit struct {
	conn   *mayfly.Conn
	keys   ledger
	wrote  int // bytes that were sealed, and are the library's to deliver
	got    []byte
	end    error
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
	if took := time.Since(began); took > tooLong {
		v.failed = name + " took " + took.String()
	}
	v.errs = append(v.errs, err)
	return err
}

func (v *visit) run(seed byte, deadline time.Duration) {
	c := v.conn
	if v.do("Handshake", c.Handshake) == nil {
		_ = c.SetDeadline(time.Now().Add(deadline))
		read := make(chan struct{})
		go func() {
			defer close(read)
			v.got, v.end = io.ReadAll(c)
			if v.end == nil {
				v.end = io.EOF
			}
		}()
		data := pattern(visitData, seed)
		for len(data) > 0 {
			n := min(len(data), 7000)
			if v.do("Write", func() error {
				k, err := c.Write(data[:n])
				v.wrote += k
				return err
			}) != nil {
				break
			}
			data = data[n:]
			_ = v.do("Rekey", func() error {
				ctx, cancel := context.WithTimeout(context.Background(), deadline)
				defer cancel()
				return c.Rekey(ctx)
			})
		}
		_ = v.do("ExportKeyingMaterial", func() error { _, err := c.ExportKeyingMaterial("EXPORTER-mayfly-fuzz", nil, 16); return err })
		_ = v.do("Flush", c.Flush)
		_ = v.do("CloseWrite", c.CloseWrite)
		_ = v.do("Read", func() error { <-read; return v.end })
	} else {
		_ = v.do("Write", func() error { _, err := c.Write([]byte("x")); return err })
		_ = v.do("Read", func() error { _, v.end = c.Read(make([]byte, 1)); return v.end })
	}
	_, _, _ = c.Peer(), c.ConnectionState(), c.Stats()
	_ = v.do("Close", c.Close)
	if v.do("Write after Close", func() error { _, err := c.Write([]byte("x")); return err }) == nil {
		v.failed = "Write after Close succeeded"
	}
}

// meet lets two connections visit each other over a path.
func meet(p path) (client, server *visit) {
	a, b := p.pipe()
	client, server = new(visit), new(visit)
	cc := &mayfly.Config{Identity: people().client.identity, Peers: mayfly.Pins(people().serverEd.pin()),
		HandshakeTimeout: p.deadline(), Trace: client.keys.trace(), Rekey: mayfly.RekeyPolicy{MinInterval: -1}}
	sc := &mayfly.Config{Identity: people().serverEd.identity, Peers: mayfly.Pins(people().client.pin()),
		HandshakeTimeout: p.deadline(), Trace: server.keys.trace(), Rekey: mayfly.RekeyPolicy{MinInterval: -1}}
	client.conn, server.conn = mayfly.Client(a, cc), mayfly.Server(b, sc)
	var both sync.WaitGroup
	both.Go(func() { client.run('c', p.deadline()) })
	both.Go(func() { server.run('s', p.deadline()) })
	both.Wait()
	return client, server
}

// check says what of one side is wrong.
func (v *visit) check(t *testing.T, p path, who string, theirs byte, wrote int) {
	t.Helper()
	complain := func(text string) {
		t.Helper()
		t.Errorf("%+v, %s: %s (%d bytes, %v; %v)", p, who, text, len(v.got), v.end, v.errs)
	}
	if v.failed != "" {
		complain(v.failed)
	}
	if !bytes.HasPrefix(pattern(visitData, theirs), v.got) {
		complain("wrong data")
	}
	if v.end == io.EOF && len(v.got) != wrote {
		complain("a cut looks like an end")
	}
	var e *mayfly.AlertError
	switch {
	case v.end == io.EOF, errors.As(v.end, &e), errors.Is(v.end, io.ErrUnexpectedEOF), errors.Is(v.end, os.ErrDeadlineExceeded),
		errors.Is(v.end, net.ErrClosed), errors.As(v.end, new(*net.OpError)):
	default:
		complain("an error of an unknown kind")
	}
	if left := leftIn(v.conn); left != "" || v.keys.open() != 0 {
		complain("keys are left: " + left)
	}
}

// TestFaults uses connections over a network that delays, splits, joins, cuts, resets,
// stalls, corrupts, loses, doubles and reorders, at many places in turn. Nothing wrong
// is read, no cut looks like an end, every call returns, no key and no goroutine is
// left.
func TestFaults(t *testing.T) {
	people()
	before := runtime.NumGoroutine()
	var paths []path
	at := []int64{0, 1, 4, 5, 6, 50, 200, 1300, 1500, 1505, 1700, 1800, 1900, 2000, 2200, 5000, 9000, 20000, 31000}
	manners := []path{{}, {segments: []int{1, 500}}, {capacity: 1000}, {segments: []int{3000}, delay: 50 * time.Microsecond}}
	for i := range *places {
		at = append(at, int64(i*34000 / *places))
	}
	for i, at := range at {
		for j, fault := range testnet.Faults() {
			for _, fromClient := range []bool{true, false} {
				p := manners[(i+j)%len(manners)]
				p.fault, p.at, p.fromClient = fault, at+int64(j), fromClient
				paths = append(paths, p)
			}
		}
	}
	var done, whole atomic.Int64
	work := make(chan path)
	var workers sync.WaitGroup
	for range 16 { // most of the time somebody waits for a deadline
		workers.Go(func() {
			for p := range work {
				client, server := meet(p)
				client.check(t, p, "client", 's', server.wrote)
				server.check(t, p, "server", 'c', client.wrote)
				done.Add(1)
				if client.end == io.EOF && server.end == io.EOF && client.wrote+server.wrote == 2*visitData {
					whole.Add(1)
				}
				if p.fault == testnet.None && (client.end != io.EOF || server.end != io.EOF) {
					t.Errorf("without a fault: %+v: %v, %v", p, client.end, server.end)
				}
			}
		})
	}
	for _, p := range paths {
		work <- p
	}
	close(work)
	workers.Wait()
	checkGoroutines(t, before)
	t.Logf("%d connections with faults, of which %d ended in order", done.Load(), whole.Load())
}
