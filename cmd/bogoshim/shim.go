// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// A shim is all the connections of one test, and what they share.
type shim struct {
	flagSets
	clock   clock
	ring    *mayfly.TicketRing // a server's
	replay  *replayGuard       // a server's
	session heldSession        // that a client's next connection offers
	refused bool               // the last judgement on a peer, which its session remembers
}

func newShim(all *flagSets) *shim {
	return &shim{
		flagSets: *all,
		clock:    clock{now: time.Now()},
		ring:     mayfly.NewTicketRing(mayfly.GenerateSealingKey()),
		replay:   &replayGuard{used: make(map[[32]byte]bool)},
	}
}

// run makes the connections, one after the other.
func (s *shim) run() error {
	for n := range s.initial.resumeCount + 1 {
		f := &s.initial
		if n > 0 {
			f = &s.resume
		}
		if n > 0 && !f.server && s.session.Session == nil {
			return fmt.Errorf("bogoshim: connection %d has no session to offer", n+1)
		}
		c := &connection{shim: s, flags: f, resume: n > 0, pskNumbers: make(map[string]int)}
		if n > 0 && !f.server && f.expect.rejectEarlyData {
			c.retry = &s.retry
		}
		if err := c.run(); err != nil {
			return fmt.Errorf("bogoshim: connection %d: %w", n+1, err)
		}
		s.clock.advance(time.Duration(f.resumptionDelay) * time.Second)
	}
	return nil
}

// renewKeys puts a new key for tickets before the others.
func (s *shim) renewKeys() error {
	keys, err := s.ring.Keys(context.Background())
	if err != nil {
		return err
	}
	s.ring.Set(append([]*mayfly.SealingKey{mayfly.GenerateSealingKey()}, keys...)...)
	return nil
}

// A ticketCallback notes that it was asked for the keys of tickets. One that skips has
// none.
type ticketCallback struct {
	ring  *mayfly.TicketRing
	skips bool
	asked int // by the one handshake of its connection
}

func (t *ticketCallback) Keys(ctx context.Context) ([]*mayfly.SealingKey, error) {
	if t.asked++; t.skips {
		return nil, nil
	}
	return t.ring.Keys(ctx)
}

// A clock stands still but when it is told to advance.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A replayGuard admits each use once. It forgets nothing: its process lives shortly.
type replayGuard struct {
	mu   sync.Mutex
	used map[[32]byte]bool
}

func (g *replayGuard) Admit(_ context.Context, use mayfly.EarlyUse) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.used[use.Token]
	g.used[use.Token] = true
	return !before, nil
}

// A heldSession is a session, and the name that it is stored under.
type heldSession struct {
	*mayfly.Session
	name string
}

// A sessionStore holds the one session that a connection offers, and those that it is
// given.
type sessionStore struct {
	cache *mayfly.SessionCache
	offer heldSession
}

func newSessionStore(offer heldSession) *sessionStore {
	s := &sessionStore{mayfly.NewSessionCache(0), offer}
	if offer.Session != nil {
		_ = s.cache.Put(context.Background(), offer.name, offer.Session) // it has no errors
	}
	return s
}

// last returns the last session that was given.
func (s *sessionStore) last() (got heldSession) {
	s.cache.Each(func(name string, session *mayfly.Session) bool {
		if session != s.offer.Session {
			got = heldSession{session, name}
		}
		return true
	})
	return got
}
