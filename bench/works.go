// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

func aesWorks() []work    { return bulkWorks(aes128) }
func chachaWorks() []work { return bulkWorks(chacha) }

// otherWorks are those for which the suite matters little.
func otherWorks() []work {
	var list []work
	add := func(name, unit string, less bool, libs []library, run func(library, time.Duration) (float64, error)) {
		w := work{name: name, unit: unit, less: less}
		for _, lib := range libs {
			w.parts = append(w.parts, part{lib.name, func(span time.Duration) (float64, error) { return run(lib, span) }})
		}
		list = append(list, w)
	}
	three := append(libraries(aes128), noiseLibrary())
	add("ping-pong, 64 bytes, median", "µs", true, append(three, bare()), func(l library, d time.Duration) (float64, error) { return pingPong(l, d, 50) })
	add("ping-pong, 64 bytes, 99th percentile", "µs", true, append(three, bare()), func(l library, d time.Duration) (float64, error) { return pingPong(l, d, 99) })
	add("ping-pong, 64 bytes, allocations", "a round", true, three, pingPongAllocations)
	add("handshake, mutual, X25519", "a second", false, three, handshakes)
	add("handshake, mutual, X25519, one authority", "a second", false, []library{three[0], issuedLibrary(aes128, tls.X25519)}, handshakes)
	add("handshake, mutual, X25519MLKEM768", "a second", false, hybrids(), handshakes)
	add("handshake, resumed, X25519", "a second", false, resuming(), resumptions)
	add("handshake, mutual, X25519, allocations", "each", true, three, handshakeAllocations)
	add("writes to the socket for 1 MiB", "calls", true, three, socketWrites)
	for _, n := range []int{64, 16 << 10} {
		add(fmt.Sprintf("heap by idle connection, after %d bytes", n), "bytes", true, three, func(l library, _ time.Duration) (float64, error) { return idleHeap(l, n) })
	}
	for _, n := range []int{1, 100, 1000, 10000} {
		add(fmt.Sprintf("%d connections, 1 KiB round trips", n), "a second", false, three[:2], func(l library, d time.Duration) (float64, error) { return many(l, n, d) })
		if n == 1 {
			continue // too little to be told from what else there is
		}
		add(fmt.Sprintf("%d connections, heap and stacks", n), "bytes each", true, three[:2], func(l library, _ time.Duration) (float64, error) { return manyMemory(l, n) })
	}
	return list
}

func hybrids() []library {
	return []library{mayflyLibrary(aes128, tls.X25519MLKEM768), tlsLibrary(aes128, tls.X25519MLKEM768)}
}

// pingPong returns a percentile of the time of a round trip in microseconds.
func pingPong(lib library, span time.Duration, percentile int) (float64, error) {
	a, b, err := secured(lib)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	defer a.Close()
	echo(b)
	var times []time.Duration
	p := make([]byte, 64)
	for start := time.Now(); time.Since(start) < span; {
		t := time.Now()
		if err := roundTrip(a, p); err != nil {
			return 0, err
		}
		times = append(times, time.Since(t))
	}
	slices.Sort(times)
	return float64(times[len(times)*percentile/100].Nanoseconds()) / 1e3, nil
}

// echo returns what comes.
func echo(c net.Conn) {
	go func() {
		p := make([]byte, 1<<10)
		for {
			n, err := c.Read(p)
			if err != nil {
				return
			}
			if _, err := c.Write(p[:n]); err != nil {
				return
			}
		}
	}()
}

func roundTrip(c net.Conn, p []byte) error {
	if _, err := c.Write(p); err != nil {
		return err
	}
	_, err := io.ReadFull(c, p)
	return err
}

// pingPongAllocations counts those of both sides.
func pingPongAllocations(lib library, span time.Duration) (float64, error) {
	a, b, err := secured(lib)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	defer a.Close()
	echo(b)
	p := make([]byte, 64)
	return allocations(span, func() error { return roundTrip(a, p) })
}

// allocations is how many f makes, all goroutines counted.
func allocations(span time.Duration, f func() error) (float64, error) {
	for range 10 { // pools fill
		if err := f(); err != nil {
			return 0, err
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for start := time.Now(); time.Since(start) < span; n++ {
		if err := f(); err != nil {
			return 0, err
		}
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n), nil
}

// oneHandshake does one over memory, and closes.
func oneHandshake(lib library) error {
	c, s := memoryPair()
	a, b, err := lib.pair(c, s)
	if err == nil {
		_, _ = c.Close(), s.Close() // nobody says goodbye
		_, _ = a.Close(), b.Close()
	}
	return err
}

// handshakes counts those of one client and one server, side by side.
func handshakes(lib library, span time.Duration) (float64, error) {
	if err := oneHandshake(lib); err != nil {
		return 0, err
	}
	n, start := 0, time.Now()
	for ; time.Since(start) < span; n++ {
		if err := oneHandshake(lib); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

func handshakeAllocations(lib library, span time.Duration) (float64, error) {
	return allocations(span, func() error { return oneHandshake(lib) })
}

// resumptions counts handshakes that resume the session of the one before. The byte
// that follows brings the next ticket.
func resumptions(lib library, span time.Duration) (float64, error) {
	resume := func() (resumed bool, err error) {
		c, s := memoryPair()
		a, b, err := lib.pair(c, s)
		if err != nil {
			return false, err
		}
		if _, err := b.Write(make([]byte, 1)); err != nil {
			return false, err
		}
		_, err = io.ReadFull(a, make([]byte, 1))
		resumed = a.(interface{ ConnectionState() tls.ConnectionState }).ConnectionState().DidResume
		_, _ = c.Close(), s.Close() // nobody says goodbye
		_, _ = a.Close(), b.Close()
		return resumed, err
	}
	if _, err := resume(); err != nil {
		return 0, err
	}
	n, start := 0, time.Now()
	for ; time.Since(start) < span; n++ {
		switch resumed, err := resume(); {
		case err != nil:
			return 0, err
		case !resumed:
			return 0, errors.New("a full handshake, where a session was to be resumed")
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// socketWrites counts the calls of Write below a Write of 1 MiB.
func socketWrites(lib library, _ time.Duration) (float64, error) {
	client, server, cs, _, err := swapped(lib)
	if err != nil {
		return 0, err
	}
	defer server.Close()
	defer client.Close()
	calls := 0
	cs.w = writerFunc(func(p []byte) (int, error) { calls++; return len(p), nil })
	// Libraries that begin with small records get over that first.
	for range 2 {
		calls = 0
		if _, err := client.Write(make([]byte, 1<<20)); err != nil {
			return 0, err
		}
	}
	return float64(calls), nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// manyMemory is what each of the two ends of n connections takes after a round trip,
// with half of a goroutine, as the server's end has one that waits.
func manyMemory(lib library, n int) (float64, error) {
	before := settled()
	clients, disconnect, err := connect(lib, n)
	if err != nil {
		return 0, err
	}
	defer disconnect()
	for _, c := range clients {
		if err := roundTrip(c, make([]byte, 1<<10)); err != nil {
			return 0, err
		}
	}
	after := settled()
	return (float64(after.HeapAlloc+after.StackInuse) - float64(before.HeapAlloc+before.StackInuse)) / float64(2*n), nil
}

// settled is the memory in use when all that is garbage was collected.
func settled() (m runtime.MemStats) {
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m
}

// idleHeap is what one of a thousand connections takes that has carried n bytes each way
// and now waits, its socket's part of the heap and what its reader has made included.
func idleHeap(lib library, n int) (float64, error) {
	const pairs = 500
	before := settled()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for range pairs {
		a, b, err := secured(lib)
		if err != nil {
			return 0, err
		}
		echo(b)
		open = append(open, a, b)
		if err := roundTrip(a, make([]byte, n)); err != nil {
			return 0, err
		}
	}
	after := settled()
	return float64(after.HeapAlloc-before.HeapAlloc) / (2 * pairs), nil
}

// connect makes n connections over memory, whose servers echo.
func connect(lib library, n int) (clients []net.Conn, disconnect func(), err error) {
	var open []net.Conn
	disconnect = func() {
		for _, c := range open {
			_ = c.Close()
		}
	}
	for range n {
		c, s := memoryPair()
		a, b, err := lib.pair(c, s)
		if err != nil {
			disconnect()
			return nil, nil, err
		}
		echo(b)
		clients, open = append(clients, a), append(open, c, s)
	}
	return clients, disconnect, nil
}

// many has n connections at once, each with one round trip under way.
func many(lib library, n int, span time.Duration) (float64, error) {
	clients, disconnect, err := connect(lib, n)
	if err != nil {
		return 0, err
	}
	defer disconnect()
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for _, c := range clients {
		wg.Go(func() {
			p := make([]byte, 1<<10)
			for time.Since(start) < span {
				if err := roundTrip(c, p); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}
