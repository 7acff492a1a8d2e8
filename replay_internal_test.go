// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"testing"
	"time"
)

// TestReplayWindow shows that a guard remembers for as long as clocks may differ, and
// refuses what it would forget too soon.
func TestReplayWindow(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	for _, skew := range []time.Duration{0, time.Minute} {
		g := newMemoryGuard(0, start.Add(-time.Hour))
		config := &Config{Identity: seeded(1), Peers: NoClientAuth(), MaxEarlyData: 1, Replay: g, MaxTicketAgeSkew: skew}
		s, err := config.settle(true, "")
		if err != nil {
			t.Fatal(err)
		}
		long := 2 * (s.maxTicketAgeSkew() + time.Millisecond)
		use := EarlyUse{Token: [32]byte{1}, Issued: start, Now: start, Until: start.Add(long)}
		for n := range 2 {
			if ok, _ := g.Admit(t.Context(), use); ok != (n == 0) {
				t.Errorf("%v: use %d: %v", skew, n, ok)
			}
			use.Now = start.Add(long - 1)
		}
		use.Token, use.Until = [32]byte{2}, use.Now.Add(long+1)
		if ok, _ := g.Admit(t.Context(), use); ok {
			t.Errorf("%v: what will be forgotten before its end was admitted", skew)
		}
	}
	if _, err := (&Config{Identity: seeded(1), Peers: NoClientAuth(), MaxTicketAgeSkew: 61 * time.Second}).settle(true, ""); err == nil {
		t.Error("more than a minute")
	}
}

// TestReplayLongerWindow has a second Config come to share a guard, with a longer window:
// what was forgotten by the shorter one is not fresh again.
func TestReplayLongerWindow(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	now := start
	g := newMemoryGuard(0, start.Add(-time.Hour))
	join := func(skew time.Duration) {
		t.Helper()
		config := &Config{Identity: seeded(1), Peers: NoClientAuth(), MaxEarlyData: 1, Replay: g, MaxTicketAgeSkew: skew, Time: func() time.Time { return now }}
		if _, err := config.settle(true, ""); err != nil {
			t.Fatal(err)
		}
	}
	admit := func(token byte, issued time.Time) bool {
		ok, _ := g.Admit(t.Context(), EarlyUse{Token: [32]byte{token}, Issued: issued, Now: now, Until: issued.Add(time.Minute)})
		return ok
	}
	join(0)
	use := EarlyUse{Token: [32]byte{1}, Issued: start, Now: now, Until: now.Add(freshness)}
	if ok, _ := g.Admit(t.Context(), use); !ok {
		t.Fatal("the first use is refused")
	}
	now = start.Add(43 * time.Second)
	other := EarlyUse{Token: [32]byte{2}, Issued: now, Now: now, Until: now.Add(freshness)}
	if ok, _ := g.Admit(t.Context(), other); !ok { // which has the first one forgotten
		t.Fatal("another is refused")
	}
	now = start.Add(50 * time.Second)
	join(time.Minute)
	if admit(1, start) {
		t.Error("admitted again, by a longer window")
	}
	now = now.Add(time.Second)
	if !admit(3, now) || admit(3, now) {
		t.Error("a ticket that is younger is refused, or admitted twice")
	}
	join(time.Minute)
	if !admit(4, now) {
		t.Error("it begins anew, and the window is the same")
	}
	now = now.Add(2 * time.Minute)
	if !admit(5, now) {
		t.Error("refused for good")
	}

	// A Config of GetConfig's has the guard of the Listener's, and its own idea of clocks.
	outer, err := (&Config{Identity: seeded(1), Peers: NoClientAuth(), MaxEarlyData: 1}).settle(true, "")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := (&Config{Identity: seeded(2), Peers: NoClientAuth(), MaxEarlyData: 1, MaxTicketAgeSkew: time.Minute}).settle(true, "")
	if err != nil {
		t.Fatal(err)
	}
	inner.inherit(outer)
	use = EarlyUse{Token: [32]byte{1}, Issued: now, Now: now, Until: now.Add(inner.maxTicketAgeSkew())}
	for n := range 2 {
		if ok, _ := outer.replay.Admit(t.Context(), use); ok != (n == 0) {
			t.Errorf("a Config of GetConfig's, use %d: %v", n, ok)
		}
	}
}

// TestReplayFirst shows what becomes of the tickets of the guard's first millisecond. The
// one that comes with a Config takes them, as their keys are no older than it; one that
// may stand beside older keys does not.
func TestReplayFirst(t *testing.T) {
	t.Parallel()
	s, err := (&Config{Identity: seeded(1), Peers: NoClientAuth(), MaxEarlyData: 1}).settle(true, "")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1_700_000_000, 1)
	use := EarlyUse{Token: [32]byte{1}, Issued: start.Truncate(time.Millisecond), Now: start, Until: start.Add(time.Second)}
	for n := range 2 {
		if ok, _ := s.replay.Admit(t.Context(), use); ok != (n == 0) {
			t.Errorf("the guard of a Config, use %d: %v", n, ok)
		}
	}
	if ok, _ := newMemoryGuard(0, start).Admit(t.Context(), use); ok {
		t.Error("a guard by itself admits a ticket that may be older")
	}
}

// TestReplayClockBack sets the clock back by so much that a token was forgotten before
// its ticket is too old: by the wall's clock alone, and by one that also counts.
func TestReplayClockBack(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]time.Time{"wall": time.Unix(1_700_000_000, 0), "monotonic": time.Now()} {
		g := newMemoryGuard(0, start.Add(-time.Hour))
		use := EarlyUse{Token: [32]byte{1}, Issued: start, Now: start, Until: start.Add(replayWindow)}
		if ok, _ := g.Admit(t.Context(), use); !ok {
			t.Fatalf("%s: the first use is refused", name)
		}
		other := use
		other.Token, other.Now, other.Until = [32]byte{2}, start.Add(time.Hour), start.Add(time.Hour+replayWindow)
		if ok, _ := g.Admit(t.Context(), other); !ok {
			t.Errorf("%s: another ticket is refused, an hour later", name)
		}
		if ok, _ := g.Admit(t.Context(), use); ok {
			t.Errorf("%s: admitted again, by a clock that was set back", name)
		}
		other.Token, other.Now, other.Until = [32]byte{3}, other.Now.Add(-time.Second), other.Until.Add(-time.Second)
		if ok, _ := g.Admit(t.Context(), other); !ok {
			t.Errorf("%s: what was only out of order is refused", name)
		}
	}
}
