// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mayfly-tls/mayfly/internal/resumption"
)

// A SealingKey seals what outlives a connection: the tickets of a server, and the
// files of SaveSessions. Whoever has it can read the tickets that it sealed, and so
// take part in the sessions that are resumed with them and read their early data; but
// not what was sent in the connections before or, early data apart, after: each has a
// Diffie-Hellman exchange of its own. It prints as nothing of the key.
type SealingKey struct {
	key *resumption.Key
}

// NewSealingKey returns a key made of 32 random bytes, which are copied. Other
// lengths are refused, and a key of which all bytes are the same: tickets under a key
// of zeros, say, would be anybody's to read.
func NewSealingKey(secret []byte) (*SealingKey, error) {
	key, err := resumption.NewKey(secret)
	if err != nil {
		return nil, configError(err.Error())
	}
	return &SealingKey{key}, nil
}

// GenerateSealingKey returns a new key of crypto/rand, which cannot be read out. Where mayfly
// does not work (GODEBUG=fips140=only) it is the zero SealingKey, which seals nothing.
func GenerateSealingKey() *SealingKey {
	var secret [resumption.KeyLen]byte
	defer clear(secret[:])
	_, _ = rand.Read(secret[:])
	key, _ := resumption.NewKey(secret[:])
	return &SealingKey{key}
}

// Wipe destroys the key. What it has sealed cannot be opened any more. It may be
// called again.
func (k *SealingKey) Wipe() { k.held().Wipe() }

// held is the key. That of a nil or zero SealingKey is one that was wiped.
func (k *SealingKey) held() *resumption.Key {
	if k == nil || k.key == nil {
		return new(resumption.Key)
	}
	return k.key
}

const redactedSealingKey = "mayfly.SealingKey(redacted)"

// String returns a constant. So do the other methods by which values are printed.
func (k SealingKey) String() string { return redactedSealingKey }

// GoString is String.
func (k SealingKey) GoString() string { return redactedSealingKey }

// Format writes String, whatever the verb.
func (k SealingKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedSealingKey) }

// MarshalText is String.
func (k SealingKey) MarshalText() ([]byte, error) { return []byte(redactedSealingKey), nil }

// LogValue is String.
func (k SealingKey) LogValue() slog.Value { return slog.StringValue(redactedSealingKey) }

// TicketKeys is where a server's keys for tickets come from. A Listener whose Config
// has none makes its own, in memory, which it changes every twelve hours and wipes
// when it is closed. Servers of one service that are to accept each other's tickets
// share them: by a TicketRing each, or a type of their own that asks a store. They stand
// in for each other then: a client that resumes takes each of them for the one that it
// talked to first, whatever keys they have themselves. Config.Service and the name that
// the client asks for tell services apart that share keys all the same. Configs of
// GetConfig without TicketKeys have those of the Listener, and are told apart by the keys
// that they show. Where GetCertificate is set, a session is resumed only by a server that
// would show the same key, also where several servers share TicketKeys: GetCertificate is
// asked at a resumption, too.
type TicketKeys interface {
	// Keys returns the present keys: new tickets are sealed under the first, and
	// all open old ones. It is called for each handshake, by many at the same time,
	// and is waited for no longer than a second: a handshake whose keys do not come is
	// a full one, without tickets.
	Keys(ctx context.Context) ([]*SealingKey, error)
}

// A TicketRing is TicketKeys in memory whose keys can be changed while servers use it.
type TicketRing struct {
	mu   sync.RWMutex
	keys []*SealingKey
}

// NewTicketRing returns a ring of keys: see Set.
func NewTicketRing(keys ...*SealingKey) *TicketRing {
	r := new(TicketRing)
	r.Set(keys...)
	return r
}

// Set replaces the keys. New tickets are sealed under the first. To change it without
// a ticket lost, give all servers the new key in second place, then in first place with
// the old one behind it, and take the old one out when its tickets have expired.
// Without keys, no ticket is made or accepted. Keys that are taken out are not wiped.
func (r *TicketRing) Set(keys ...*SealingKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = slices.Clone(keys)
}

// Keys returns the keys.
func (r *TicketRing) Keys(context.Context) ([]*SealingKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys, nil
}

// rotatingKeys are the TicketKeys of a Listener that was given none. A key seals for
// ticketRotation, and opens for as long as its tickets live.
type rotatingKeys struct {
	now      func() time.Time
	lifetime time.Duration

	mu     sync.Mutex
	keys   []rotatingKey // the newest first
	closed bool
}

type rotatingKey struct {
	*SealingKey
	made time.Time
	end  *time.Timer // wipes it, if no handshake comes that would
}

func (r *rotatingKeys) Keys(context.Context) ([]*SealingKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.closed {
		return nil, nil
	}
	life := ticketRotation + r.lifetime
	if len(r.keys) == 0 || now.Sub(r.keys[0].made) >= ticketRotation || now.Before(r.keys[0].made) {
		k := GenerateSealingKey()
		r.keys = slices.Insert(r.keys, 0, rotatingKey{k, now, time.AfterFunc(life, k.Wipe)})
	}
	for n := len(r.keys) - 1; n > 0 && (now.Sub(r.keys[n].made) >= life || n > maxTicketKeys); n-- {
		r.keys[n].wipe()
		r.keys = slices.Delete(r.keys, n, n+1)
	}
	keys := make([]*SealingKey, len(r.keys))
	for i, k := range r.keys {
		keys[i] = k.SealingKey
	}
	return keys, nil
}

func (k rotatingKey) wipe() {
	k.end.Stop()
	k.Wipe()
}

// wipe destroys the keys for good.
func (r *rotatingKeys) wipe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		k.wipe()
	}
	r.keys, r.closed = nil, true
}

// A TicketPolicy says what tickets a server gives to clients, by which they resume the
// session later (RFC 9846, Section 4.7.1).
//
// They go out with the next Write, Flush, CloseWrite or Close after the handshake, so that a
// client which closes without reading loses nothing: a server that is to send them at once
// calls Flush. A client that says how many it wants (RFC 9149) gets them during the
// handshake. mayfly's does if it sets Count, or Dialer.Confirm.
type TicketPolicy struct {
	// Count is how many tickets a client is given after a full handshake, if it can
	// use tickets at all. Where it has resumed a session it is given one, in the place
	// of the one that it has used. One that says how many it wants (RFC 9149) gets so
	// many, up to eight. Zero: 2. Negative: none, and none are accepted.
	//
	// A client with Sessions asks for so many. Zero: it does not say how many.
	Count int

	// Lifetime of a ticket, up to seven days. Zero: 24 hours.
	Lifetime time.Duration

	// MaxAge is how long after the peer has proved its key the session may be
	// resumed, by one ticket after the other. It holds for a client too. Zero: seven
	// days.
	MaxAge time.Duration

	// Once, on a server, sees to it that a ticket is resumed with once, which stops
	// whoever watches from telling that two connections are the same client's, and
	// whoever has stolen a session from using it beside its owner. It is asked when
	// the client has proved that it holds the session and Peers has accepted it, and
	// waited for no longer than a second: where it says no, or fails, a full handshake
	// follows. Servers that share TicketKeys must share it. It must remember until
	// EarlyUse.Until, for as long as a ticket lives; NewReplayGuard's does not, and is
	// refused. Nil: a ticket may be used again until it expires.
	Once ReplayGuard
}

func (p TicketPolicy) withDefaults() TicketPolicy {
	switch {
	case p.Count == 0:
		p.Count = defaultTickets
	case p.Count < 0:
		p.Count = 0
	}
	if p.Lifetime == 0 {
		p.Lifetime = defaultTicketLifetime
	}
	if p.MaxAge == 0 {
		p.MaxAge = defaultSessionAge
	}
	return p
}
