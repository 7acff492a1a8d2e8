// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package mayflyredis has several servers of one service share what resumption needs,
// by a Redis or Valkey server: keys for tickets that rotate for all of them, tickets
// that are used once, and the guard against replays of early data.
//
//	fleet, err := mayflyredis.New(mayflyredis.Options{Client: client, Prefix: "db", Secret: secret})
//	config := &mayfly.Config{..., TicketKeys: fleet, Replay: fleet, MaxEarlyData: 4096}
//	config.Tickets.Once = fleet
//
// The store sees no key: what it keeps is sealed under Options.Secret. It is trusted to
// remember which tickets were used, and it is noticed when it cannot have: a server that
// was started anew, a replica that took over, and memory that was evicted all refuse
// what was issued before.
//
// Where the store is away, handshakes are full ones, without early data, unless
// Options.Away says that the keys last heard of may be used for longer.
//
// The package knows the public API of mayfly alone.
package mayflyredis

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"github.com/mayfly-tls/mayfly"
)

// Options say how servers share.
type Options struct {
	// Client talks to the store: Redis from version 6, or Valkey. It is the caller's to
	// close. Its timeouts count: a handshake waits for no longer than a second, but
	// the connection that it used is held for as long as they say.
	Client redis.UniversalClient

	// Prefix names the service: servers that share have the same. It is what the
	// store's keys begin with.
	Prefix string

	// Secret is 32 random bytes that all servers of the service have, and the store has
	// not. It is copied.
	Secret []byte

	// Rotate is how long new tickets are sealed under one key. Zero: 12 hours.
	Rotate time.Duration

	// Keep is how long a key opens tickets after that: Config.Tickets.Lifetime, or more.
	// Zero: 24 hours.
	Keep time.Duration

	// Refresh is how often a server asks for the keys. A new key is announced three
	// times as long before it is used. Zero: a minute.
	Refresh time.Duration

	// Away is how long the keys last heard of are used when the store does not answer.
	// Zero: not at all. Tickets are not known to be used once meanwhile, and early data
	// is refused, whatever it says.
	Away time.Duration

	// Skew is by how much the servers' clocks may differ. A ticket's age is taken to be
	// as much more. Zero: 10 seconds.
	Skew time.Duration

	// MaxUses is how many used tickets the store remembers, some 150 bytes each; the
	// next are refused until others have expired. Zero: 1,000,000.
	MaxUses int
}

// A Fleet is one server's view of what it shares with others. It is mayfly.TicketKeys
// and mayfly.ReplayGuard, for Config.Replay and TicketPolicy.Once alike. Its methods may
// be called at the same time.
type Fleet struct {
	o        Options
	sealer   cipher.AEAD
	fetching singleflight.Group

	mu      sync.Mutex
	keys    []ticketKey // the latest first
	fetched time.Time   // when they were heard of
	failed  error       // the last attempt's
	tried   time.Time
	closed  bool
}

// New returns the view of one server. It asks the store nothing yet.
func New(o Options) (*Fleet, error) {
	switch {
	case o.Client == nil:
		return nil, errors.New("mayflyredis: Options.Client is needed")
	case o.Prefix == "":
		return nil, errors.New("mayflyredis: Options.Prefix is needed: the name of the service")
	case len(o.Secret) != 32 || slices.Max(o.Secret) == slices.Min(o.Secret):
		return nil, errors.New("mayflyredis: Options.Secret must be 32 random bytes, of crypto/rand")
	case o.Rotate < 0 || o.Keep < 0 || o.Refresh < 0 || o.Away < 0 || o.Skew < 0 || o.MaxUses < 0:
		return nil, errors.New("mayflyredis: no option can be negative")
	}
	block, err := aes.NewCipher(o.Secret)
	if err != nil {
		return nil, fmt.Errorf("mayflyredis: Options.Secret: %w", err)
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("mayflyredis: Options.Secret: %w", err)
	}
	o.Secret = nil
	o.Rotate = orElse(o.Rotate, 12*time.Hour)
	o.Keep = orElse(o.Keep, 24*time.Hour)
	o.Refresh = orElse(o.Refresh, time.Minute)
	o.Skew = orElse(o.Skew, 10*time.Second)
	o.MaxUses = orElse(o.MaxUses, 1_000_000)
	if o.Rotate < 4*o.Refresh {
		return nil, errors.New("mayflyredis: Options.Rotate must be four times Refresh at least, so that all servers know a key before it is used")
	}
	return &Fleet{o: o, sealer: sealer}, nil
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Close destroys the keys for tickets that this server holds. The store keeps them for
// the others. What Options.Secret was made into lives as long as the Fleet.
func (f *Fleet) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.replace(nil)
}

var errClosed = errors.New("mayflyredis: the Fleet is closed")

// Keys returns the keys for tickets: that which new tickets are sealed under first, and
// then those that open old ones, and the one that will be next.
func (f *Fleet) Keys(ctx context.Context) ([]*mayfly.SealingKey, error) {
	if keys, err, ok := f.known(time.Now()); ok {
		return keys, err
	}
	// One asks for all who wait. It goes on when the one who began it has left.
	result := f.fetching.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return nil, f.fetch(ctx)
	})
	select {
	case <-result:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	keys, err, _ := f.known(time.Now())
	if keys == nil && err == nil {
		err = errOld
	}
	return keys, err
}

var errOld = errors.New("mayflyredis: the keys for tickets are too old")

const (
	patience = time.Second     // how long one attempt to reach the store lasts
	retry    = 5 * time.Second // how soon after one that failed there is another
)

// known returns what is known without asking the store; false where it is time to ask.
func (f *Fleet) known(now time.Time) ([]*mayfly.SealingKey, error, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	age := now.Sub(f.fetched)
	switch {
	case f.closed:
		return nil, errClosed, true
	case f.failed != nil && now.Sub(f.tried) < retry:
		if len(f.keys) > 0 && age < f.o.Away {
			return f.inOrder(age), nil, true
		}
		return nil, f.failed, true
	case f.failed == nil && len(f.keys) > 0 && age < f.o.Refresh:
		return f.inOrder(age), nil, true
	}
	return nil, f.failed, false
}
