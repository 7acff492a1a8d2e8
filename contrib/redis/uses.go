// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyredis

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mayfly-tls/mayfly"
)

// use says once of a token that it is new. The memory of what was used is one sorted
// set, by the time when an entry may go; its oldest knowledge, the time and the process
// in which it began, stands in it and is lost together with it. KEYS: the set. ARGV: the
// token, empty to begin only, and in milliseconds how long to remember it and how old its ticket is, and how
// many are remembered.
var use = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local process = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if not process then
	return redis.error_reply('the store does not tell its run_id')
end
local began, place = nil, 'began ' .. process .. ' '
for _, m in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '+inf', '+inf')) do
	if string.sub(m, 1, #place) == place then
		began = tonumber(string.sub(m, #place + 1))
	else
		redis.call('ZREM', KEYS[1], m)
	end
end
if not began then
	began = now
	redis.call('ZADD', KEYS[1], '+inf', place .. string.format('%.0f', now))
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now))
if ARGV[1] == '' or now - tonumber(ARGV[3]) < began then
	return 0
end
if redis.call('ZSCORE', KEYS[1], ARGV[1]) or redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[4]) then
	return 0
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
return 1
`)

// Admit reports whether this is the first use of a ticket that the servers of the
// service have seen. It is false where the store may have forgotten: it is full, or does
// not reach back to when the ticket was issued.
func (f *Fleet) Admit(ctx context.Context, u mayfly.EarlyUse) (bool, error) {
	return f.use(ctx, hex.EncodeToString(u.Token[:]), u.Until.Sub(u.Now), u.Now.Sub(u.Issued))
}

// begin has the store begin to remember.
func (f *Fleet) begin(ctx context.Context) error {
	_, err := f.use(ctx, "", 0, 0)
	return err
}

func (f *Fleet) use(ctx context.Context, token string, remember, age time.Duration) (bool, error) {
	remember, age = max(remember, 0)+f.o.Skew, max(age, 0)+f.o.Skew
	first, err := use.Run(ctx, f.o.Client, []string{f.o.Prefix + ":used-tickets"},
		token, (remember + time.Millisecond - 1).Milliseconds(), age.Milliseconds(), f.o.MaxUses).Int()
	if err != nil {
		return false, fmt.Errorf("mayflyredis: the store does not say whether a ticket was used: %w", err)
	}
	return first == 1, nil
}
