// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyredis_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	mayflyredis "github.com/mayfly-tls/mayfly/contrib/redis"
)

// balance listens at one address for several servers, which have its connections in turn.
func balance(t *testing.T, servers []*mayfly.Listener) net.Addr {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); all.Wait() })
	relay := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}
	all.Go(func() {
		for n := 0; ; n++ {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer in.Close()
				out, err := net.Dial("tcp", servers[n%len(servers)].Addr().String())
				if err != nil {
					return
				}
				defer out.Close()
				var both sync.WaitGroup
				both.Go(func() { relay(out, in) })
				relay(in, out)
				both.Wait()
			})
		}
	})
	return ln.Addr()
}

// The parts of TestLoad.
const (
	rotating = iota
	away
	back
	parts
)

// A tally is what became of the connections that began and ended in one part.
type tally struct{ all, resumed, early atomic.Int64 }

// TestLoad has two servers behind one address, and clients that connect all the time,
// while the keys change, the store is killed, and comes back empty: every connection is
// made. Without the store none is resumed, and no early data is taken; with it, they are.
func TestLoad(t *testing.T) {
	t.Parallel()
	redis := start(t)
	o := mayflyredis.Options{Secret: secret(t), Rotate: 600 * time.Millisecond, Keep: 20 * time.Second, Refresh: 100 * time.Millisecond}
	s := redis.newService(redis.fleet(o), redis.fleet(o))
	addr := balance(t, s.servers)
	const clients = 8
	var (
		part    atomic.Int32
		stop    atomic.Bool
		tallies [parts][clients]tally
		running sync.WaitGroup
	)
	defer running.Wait()
	defer stop.Store(true)
	for i := range clients {
		d := s.client
		d.Config = d.Config.Clone()
		d.Config.Sessions = mayfly.NewSessionCache(0)
		running.Go(func() {
			for !stop.Load() {
				began := part.Load()
				resumed, accepted, err := exchange(t.Context(), &d, addr, "knock")
				if err != nil {
					t.Errorf("a connection of part %d failed: %v", began, err)
					return
				}
				if part.Load() != began {
					continue
				}
				sum := &tallies[began][i]
				sum.all.Add(1)
				if resumed {
					sum.resumed.Add(1)
				}
				if accepted {
					sum.early.Add(1)
				}
			}
		})
	}
	each := func(what string, part int, done func(*tally) bool) {
		t.Helper()
		redis.eventually(what, func() bool {
			for i := range clients {
				if !done(&tallies[part][i]) {
					return t.Failed()
				}
			}
			return true
		})
	}
	redis.eventually("there were three rotations", func() bool {
		return redis.client.ZCard(t.Context(), "service:ticket-keys").Val() >= 4
	})
	each("sessions are resumed", rotating, func(s *tally) bool { return s.early.Load() > 5 })
	redis.kill()
	part.Store(away)
	each("there were connections without the store", away, func(s *tally) bool { return s.all.Load() > 5 })
	part.Store(back)
	redis.run()
	each("sessions are resumed again", back, func(s *tally) bool { return s.early.Load() > 5 })
	stop.Store(true)
	running.Wait()

	for part, name := range []string{"rotating", "away", "back"} {
		var all, resumed, early int64
		for i := range clients {
			s := &tallies[part][i]
			all, resumed, early = all+s.all.Load(), resumed+s.resumed.Load(), early+s.early.Load()
		}
		t.Logf("%s: %d connections, of which %d resumed, %d with early data", name, all, resumed, early)
		if part == away && resumed+early > 0 {
			t.Errorf("without the store %d connections were resumed, %d with early data", resumed, early)
		}
	}
}
