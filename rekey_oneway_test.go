// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"io"
	"testing"
	"time"
)

// TestAnswersToRekeyAreNotCounted has a peer that writes no data answer many requests.
func TestAnswersToRekeyAreNotCounted(t *testing.T) {
	victim, peer := hostilePair(t)
	go func() { _, _ = io.Copy(io.Discard, peer.inner) }()
	done := make(chan error, 1)
	go func() {
		_, err := victim.Read(make([]byte, 1))
		done <- err
	}()
	for n := range 1000 {
		if err := victim.Rekey(t.Context()); err != nil {
			t.Fatalf("Rekey %d: %v", n, err)
		}
		if err := peer.hostileUpdate(false); err != nil {
			t.Fatal(err)
		}
		if err := victim.WaitPeer(t.Context()); err != nil {
			t.Fatalf("WaitPeer %d: %v", n, err)
		}
	}
	if err := peer.hostile(23, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestKeyUpdateBudgetRecovers counts KeyUpdates from a peer that sends no data: data of
// this side and time give the budget back.
func TestKeyUpdateBudgetRecovers(t *testing.T) {
	count := func(step time.Duration, sends uint64) error {
		var in readHalf
		now, sent := time.Unix(1<<30, 0), uint64(0)
		for range 1000 {
			now, sent = now.Add(step), sent+sends
			in.recoverKeyUpdates(now, sent)
			if err := in.oddities.over(&in.oddities.keyUpdates, maxKeyUpdates, "too many"); err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(count(time.Hour, 0), count(0, 1)); err != nil {
		t.Error(err)
	}
	if count(0, 0) == nil {
		t.Error("a flood passes")
	}
}
