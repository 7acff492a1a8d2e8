// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

var soak = flag.Duration("soak", 0, "how long TestSoak runs; zero: it is skipped")

// An errand is the life of one connection: how much goes each way, and how it ends.
type errand struct {
	SeedUp, SeedDown uint64
	Up, Down         uint32
	End              uint32
}

// The ways in which an errand ends.
const (
	bothEnd   = iota // each side says that it is done
	clientCut        // the client's transport breaks
	serverCut
	hurry // the client closes when it has said all
	ways
)

// account is what all errands did together.
type account struct {
	connections, resumed, bytes, rekeys, moves, cuts, hurries atomic.Int64
}

// TestSoak runs connections with random lives over loopback TCP for the time of the
// flag -soak, and compares every byte. At the end memory, goroutines and descriptors
// are what they were.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("it runs for as long as the flag -soak says")
	}
	people()
	goroutines, descriptors := runtime.NumGoroutine(), openFiles()
	var sum account
	config := &mayfly.Config{
		Identity: people().serverEd.identity, Peers: mayfly.MustParsePins(people().client.pin()),
		Trace: new(mayfly.Trace), Rekey: mayfly.RekeyPolicy{Records: 50, MinInterval: -1},
	}
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	ln.MaxHandshakesPerHost = -1
	var servers, clients sync.WaitGroup
	servers.Go(func() {
		for {
			c, err := ln.AcceptConn()
			if err != nil {
				return
			}
			servers.Go(func() {
				if err := serveErrand(newMover(c, config), &sum); err != nil {
					t.Errorf("server: %v", err)
				}
			})
		}
	})
	end := time.Now().Add(*soak)
	var heap uint64
	for i := range 20 {
		clients.Go(func() {
			r, sessions := rand.New(rand.NewPCG(uint64(i), 1)), mayfly.NewSessionCache(8)
			for time.Now().Before(end) && !t.Failed() {
				if err := runErrand(ln.Addr().String(), r, sessions, &sum); err != nil {
					t.Errorf("client: %v", err)
				}
			}
		})
	}
	clients.Go(func() { // what is in use when everything has been in use once
		<-time.After(*soak / 4)
		heap = heapInUse()
	})
	clients.Wait()
	_ = ln.Close()
	servers.Wait()
	checkGoroutines(t, goroutines)
	if n := openFiles(); n > descriptors {
		t.Errorf("%d descriptors are open, %d were", n, descriptors)
	}
	if now := heapInUse(); now > heap+heap/2+(8<<20) {
		t.Errorf("%d bytes of heap are in use, %d were after a quarter", now, heap)
	}
	t.Logf("%v: %d connections, %d of them resumed, %d MB, %d rekeys, %d handed on, %d cut, %d closed in a hurry; heap %d kB after a quarter, %d kB at the end; %d goroutines, %d descriptors",
		*soak, sum.connections.Load(), sum.resumed.Load(), sum.bytes.Load()>>20, sum.rekeys.Load(), sum.moves.Load(), sum.cuts.Load(), sum.hurries.Load(), heap>>10, heapInUse()>>10, runtime.NumGoroutine(), openFiles())
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// openFiles counts the process's descriptors, where that can be seen.
func openFiles() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(files)
}

// runErrand is the client's side.
func runErrand(addr string, r *rand.Rand, sessions *mayfly.SessionCache, sum *account) error {
	e := errand{r.Uint64(), r.Uint64(), r.Uint32N(1 << r.IntN(21)), r.Uint32N(1 << r.IntN(21)), uint32(max(0, r.IntN(ways+4)-4))}
	d := mayfly.Dialer{Config: &mayfly.Config{
		Identity: people().client.identity, Peers: mayfly.MustParsePins(people().serverEd.pin()), ServerName: serverName,
		Rekey: mayfly.RekeyPolicy{Bytes: 1 << (10 + r.IntN(12)), MinInterval: -1},
	}}
	if r.IntN(2) == 0 {
		d.Config.Sessions = sessions
	}
	dialled, err := d.DialConn(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	c := newMover(dialled, d.Config)
	defer c.Close()
	head, _ := binary.Append(nil, binary.BigEndian, e)
	if _, err := c.Write(head); err != nil {
		return err
	}
	sum.connections.Add(1)
	if dialled.Peer().Resumed {
		sum.resumed.Add(1)
	}
	wrote := make(chan error, 1)
	go func() {
		err := stream(c, e.SeedUp, e.Up, r.Uint64(), sum)
		switch {
		case err != nil:
		case e.End == clientCut:
			err = dialled.NetConn().(*net.TCPConn).CloseWrite()
		case e.End == hurry:
			err = c.Close()
		default:
			err = c.CloseWrite()
		}
		wrote <- err
	}()
	end := compare(c, e.SeedDown, e.Down, e.End == hurry)
	err = <-wrote
	switch {
	case e.End == serverCut && end == mayfly.ErrTruncated, e.End == hurry && errors.Is(end, net.ErrClosed):
		return err
	case e.End == serverCut || end != nil && e.End != hurry || err != nil:
		return fmt.Errorf("%+v: reading %v, writing %v", e, end, err)
	}
	return nil
}

// serveErrand is the server's side.
func serveErrand(c *mover, sum *account) error {
	defer c.Close()
	head := make([]byte, 28)
	var e errand
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	if _, err := binary.Decode(head, binary.BigEndian, &e); err != nil {
		return err
	}
	wrote := make(chan error, 1)
	go func() {
		err := stream(c, e.SeedDown, e.Down, e.SeedUp, sum)
		switch {
		case err != nil:
		case e.End == serverCut:
			err = c.now().NetConn().(*net.TCPConn).CloseWrite()
		default:
			err = c.CloseWrite()
		}
		wrote <- err
	}()
	end := compare(c, e.SeedUp, e.Up, e.End == hurry)
	if err := <-wrote; err != nil && e.End != hurry {
		return fmt.Errorf("%+v: writing %w", e, err)
	}
	switch e.End {
	case clientCut:
		if sum.cuts.Add(1); end != mayfly.ErrTruncated {
			return fmt.Errorf("%+v: a cut was read as %v", e, end)
		}
	case hurry:
		sum.hurries.Add(1)
		if end != nil && end != mayfly.ErrTruncated && !errors.As(end, new(*net.OpError)) {
			return fmt.Errorf("%+v: reading %w", e, end)
		}
	default:
		return end
	}
	return nil
}

// stream writes the bytes of a seed in pieces, changes the keys now and then, and hands
// the connection on.
func stream(c *mover, seed uint64, n uint32, pieces uint64, sum *account) error {
	data, r := rand.NewChaCha8(seedOf(seed)), rand.New(rand.NewPCG(pieces, 2))
	buf := make([]byte, 1<<16)
	var moves sync.WaitGroup
	defer moves.Wait()
	for n > 0 {
		if r.IntN(100) == 0 {
			moves.Go(func() { c.move(sum) })
		}
		piece := buf[:min(int(n), 1+r.IntN(1<<r.IntN(17)))]
		_, _ = data.Read(piece)
		if _, err := c.Write(piece); err != nil {
			return err
		}
		n -= uint32(len(piece))
		sum.bytes.Add(int64(len(piece)))
	}
	moves.Wait()
	sum.rekeys.Add(int64(c.now().Stats().KeysSent))
	return nil
}

func seedOf(n uint64) (seed [32]byte) {
	binary.BigEndian.PutUint64(seed[:], n)
	return seed
}

var errWrongData = errors.New("what was read is not what was sent")

// compare reads to the end: nil is io.EOF after all the bytes of a seed. With part,
// others may be missing: TCP throws away what is under way to somebody who still
// writes to a closed socket.
func compare(c *mover, seed uint64, n uint32, part bool) error {
	data := rand.NewChaCha8(seedOf(seed))
	buf, want := make([]byte, 1<<15), make([]byte, 1<<15)
	for got := uint32(0); ; {
		k, err := c.Read(buf)
		_, _ = data.Read(want[:k])
		if got += uint32(k); got > n || !bytes.Equal(buf[:k], want[:k]) {
			return errWrongData
		}
		switch {
		case err == io.EOF && got < n:
			return io.ErrNoProgress // never: it was an end, and not all had come
		case err == io.EOF:
			return nil
		case err != nil && got < n && !part && err == mayfly.ErrTruncated:
			return fmt.Errorf("%d of %d bytes: %w", got, n, errWrongData)
		case err != nil:
			return err
		}
	}
}
