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
		long := 2 * s.maxTicketAgeSkew()
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
