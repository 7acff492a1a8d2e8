// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyredis_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/mayfly-tls/mayfly"
	mayflyredis "github.com/mayfly-tls/mayfly/contrib/redis"
)

func TestMain(m *testing.M) {
	logging.Disable() // stores that are away are what the tests are about
	m.Run()
}

// A store is a Redis server of one test.
type store struct {
	t      *testing.T
	dir    string
	socket string
	cmd    *exec.Cmd
	client *goredis.Client
}

// start runs one; a test without a Redis server is skipped, or fails where peers are
// required.
func start(t *testing.T) *store {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("MAYFLY_REQUIRE_PEERS") != "" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "mayfly") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	s := &store{t: t, dir: dir, socket: filepath.Join(dir, "redis")}
	s.client = goredis.NewClient(&goredis.Options{Network: "unix", Addr: s.socket, MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: time.Second})
	s.run()
	t.Cleanup(func() {
		s.kill()
		_ = s.client.Close()
		_ = os.RemoveAll(dir)
	})
	return s
}

func (s *store) run() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", s.socket, "--dir", s.dir, "--save", "", "--daemonize", "no")
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("the store answers", func() bool { return s.client.Ping(context.Background()).Err() == nil })
}

// kill ends it as the loss of power would.
func (s *store) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// eventually waits for something that another process does in its time.
func (s *store) eventually(what string, f func() bool) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !f(); <-tick.C {
		if time.Now().After(deadline) {
			s.t.Fatal("waited too long until ", what)
		}
	}
}

func secret(t *testing.T) []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return b
}

func (s *store) fleet(o mayflyredis.Options) *mayflyredis.Fleet {
	s.t.Helper()
	o.Client, o.Prefix = s.client, "service"
	if o.Skew == 0 {
		o.Skew = time.Millisecond
	}
	f, err := mayflyredis.New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(f.Close)
	return f
}

// ripens waits until tickets that are issued now can be used.
func (s *store) ripens(f *mayflyredis.Fleet) {
	s.t.Helper()
	s.eventually("tickets can be used", func() bool {
		now, probe := time.Now(), [32]byte{}
		_, _ = rand.Read(probe[:])
		ok, err := f.Admit(s.t.Context(), mayfly.EarlyUse{Token: probe, Issued: now, Now: now, Until: now})
		if err != nil {
			s.t.Fatal(err)
		}
		return ok
	})
}

// A service is some servers behind one address, each of which has its own view of the
// store, and a client of theirs.
type service struct {
	t       *testing.T
	servers []*mayfly.Listener
	next    int // which server has the next connection
	client  mayfly.Dialer
	cache   *mayfly.SessionCache
	failed  chan mayfly.SessionErrorInfo
}

// newService starts servers that echo, whose first bytes may come early, when the store
// is old enough for their tickets.
func (redis *store) newService(fleets ...*mayflyredis.Fleet) *service {
	t := redis.t
	t.Helper()
	redis.ripens(fleets[0])
	identity := func() *mayfly.Identity {
		id, err := mayfly.GenerateIdentity()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	ours, theirs := identity(), identity()
	s := &service{t: t, cache: mayfly.NewSessionCache(0), failed: make(chan mayfly.SessionErrorInfo, 100)}
	for _, f := range fleets {
		ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
			Identity: theirs, Peers: mayfly.Pins(ours.Pin()),
			TicketKeys: f, Replay: f, MaxEarlyData: 1024, Tickets: mayfly.TicketPolicy{Once: f},
			Trace: &mayfly.Trace{SessionError: func(_ context.Context, info mayfly.SessionErrorInfo) {
				select {
				case s.failed <- info:
				default:
				}
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(func() { serve(ln, &all) })
		t.Cleanup(func() { _ = ln.Close(); all.Wait() })
		s.servers = append(s.servers, ln)
	}
	s.client = mayfly.Dialer{Confirm: true, Config: &mayfly.Config{
		Identity: ours, Peers: mayfly.Pins(theirs.Pin()), ServerName: "service", Sessions: s.cache,
	}}
	return s
}

func serve(ln *mayfly.Listener, all *sync.WaitGroup) {
	for {
		c, err := ln.AcceptEarly()
		if err != nil {
			return
		}
		all.Go(func() {
			defer c.Close()
			b := make([]byte, 64)
			for {
				n, err := c.ReadEarly(b)
				if err != nil {
					break
				}
				if _, err := c.WriteEarly(append([]byte("early "), b[:n]...)); err != nil {
					return
				}
			}
			for {
				n, err := c.Read(b)
				if err != nil {
					return
				}
				if _, err := c.Write(b[:n]); err != nil {
					return
				}
			}
		})
	}
}

// dial connects to the servers in turn, and reports what became of it.
func (s *service) dial(early string) (resumed, accepted bool) {
	s.t.Helper()
	addr := s.servers[s.next%len(s.servers)].Addr()
	s.next++
	resumed, accepted, err := exchange(s.t.Context(), &s.client, addr, early)
	if err != nil {
		s.t.Fatal(err)
	}
	return resumed, accepted
}

// exchange is one connection, on which a server echoes.
func exchange(ctx context.Context, d *mayfly.Dialer, addr net.Addr, early string) (resumed, accepted bool, err error) {
	c, accepted, err := d.DialEarly(ctx, addr.Network(), addr.String(), []byte(early))
	if err != nil {
		return false, false, err
	}
	defer c.Close()
	want := "hello"
	if accepted {
		want = "early " + early + want
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		return false, false, err
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		return false, false, err
	}
	if string(got) != want {
		return false, false, fmt.Errorf("it said %q, not %q", got, want)
	}
	return c.Peer().Resumed, accepted, nil
}

// failure is what a server told of the store.
func (s *service) failure() mayfly.SessionErrorInfo {
	select {
	case info := <-s.failed:
		return info
	default:
		s.t.Fatal("no server said what failed")
		return mayfly.SessionErrorInfo{}
	}
}

// Servers resume each other's sessions, and take early data under each other's tickets.
func TestShared(t *testing.T) {
	t.Parallel()
	redis, key := start(t), secret(t)
	s := redis.newService(redis.fleet(mayflyredis.Options{Secret: key}), redis.fleet(mayflyredis.Options{Secret: key}))
	for n := range 6 {
		resumed, accepted := s.dial("knock")
		if resumed != (n > 0) || accepted != (n > 0) {
			t.Errorf("connection %d: resumed: %v; early data was accepted: %v", n, resumed, accepted)
		}
	}
}

// A ticket that was used at one server is not used again at another.
func TestOnce(t *testing.T) {
	t.Parallel()
	redis, key := start(t), secret(t)
	s := redis.newService(redis.fleet(mayflyredis.Options{Secret: key}), redis.fleet(mayflyredis.Options{Secret: key}))
	again := &again{key: mayfly.GenerateSealingKey()}
	s.client.Config.Sessions = again
	s.dial("")
	again.kept(redis)
	for n, want := range []bool{true, false, false} {
		if resumed, accepted := s.dial("knock"); resumed != want || accepted != want {
			t.Errorf("use %d of a ticket: resumed: %v; early data was accepted: %v", n, resumed, accepted)
		}
	}
}

// again gives the first session again and again.
type again struct {
	key    *mayfly.SealingKey
	mu     sync.Mutex
	sealed []byte
}

func (a *again) Put(_ context.Context, name string, s *mayfly.Session) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var err error
	if a.sealed == nil {
		a.sealed, err = s.Seal(a.key, name)
	}
	return err
}

func (a *again) Take(_ context.Context, name string) (*mayfly.Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sealed == nil {
		return nil, nil
	}
	return mayfly.OpenSession(a.key, name, a.sealed)
}

func (a *again) kept(s *store) {
	s.eventually("a session is stored", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.sealed != nil
	})
}

// Keys change for all servers while clients come and go: every connection is made, and
// all but the first are resumed, because a key is known everywhere before it is used.
func TestRotation(t *testing.T) {
	t.Parallel()
	redis, key := start(t), secret(t)
	o := mayflyredis.Options{Secret: key, Rotate: 400 * time.Millisecond, Keep: 10 * time.Second, Refresh: 50 * time.Millisecond}
	s := redis.newService(redis.fleet(o), redis.fleet(o))
	full, all := 0, 0
	redis.eventually("there were four rotations", func() bool {
		for range 10 {
			if resumed, _ := s.dial(""); !resumed {
				full++
			}
			all++
		}
		return redis.client.ZCard(t.Context(), "service:ticket-keys").Val() >= 5
	})
	t.Logf("%d connections across four rotations, %d of them full handshakes", all, full)
	if full != 1 {
		t.Errorf("%d of %d connections were full handshakes", full, all)
	}
}

// A key that has opened tickets for long enough is gone everywhere.
func TestRetired(t *testing.T) {
	t.Parallel()
	redis := start(t)
	f := redis.fleet(mayflyredis.Options{Secret: secret(t), Rotate: 200 * time.Millisecond, Keep: 200 * time.Millisecond, Refresh: 10 * time.Millisecond})
	first, err := f.Keys(t.Context())
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	redis.eventually("the first key is gone", func() bool {
		keys, err := f.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) > 4 {
			t.Fatalf("%d keys", len(keys))
		}
		for _, k := range keys {
			if k == first[0] {
				return false
			}
		}
		return true
	})
}

// While the store is away, handshakes are full, and no early data is accepted; when it is
// back, with an empty memory, sessions of before are of no use and new ones are.
func TestAway(t *testing.T) {
	t.Parallel()
	redis, key := start(t), secret(t)
	s := redis.newService(redis.fleet(mayflyredis.Options{Secret: key, Refresh: time.Millisecond}), redis.fleet(mayflyredis.Options{Secret: key, Refresh: time.Millisecond}))
	s.dial("")
	if resumed, accepted := s.dial("knock"); !resumed || !accepted {
		t.Fatal("not resumed with a store")
	}
	redis.kill()
	for range 3 {
		if resumed, accepted := s.dial("knock"); resumed || accepted {
			t.Errorf("resumed: %v; early data was accepted: %v", resumed, accepted)
		}
	}
	if info := s.failure(); info.Action != "keys" {
		t.Error(info)
	}
	redis.run()
	fresh := redis.newService(redis.fleet(mayflyredis.Options{Secret: key}), redis.fleet(mayflyredis.Options{Secret: key}))
	for n, want := range []bool{false, true, true} {
		if resumed, accepted := fresh.dial("knock"); resumed != want || accepted != want {
			t.Errorf("connection %d after the store's return: resumed: %v; early data was accepted: %v", n, resumed, accepted)
		}
	}
}

// With Away the keys last heard of go on opening tickets, but nothing is used once.
func TestAwayAllowed(t *testing.T) {
	t.Parallel()
	redis := start(t)
	f := redis.fleet(mayflyredis.Options{Secret: secret(t), Refresh: time.Millisecond, Away: time.Hour})
	before, err := f.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	redis.kill()
	for range 3 {
		keys, err := f.Keys(t.Context())
		if err != nil || len(keys) != len(before) || keys[0] != before[0] {
			t.Errorf("%v, %v", keys, err)
		}
	}
	now := time.Now()
	if ok, err := f.Admit(t.Context(), mayfly.EarlyUse{Issued: now, Now: now, Until: now.Add(time.Hour)}); ok || err == nil {
		t.Errorf("a use was admitted without the store: %v, %v", ok, err)
	}
}

// The store that comes back from what it had saved has forgotten what was used since:
// nothing from before is admitted again.
func TestRestored(t *testing.T) {
	t.Parallel()
	redis := start(t)
	f := redis.fleet(mayflyredis.Options{Secret: secret(t)})
	if _, err := f.Keys(t.Context()); err != nil { // it begins
		t.Fatal(err)
	}
	admit := func(n byte, issued time.Time) bool {
		t.Helper()
		now := time.Now()
		ok, err := f.Admit(t.Context(), mayfly.EarlyUse{Token: [32]byte{n}, Issued: issued, Now: now, Until: now.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	redis.ripens(f)
	issued := time.Now()
	if err := redis.client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if !admit(1, issued) || admit(1, issued) {
		t.Fatal("a ticket is not used exactly once")
	}
	redis.kill()
	redis.run()
	if n := redis.client.ZCard(t.Context(), "service:used-tickets").Val(); n == 0 {
		t.Fatal("what was saved is not there")
	}
	for n := range byte(3) {
		if admit(n, issued) {
			t.Errorf("ticket %d, of before the restart, was admitted after", n)
		}
	}
	redis.eventually("new tickets are admitted", func() bool { return admit(4, time.Now()) })
}

// What was evicted, and a memory that is full, admit nothing.
func TestForgotten(t *testing.T) {
	t.Parallel()
	redis := start(t)
	f := redis.fleet(mayflyredis.Options{Secret: secret(t), MaxUses: 1})
	use := func(n byte, issued time.Time) bool {
		t.Helper()
		now := time.Now()
		ok, err := f.Admit(t.Context(), mayfly.EarlyUse{Token: [32]byte{n}, Issued: issued, Now: now, Until: now.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	redis.ripens(f)
	issued := time.Now()
	redis.eventually("the probe is forgotten", func() bool { return use(2, issued) })
	if use(3, issued) {
		t.Error("it remembers more than it was told to")
	}
	if err := redis.client.Del(t.Context(), "service:used-tickets").Err(); err != nil {
		t.Fatal(err)
	}
	if use(2, issued) || use(4, issued) {
		t.Error("a ticket was admitted that may have been used before the memory was lost")
	}
}

// The store sees no key, and whoever has another Secret can use none.
func TestSealed(t *testing.T) {
	t.Parallel()
	redis := start(t)
	ours, theirs := redis.fleet(mayflyredis.Options{Secret: secret(t)}), redis.fleet(mayflyredis.Options{Secret: secret(t)})
	if _, err := ours.Keys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys, err := theirs.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "another Secret") {
		t.Errorf("%v, %v", keys, err)
	}
	stored := redis.client.ZRange(t.Context(), "service:ticket-keys", 0, -1).Val()
	if len(stored) != 1 || len(stored[0]) != 12+32+16 {
		t.Errorf("the store has %d keys, the first of %d bytes", len(stored), len(stored[0]))
	}
	if err := redis.client.ZAdd(t.Context(), "service:ticket-keys", goredis.Z{Score: 1e15, Member: strings.Repeat("x", 60)}, goredis.Z{Score: 1e15, Member: "short"}).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestOptions(t *testing.T) {
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1"})
	defer client.Close()
	good := mayflyredis.Options{Client: client, Prefix: "service", Secret: secret(t)}
	for want, spoil := range map[string]func(*mayflyredis.Options){
		"Client":   func(o *mayflyredis.Options) { o.Client = nil },
		"Prefix":   func(o *mayflyredis.Options) { o.Prefix = "" },
		"Secret":   func(o *mayflyredis.Options) { o.Secret = make([]byte, 32) },
		"32":       func(o *mayflyredis.Options) { o.Secret = o.Secret[:16] },
		"negative": func(o *mayflyredis.Options) { o.Keep = -1 },
		"Refresh":  func(o *mayflyredis.Options) { o.Rotate, o.Refresh = time.Minute, time.Minute },
	} {
		o := good
		spoil(&o)
		if _, err := mayflyredis.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	f, err := mayflyredis.New(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "the store does not say") {
		t.Errorf("a store that is away: %v", err)
	}
	f.Close()
	if keys, err := f.Keys(t.Context()); err == nil {
		t.Errorf("%v after Close", keys)
	}
}
