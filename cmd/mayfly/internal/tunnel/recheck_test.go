// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// TestRecheckCutsRevokedPeersAlone takes the client's pin off the server's list while a
// connection is open.
func TestRecheckCutsRevokedPeersAlone(t *testing.T) {
	w := newWorld(t, nil)
	plain := dial(t, w.plain)
	target := accept(t, w.target)
	send(t, plain, "before")
	expect(t, target, "before")
	if n := w.server.Recheck(); n != 0 {
		t.Errorf("%d connections of accepted peers were cut", n)
	}
	send(t, plain, "still")
	expect(t, target, "still")

	other := identity(t)
	change(&w.serves, func(c *mayfly.Config) { c.Peers = mayfly.NewPinSet(other.Pin()) })
	if n := w.server.Recheck(); n != 1 {
		t.Errorf("%d connections were cut, want the one of the revoked peer", n)
	}
	expectCut(t, plain)
	expectCut(t, target)
}

func TestAbstractAddresses(t *testing.T) {
	for addr, want := range map[Address]bool{
		{"unix", "@name"}: true, {"unix", "\x00name"}: true, {"unix", "/run/name"}: false, {"tcp", "@:1"}: false,
	} {
		if got := addr.Abstract(); got != want {
			t.Errorf("%q: %t, want %t", addr, got, want)
		}
	}
}
