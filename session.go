// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mayfly-tls/mayfly/internal/resumption"
)

// A Session is what a client keeps of a connection in order to resume it: a ticket,
// and the secret that goes with it. It may be used once: a ticket that is shown twice
// lets an onlooker tell that it is the same client. It prints as nothing of the
// secret. A Session has one owner, and is not for use by several goroutines at once.
type Session struct {
	state *resumption.State
}

// ServerName returns the name of the server that the session is with.
func (s *Session) ServerName() string { return s.state.ServerName }

// NextProto returns the application protocol of the session; empty if there was none.
func (s *Session) NextProto() string { return s.state.ALPN }

// CipherSuite returns the number of the session's cipher suite.
func (s *Session) CipherSuite() uint16 { return uint16(s.state.Suite) }

// Received returns when the ticket came.
func (s *Session) Received() time.Time { return s.state.Issued }

// Expires returns when the session can be resumed no more.
func (s *Session) Expires() time.Time {
	return s.state.Issued.Add(min(s.state.Lifetime, resumption.MaxLifetime))
}

// Authenticated returns when the server has last proved its key itself.
func (s *Session) Authenticated() time.Time { return s.state.Authenticated }

// MaxEarlyData returns how many bytes of early data the server allows.
func (s *Session) MaxEarlyData() uint32 { return s.state.MaxEarlyData }

// Pin returns the pin of the server's key, and false if it is known by something else.
func (s *Session) Pin() (Pin, bool) {
	peer, err := s.state.Peer()
	if err != nil || peer == nil || peer.SPKI == nil {
		return Pin{}, false
	}
	return peer.Pin(), true
}

// Wipe destroys the session. It may be called again.
func (s *Session) Wipe() {
	if s != nil && s.state != nil {
		s.state.Wipe()
	}
}

const redactedSession = "mayfly.Session(redacted)"

// String returns a constant. So do the other methods by which values are printed.
func (s Session) String() string { return redactedSession }

// GoString is String.
func (s Session) GoString() string { return redactedSession }

// Format writes String, whatever the verb.
func (s Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedSession) }

// MarshalText is String.
func (s Session) MarshalText() ([]byte, error) { return []byte(redactedSession), nil }

// LogValue is String.
func (s Session) LogValue() slog.Value { return slog.StringValue(redactedSession) }

// A SessionStore is where a client keeps its sessions. Its methods may be called by
// many connections at the same time. They are waited for no longer than a second: a
// store that does not answer, or fails, costs a full handshake or a ticket, never the
// connection.
type SessionStore interface {
	// Put stores a session under a name, which is no secret: it is made of the
	// server's name and of who the client is. The store owns s from then on, unless it
	// returns an error, which destroys s. There may be several sessions of one name.
	// At most eight calls for one connection are under way at a time, and what comes
	// beside them is not stored.
	Put(ctx context.Context, name string, s *Session) error

	// Take takes a session of that name out of the store, the newest if there are
	// several, and returns it; nil, and no error, if there is none. The caller owns it.
	Take(ctx context.Context, name string) (*Session, error)
}

// A SessionCache is a SessionStore in memory, which keeps so many sessions and lets go
// of those that were put in first. The zero SessionCache is NewSessionCache(0).
type SessionCache struct {
	capacity int

	mu      sync.Mutex
	entries []cacheEntry // the oldest first
}

type cacheEntry struct {
	name    string
	session *Session
}

// NewSessionCache returns a cache for capacity sessions; with 0 or less, 64. Servers
// commonly give two for each connection.
func NewSessionCache(capacity int) *SessionCache {
	return &SessionCache{capacity: max(capacity, 0)}
}

// Put stores a session. The oldest one is wiped where there is no room.
func (c *SessionCache) Put(_ context.Context, name string, s *Session) error {
	if s == nil || s.state == nil {
		return configError("a SessionCache was given no Session")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= cmp.Or(c.capacity, defaultSessions) {
		c.entries[0].session.Wipe()
		c.entries = slices.Delete(c.entries, 0, 1)
	}
	c.entries = append(c.entries, cacheEntry{name, s})
	return nil
}

// Take takes out the newest session of that name.
func (c *SessionCache) Take(_ context.Context, name string) (*Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range slices.Backward(c.entries) {
		if e.name == name {
			c.entries = slices.Delete(c.entries, i, i+1)
			return e.session, nil
		}
	}
	return nil, nil
}

// Len returns how many sessions there are.
func (c *SessionCache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// Each calls f with each session and the name that it is stored under, the oldest
// first, until f returns false. f must neither keep the session nor use the cache.
func (c *SessionCache) Each(f func(name string, s *Session) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		if !f(e.name, e.session) {
			return
		}
	}
}

// Wipe destroys all sessions. The cache is empty afterwards, and can be used.
func (c *SessionCache) Wipe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		e.session.Wipe()
	}
	c.entries = nil
}
