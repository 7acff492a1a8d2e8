// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handover

import (
	"sync"
	"testing"
)

func TestClaimIsDecidedOnce(t *testing.T) {
	t.Parallel()
	var first Claim
	if first.Ended() || first.Detached() {
		t.Error("the zero Claim is decided")
	}
	for range 2 {
		if !first.End() {
			t.Error("End was refused")
		}
	}
	if first.Detach() || !first.Ended() || first.Detached() {
		t.Error("after End")
	}
	var second Claim
	if !second.Detach() {
		t.Error("Detach was refused")
	}
	if second.Detach() || second.End() || second.Ended() || !second.Detached() {
		t.Error("after Detach")
	}
}

// TestClaimOfOne has End and Detach called at the same time: all calls agree on one of them.
func TestClaimOfOne(t *testing.T) {
	t.Parallel()
	for range 200 {
		var c Claim
		var end, detach [2]bool
		var wait sync.WaitGroup
		for i := range 2 {
			wait.Go(func() { end[i] = c.End() })
			wait.Go(func() { detach[i] = c.Detach() })
		}
		wait.Wait()
		switch n := detach; {
		case n[0] && n[1], end[0] != end[1], end[0] == (n[0] || n[1]):
			t.Fatalf("End: %v, Detach: %v", end, detach)
		case end[0] != c.Ended(), end[0] == c.Detached():
			t.Fatalf("End: %v, but Ended %t, Detached %t", end, c.Ended(), c.Detached())
		}
	}
}
