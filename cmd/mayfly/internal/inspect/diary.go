// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"bytes"
	"context"
	"encoding/hex"
	"sync"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A diary notes what the connection tells of its keys.
type diary struct {
	start time.Time

	mu        sync.Mutex
	installed []keyEvent
	destroyed []keyEvent
	tickets   []time.Duration
	done      time.Duration // the handshake, 0 where it never was
	closed    time.Duration
}

type keyEvent struct {
	at  time.Duration
	key mayfly.KeyInfo
}

func (d *diary) elapsed() time.Duration { return time.Since(d.start) }

// trace returns the hooks that write the diary.
func (d *diary) trace() *mayfly.Trace {
	note := func(f func(at time.Duration)) {
		at := d.elapsed()
		d.mu.Lock()
		defer d.mu.Unlock()
		f(at)
	}
	return &mayfly.Trace{
		HandshakeDone: func(_ context.Context, i mayfly.HandshakeInfo) {
			if i.Err == nil {
				note(func(at time.Duration) { d.done = at })
			}
		},
		KeysInstalled: func(_ context.Context, i mayfly.KeyInfo) {
			note(func(at time.Duration) { d.installed = append(d.installed, keyEvent{at, i}) })
		},
		KeysDestroyed: func(_ context.Context, i mayfly.KeyInfo) {
			note(func(at time.Duration) { d.destroyed = append(d.destroyed, keyEvent{at, i}) })
		},
		Closed: func(context.Context, mayfly.CloseInfo) { note(func(at time.Duration) { d.closed = at }) },
	}
}

// life returns when a set of keys came into use, and when it was wiped. The second is 0
// where that was not told. mu is held.
func (d *diary) life(key mayfly.KeyInfo) (born, died time.Duration, ok bool) {
	same := func(k mayfly.KeyInfo) bool {
		return k.Direction == key.Direction && k.Early == key.Early && k.Handshake == key.Handshake && k.Generation == key.Generation
	}
	for _, e := range d.installed {
		if same(e.key) {
			born, ok = e.at, true
		}
	}
	for _, e := range d.destroyed {
		if same(e.key) {
			died = e.at
		}
	}
	return born, died, ok
}

// forgetful is a SessionStore that has servers give tickets, and keeps none of them.
type forgetful struct{ diary *diary }

func (f *forgetful) Put(_ context.Context, _ string, s *mayfly.Session) error {
	s.Wipe()
	at := f.diary.elapsed()
	f.diary.mu.Lock()
	defer f.diary.mu.Unlock()
	f.diary.tickets = append(f.diary.tickets, at)
	return nil
}

func (f *forgetful) Take(context.Context, string) (*mayfly.Session, error) { return nil, nil }

// A keyLog keeps the secrets of Config.KeyLogWriter, and when each came.
type keyLog struct {
	now func() time.Duration

	mu      sync.Mutex
	secrets map[string]*logged // by the labels of SSLKEYLOGFILE
}

type logged struct {
	at     time.Duration
	secret *volatile.Secret
}

// Write takes one line: a label, the client's random, a secret.
func (l *keyLog) Write(line []byte) (int, error) {
	words := bytes.Fields(line)
	if len(words) != 3 {
		return len(line), nil
	}
	secret := volatile.New(hex.DecodedLen(len(words[2])))
	if _, err := hex.Decode(secret.Bytes(), words[2]); err != nil {
		secret.Wipe()
		return len(line), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secrets == nil {
		l.secrets = make(map[string]*logged)
	}
	l.secrets[string(words[0])] = &logged{l.now(), secret}
	return len(line), nil
}

// find returns the secret of that label, nil if there is none.
func (l *keyLog) find(label string) *logged {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.secrets[label]
}

func (l *keyLog) wipe() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.secrets {
		s.secret.Wipe()
	}
	l.secrets = nil
}
