// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyredis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mayfly-tls/mayfly"
)

// A ticketKey is one of the keys, as the store has it.
type ticketKey struct {
	sealed string
	from   time.Duration // when it is used from, counted from the answer of the store
	key    *mayfly.SealingKey
}

// rotation drops the keys that open no ticket any more, adds the candidate if it is time
// for a new key, and returns the store's clock and all keys with the time from which
// they are used. KEYS: the sorted set. ARGV: candidate, and in milliseconds how long a
// key is used, kept after that, and announced before.
var rotation = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local rotate, keep, ahead = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - rotate - keep)
local newest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if #newest == 0 then
	redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
elseif now + ahead >= newest[2] + rotate then
	redis.call('ZADD', KEYS[1], string.format('%.0f', math.max(newest[2] + rotate, now + ahead)), ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', 2 * rotate + keep))
return {string.format('%.0f', now), redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}
`)

// fetch asks the store for the keys.
func (f *Fleet) fetch(ctx context.Context) error {
	keys, err := f.ask(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tried, f.failed = time.Now(), err
	if err != nil || f.closed {
		return err
	}
	f.fetched = f.tried
	f.replace(keys)
	if len(f.keys) == 0 {
		f.failed = errForeign
	}
	return f.failed
}

var errForeign = errors.New("mayflyredis: the store's keys for tickets are sealed under another Secret")

func (f *Fleet) ask(ctx context.Context) ([]ticketKey, error) {
	// Tickets that are issued from now on can be used once.
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	candidate, err := f.newKey()
	if err != nil {
		return nil, err
	}
	answer, err := rotation.Run(ctx, f.o.Client, []string{f.o.Prefix + ":ticket-keys"},
		candidate, f.o.Rotate.Milliseconds(), f.o.Keep.Milliseconds(), 3*f.o.Refresh.Milliseconds()).Slice()
	if err != nil {
		return nil, fmt.Errorf("mayflyredis: the store does not give the keys for tickets: %w", err)
	}
	now, list, err := parse(answer)
	if err != nil {
		return nil, err
	}
	keys := make([]ticketKey, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		from, err := strconv.ParseInt(list[i+1], 10, 64)
		if err != nil {
			return nil, errAnswer
		}
		keys = append(keys, ticketKey{sealed: list[i], from: time.Duration(from-now) * time.Millisecond})
	}
	return keys, nil
}

var errAnswer = errors.New("mayflyredis: the store's answer cannot be understood")

// parse takes the script's answer apart.
func parse(answer []any) (now int64, list []string, err error) {
	if len(answer) != 2 {
		return 0, nil, errAnswer
	}
	clock, ok := answer[0].(string)
	members, ok2 := answer[1].([]any)
	now, err = strconv.ParseInt(clock, 10, 64)
	if !ok || !ok2 || err != nil {
		return 0, nil, errAnswer
	}
	for _, m := range members {
		s, ok := m.(string)
		if !ok {
			return 0, nil, errAnswer
		}
		list = append(list, s)
	}
	return now, list, nil
}

// newKey returns a key that nobody has yet, sealed.
func (f *Fleet) newKey() (string, error) {
	secret := make([]byte, 32)
	defer clear(secret)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("mayflyredis: no randomness: %w", err)
	}
	return string(f.sealer.Seal(nil, nil, secret, []byte(f.o.Prefix))), nil
}

// open returns the key that newKey has sealed; nil if it was sealed by others.
func (f *Fleet) open(sealed string) *mayfly.SealingKey {
	secret, err := f.sealer.Open(nil, nil, []byte(sealed), []byte(f.o.Prefix))
	if err != nil {
		return nil
	}
	defer clear(secret)
	key, err := mayfly.NewSealingKey(secret)
	if err != nil {
		return nil
	}
	return key
}

// replace takes over the keys that the store has now, and destroys those that it has no
// more. f.mu is held.
func (f *Fleet) replace(keys []ticketKey) {
	held := make(map[string]*mayfly.SealingKey, len(f.keys))
	for _, k := range f.keys {
		held[k.sealed] = k.key
	}
	f.keys = nil
	for _, k := range keys {
		if k.key = held[k.sealed]; k.key == nil {
			k.key = f.open(k.sealed)
		}
		if k.key != nil {
			f.keys = append(f.keys, k)
			delete(held, k.sealed)
		}
	}
	for _, k := range held {
		k.Wipe()
	}
	slices.SortFunc(f.keys, func(a, b ticketKey) int { return int(b.from - a.from) })
}

// inOrder returns the keys as they are wanted some time after they were heard of: the
// latest that is in use is first. f.mu is held.
func (f *Fleet) inOrder(since time.Duration) []*mayfly.SealingKey {
	now := slices.IndexFunc(f.keys, func(k ticketKey) bool { return k.from <= since })
	var keys []*mayfly.SealingKey
	if now >= 0 {
		keys = append(keys, f.keys[now].key)
	}
	for i, k := range f.keys {
		if i != now {
			keys = append(keys, k.key)
		}
	}
	return keys
}
