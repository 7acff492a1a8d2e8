// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// sizes are the sizes of the writes.
var sizes = []int{1 << 10, 16 << 10, 256 << 10, 1 << 20}

func sizeName(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// bulkWorks carry data as fast as they can.
func bulkWorks(suite uint16) (list []work) {
	for _, size := range sizes {
		for _, ways := range []int{1, 2} {
			w := work{name: fmt.Sprintf("bulk, %s, %s writes", suiteName(suite), sizeName(size)), unit: "MB/s"}
			if ways == 2 {
				w.name += ", both ways"
			}
			for _, lib := range append(libraries(suite), bare()) {
				w.parts = append(w.parts, part{lib.name, func(span time.Duration) (float64, error) { return bulk(lib, size, ways, span) }})
			}
			list = append(list, w)
		}
	}
	sender := work{name: "sender alone, " + suiteName(suite) + ", 1 MiB writes", unit: "MB/s"}
	receiver := work{name: "receiver alone, " + suiteName(suite) + ", 1 MiB reads", unit: "MB/s"}
	for _, lib := range libraries(suite) {
		sender.parts = append(sender.parts, part{lib.name, func(span time.Duration) (float64, error) { return sendAlone(lib, span) }})
		receiver.parts = append(receiver.parts, part{lib.name, func(span time.Duration) (float64, error) { return receiveAlone(lib, span) }})
	}
	sender.parts = append(sender.parts,
		part{"cipher alone", func(span time.Duration) (float64, error) { return cipherAlone(suite, span) }},
		part{"cipher, all processors", func(span time.Duration) (float64, error) { return cipherTogether(suite, span) }})
	return append(list, sender, receiver)
}

// loopback returns the two ends of a TCP connection.
func loopback() (a, b net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	if b, err = ln.Accept(); err != nil {
		_ = a.Close()
	}
	return a, b, err
}

// secured is a pair over loopback TCP.
func secured(lib library) (a, b net.Conn, err error) {
	c, s, err := loopback()
	if err != nil {
		return nil, nil, err
	}
	if a, b, err = lib.pair(c, s); err != nil {
		_, _ = c.Close(), s.Close()
	}
	return a, b, err
}

// bulk sends one way or both ways, and counts what arrives.
func bulk(lib library, size, ways int, span time.Duration) (float64, error) {
	a, b, err := secured(lib)
	if err != nil {
		return 0, err
	}
	defer a.Close()
	defer b.Close()
	var arrived atomic.Int64
	failed := make(chan error, 4)
	flow := func(from, to net.Conn) {
		go func() {
			p := make([]byte, size)
			for {
				if _, err := from.Write(p); err != nil {
					failed <- err
					return
				}
			}
		}()
		go func() {
			p := make([]byte, max(size, 64<<10))
			for {
				n, err := to.Read(p)
				if arrived.Add(int64(n)); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	if flow(a, b); ways == 2 {
		flow(b, a)
	}
	select { // the start is not measured
	case err := <-failed:
		return 0, err
	case <-time.After(span / 5):
	}
	before, start := arrived.Load(), time.Now()
	for tries := 0; tries == 0 || arrived.Load() == before && tries < 100; tries++ {
		select {
		case err := <-failed:
			return 0, err
		case <-time.After(span):
		}
	}
	return float64(arrived.Load()-before) / 1e6 / time.Since(start).Seconds(), nil
}

// A swap is a connection whose reading or writing can be replaced after the
// handshake.
type swap struct {
	net.Conn
	r io.Reader
	w io.Writer
}

func (s *swap) Read(p []byte) (int, error) {
	if s.r != nil {
		return s.r.Read(p)
	}
	return s.Conn.Read(p)
}

func (s *swap) Write(p []byte) (int, error) {
	if s.w != nil {
		return s.w.Write(p)
	}
	return s.Conn.Write(p)
}

// swapped is a pair of which the client's transport can be exchanged.
func swapped(lib library) (client, server net.Conn, cs, ss *swap, err error) {
	c, s, err := loopback()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	cs, ss = &swap{Conn: c}, &swap{Conn: s}
	client, server, err = lib.pair(cs, ss)
	return client, server, cs, ss, err
}

// sendAlone seals for nobody.
func sendAlone(lib library, span time.Duration) (float64, error) {
	client, server, cs, _, err := swapped(lib)
	if err != nil {
		return 0, err
	}
	defer server.Close()
	defer client.Close()
	cs.w = io.Discard
	p := make([]byte, 1<<20)
	return rate(span, func() (int, error) { return client.Write(p) })
}

// rate calls f for about span, and returns the megabytes that it has done in a second.
func rate(span time.Duration, f func() (int, error)) (float64, error) {
	if _, err := f(); err != nil { // the first one warms up
		return 0, err
	}
	total, start := 0, time.Now()
	for time.Since(start) < span {
		n, err := f()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return float64(total) / 1e6 / time.Since(start).Seconds(), nil
}

// backlog is how much is sealed before it is opened.
const backlog = 16 << 20

// receiveAlone opens what was sealed before.
func receiveAlone(lib library, span time.Duration) (float64, error) {
	client, server, cs, ss, err := swapped(lib)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	defer server.Close()
	// What the server's end would have got before goes first.
	stored := &store{}
	cs.w = stored
	ss.r = stored
	chunk, p := make([]byte, 1<<20), make([]byte, 1<<20)
	total, spent := 0, time.Duration(0)
	for spent < span {
		stored.b, stored.off = stored.b[:0], 0
		for range backlog / len(chunk) {
			if _, err := client.Write(chunk); err != nil {
				return 0, err
			}
		}
		start := time.Now()
		for n := 0; n < backlog; {
			k, err := server.Read(p)
			if err != nil {
				return 0, err
			}
			n += k
		}
		spent += time.Since(start)
		total += backlog
	}
	return float64(total) / 1e6 / spent.Seconds(), nil
}

// A store is written first and read after.
type store struct {
	b   []byte
	off int
}

func (s *store) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

func (s *store) Read(p []byte) (int, error) {
	n := copy(p, s.b[s.off:])
	if s.off += n; n == 0 {
		return 0, errors.New("there is nothing more to read")
	}
	return n, nil
}

// cipherAlone seals records of 16 KiB in place.
func cipherAlone(suite uint16, span time.Duration) (float64, error) {
	aead, err := chacha20poly1305.New(make([]byte, 32))
	if suite == aes128 {
		var block cipher.Block
		if block, err = aes.NewCipher(make([]byte, 16)); err == nil {
			aead, err = cipher.NewGCM(block)
		}
	}
	if err != nil {
		return 0, err
	}
	b, nonce := make([]byte, 16<<10, 17<<10), make([]byte, 12)
	return rate(span, func() (int, error) { aead.Seal(b[:0], nonce, b, nonce[:5]); return len(b), nil })
}

// cipherTogether is cipherAlone on all processors at once: where they are the halves of
// one core, that is not faster.
func cipherTogether(suite uint16, span time.Duration) (float64, error) {
	var all sync.WaitGroup
	rates, errs := make([]float64, runtime.GOMAXPROCS(0)), make([]error, runtime.GOMAXPROCS(0))
	for i := range rates {
		all.Go(func() { rates[i], errs[i] = cipherAlone(suite, span) })
	}
	all.Wait()
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum, errors.Join(errs...)
}
