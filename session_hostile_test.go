// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestZeroSealingKey has keys that nobody made beside and before a good one: they seal
// and open nothing, and harm nothing.
func TestZeroSealingKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.connect(t)
	good, _ := r.keys.Keys(t.Context())
	zero := new(mayfly.SealingKey)
	for _, first := range []*mayfly.SealingKey{zero, nil} {
		r.keys.Set(first, good[0])
		before := r.cache.Len()
		client, server := r.connect(t)
		mustBe(t, true, client, server)
		if r.cache.Len() != before-1 {
			t.Errorf("%d sessions, of %d: a ticket was sealed", r.cache.Len(), before)
		}
	}
	zero.Wipe()
	file := filepath.Join(t.TempDir(), "sessions")
	if err := mayfly.SaveSessions(file, zero, r.cache); err == nil {
		t.Error("sessions were sealed")
	}
	if err := mayfly.SaveSessions(file, good[0], r.cache); err != nil {
		t.Fatal(err)
	}
	if _, err := mayfly.LoadSessions(file, zero, 0); !errors.Is(err, mayfly.ErrSessionFile) {
		t.Errorf("a file was opened: %v", err)
	}
	if _, err := mayfly.OpenSession(zero, "", make([]byte, 200)); !errors.Is(err, mayfly.ErrSession) {
		t.Errorf("a session was opened: %v", err)
	}
	// A ticket of zeros, as under a key of that name.
	r.keys.Set(zero)
	r.client.Sessions = garbage(func(string) *mayfly.Session {
		other := newRig(t)
		other.connect(t)
		s := mayfly.CopySession(newest(t, other.cache))
		mayfly.AlterTicket(s, func(b []byte) []byte { return make([]byte, len(b)) })
		return s
	})
	r.client.Peers = mayfly.InsecureAnyServer()
	client, server := r.connect(t)
	mustBe(t, false, client, server)
}

// TestZeroSessionCache keeps as many as one of NewSessionCache.
func TestZeroSessionCache(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cache = new(mayfly.SessionCache)
	r.client.Sessions, r.client.Tickets.Count = r.cache, 8
	for range 3 {
		r.connect(t)
	}
	if r.cache.Len() != 22 {
		t.Errorf("%d sessions", r.cache.Len())
	}
}

// garbage is a store that gives whatever it likes.
type garbage func(name string) *mayfly.Session

func (garbage) Put(context.Context, string, *mayfly.Session) error { return errors.New("full") }

func (f garbage) Take(_ context.Context, name string) (*mayfly.Session, error) { return f(name), nil }

// TestGarbageStore: whatever a store gives, a full handshake follows.
func TestGarbageStore(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(t *testing.T, r *rig) *mayfly.Session{
		"a zero Session": func(*testing.T, *rig) *mayfly.Session { return new(mayfly.Session) },
		"a wiped one": func(t *testing.T, r *rig) *mayfly.Session {
			s := mayfly.CopySession(newest(t, r.cache))
			s.Wipe()
			return s
		},
		"one of another server": func(t *testing.T, r *rig) *mayfly.Session {
			other := newRig(t)
			other.connect(t)
			return mayfly.CopySession(newest(t, other.cache))
		},
		"one with another name": func(t *testing.T, r *rig) *mayfly.Session {
			s := mayfly.CopySession(newest(t, r.cache))
			mayfly.RenameSession(s, "other.example")
			return s
		},
		"one without a ticket": func(t *testing.T, r *rig) *mayfly.Session {
			s := mayfly.CopySession(newest(t, r.cache))
			mayfly.AlterTicket(s, func([]byte) []byte { return nil })
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.connect(t)
			r.client.Sessions = garbage(func(string) *mayfly.Session { return make(t, r) })
			client, server := r.connect(t)
			mustBe(t, false, client, server)
		})
	}
}

// TestOnceAfterRetry asks the guard once, though the ticket is offered twice; early data
// that came before the HelloRetryRequest is not taken.
func TestOnceAfterRetry(t *testing.T) {
	t.Parallel()
	r := newEarlyRig(t)
	once, early := new(register), new(register)
	r.server.Tickets.Once, r.server.Replay = once, early
	r.server.CurvePreferences = []tls.CurveID{tls.CurveP256}
	r.connect(t)
	res := r.sendEarly(t, "early")
	res.must(t, false, "early")
	mustBe(t, true, res.client, res.server)
	if len(once.uses) != 1 || len(early.uses) != 0 || res.server.EarlyDataReason() != mayfly.EarlyDataRetried {
		t.Errorf("the guards saw %v and %v; %v", once.uses, early.uses, res.server.EarlyDataReason())
	}
}

// TestTooMuchEarlyData sends one byte more than the ticket allows, by a client that
// believes otherwise (RFC 9846, Section 4.7.1).
func TestTooMuchEarlyData(t *testing.T) {
	t.Parallel()
	for n, allowed := range map[int]bool{1000: true, 1001: false} {
		r := newEarlyRig(t)
		r.connect(t)
		mayfly.AllowEarly(newest(t, r.cache), 1<<20)
		res := r.sendEarly(t, strings.Repeat("x", n))
		if allowed {
			res.must(t, true, strings.Repeat("x", n))
			continue
		}
		if e, ok := errors.AsType[*mayfly.AlertError](res.serverErr); !ok || e.Code != 10 || e.Remote {
			t.Errorf("%d bytes: %v, want unexpected_message", n, res.serverErr)
		}
		if len(res.read) > 1000 {
			t.Errorf("%d bytes were read", len(res.read))
		}
	}
}

// TestSkippedEarlyData has a client send more early data than its ticket allows to a server
// that has refused it: what is skipped without a key to tell it from anything else is
// bounded (RFC 9846, Section 4.3.10).
func TestSkippedEarlyData(t *testing.T) {
	t.Parallel()
	for n, skipped := range map[int]bool{1000: true, 16 << 10: true, 20_000: false, 1 << 20: false} {
		for name, refuse := range map[string]func(*rig){
			"refused": func(r *rig) { r.server.Replay = guardFunc(func() (bool, error) { return false, nil }) },
			"retried": func(r *rig) { r.server.CurvePreferences = []tls.CurveID{tls.CurveP256} },
		} {
			r := newEarlyRig(t)
			r.connect(t)
			mayfly.AllowEarly(newest(t, r.cache), 1<<30)
			refuse(r)
			res := r.sendEarly(t, strings.Repeat("x", n))
			if skipped {
				res.must(t, false, "")
				continue
			}
			if e, ok := errors.AsType[*mayfly.AlertError](res.serverErr); !ok || e.Code != 10 || e.Remote {
				t.Errorf("%s, %d bytes: %v, want unexpected_message", name, n, res.serverErr)
			}
			if len(res.read) != 0 {
				t.Errorf("%s: %d bytes were read", name, len(res.read))
			}
		}
	}
}

// TestRefusedEarlyDataOfAForeignTicket has a server that takes no early data skip what
// other servers allow by default: 16,384 bytes, in one record or in many.
func TestRefusedEarlyDataOfAForeignTicket(t *testing.T) {
	t.Parallel()
	for _, fragment := range []int{0, 64, 512} {
		for name, curve := range map[string]tls.CurveID{"refused": tls.X25519, "retried": tls.CurveP256} {
			r := newEarlyRig(t)
			r.connect(t)
			mayfly.AllowEarly(newest(t, r.cache), 1<<14)
			r.keys.Set(mayfly.GenerateSealingKey())
			r.server.MaxEarlyData, r.server.CurvePreferences, r.client.MaxFragment = 0, []tls.CurveID{curve}, fragment
			t.Logf("%s, records of %d bytes", name, fragment)
			r.sendEarly(t, strings.Repeat("x", 1<<14)).must(t, false, "")
		}
	}
}

// TestEarlyDataLimitLowered lowers MaxEarlyData while a ticket lives that allows more: the
// lower limit holds, and with 0 the early data is refused and the handshake goes on.
func TestEarlyDataLimitLowered(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		limit, sent int
		accepted    bool
	}{{1000, 1000, true}, {1000, 1001, false}, {1000, 60_000, false}, {0, 1, false}, {0, 60_000, false}} {
		r := newEarlyRig(t)
		r.server.MaxEarlyData = 60_000
		r.connect(t)
		r.server.MaxEarlyData = test.limit
		early := strings.Repeat("x", test.sent)
		res := r.sendEarly(t, early)
		if test.accepted || test.limit == 0 {
			res.must(t, test.accepted, early)
			continue
		}
		if e, ok := errors.AsType[*mayfly.AlertError](res.serverErr); !ok || e.Code != 10 || e.Remote || len(res.read) > test.limit {
			t.Errorf("%+v: %d bytes were read, %v; want unexpected_message", test, len(res.read), res.serverErr)
		}
	}
}

// TestEarlyDataOfLargerTicketIsSkipped skips what a ticket allowed which the server
// does not resume, or asks to send again with another share.
func TestEarlyDataOfLargerTicketIsSkipped(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rig){
		"expired": func(r *rig) { at := r.clock.now().Add(25 * time.Hour); r.server.Time = func() time.Time { return at } },
		"retried": func(r *rig) { r.server.CurvePreferences = []tls.CurveID{tls.CurveP256} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newEarlyRig(t)
			r.server.MaxEarlyData = 1 << 16
			r.connect(t)
			r.server.MaxEarlyData = 0
			change(r)
			r.sendEarly(t, strings.Repeat("x", 1<<16)).must(t, false, "")
		})
	}
}

// TestReplayUntil has a guard that remembers each use for no longer than EarlyUse.Until:
// the same ticket is not admitted again, however late within a millisecond the replay.
func TestReplayUntil(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{-1, 0, 1, time.Millisecond / 2, time.Millisecond - 1, time.Millisecond} {
		r := newEarlyRig(t)
		guard := new(exactGuard)
		r.server.Replay = guard
		r.connect(t)
		a, b := tcpPair(t)
		recorder := &recording{Conn: a}
		r.sendEarlyOver(t, recorder, b, "pay").must(t, true, "pay")
		r.server.Time = func() time.Time { return guard.until.Add(late) }
		a, b = tcpPair(t)
		server := mayfly.Server(b, r.server)
		_, _ = a.Write(recorder.first)
		_ = a.(*net.TCPConn).CloseWrite()
		if read, err := readEarly(server); len(read) != 0 {
			t.Errorf("%v after Until: a replay was read: %q, %v", late, read, err)
		}
		_ = server.Close()
	}
}

// An exactGuard remembers one use until its Until, and no longer.
type exactGuard struct{ until time.Time }

func (g *exactGuard) Admit(_ context.Context, use mayfly.EarlyUse) (bool, error) {
	if use.Now.Before(g.until) {
		return false, nil
	}
	g.until = use.Until
	return true, nil
}

// TestFailedDetach leaves the connection as it was, but that a Read that was under way
// has to be repeated.
func TestFailedDetach(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	client, server := mayflytest.PairConfig(t, cc, sc)
	mayfly.FailWriting(client, errors.New("the transport is ill"))
	read := make(chan error)
	go func() {
		for {
			_, err := client.Read(make([]byte, 1))
			read <- err
			if err == nil {
				return
			}
		}
	}()
	for range 20 {
		if _, _, err := client.Detach(t.Context(), newOffer(t)); err == nil {
			t.Fatal("what cannot be written to was handed on")
		}
	}
	if _, err := server.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for err := range read {
		if err == nil {
			break
		}
		if err != mayfly.ErrDetached {
			t.Fatalf("Read: %v", err)
		}
	}
}
