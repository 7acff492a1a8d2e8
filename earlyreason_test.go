// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// TestEarlyDataReason has early data lost for every reason that there is.
func TestEarlyDataReason(t *testing.T) {
	t.Parallel()
	type reason = mayfly.EarlyDataReason
	for _, test := range []struct {
		name           string
		change         func(*rig) // after a connection has brought a session
		early          string
		client, server reason
	}{
		{"taken", func(*rig) {}, "hello", mayfly.EarlyDataAccepted, mayfly.EarlyDataAccepted},
		{"none", func(*rig) {}, "", mayfly.EarlyDataNotWanted, mayfly.EarlyDataDeclined},
		{"too much", func(*rig) {}, strings.Repeat("x", 1001), mayfly.EarlyDataNotAllowed, mayfly.EarlyDataDeclined},
		{"no session", func(r *rig) { r.cache.Wipe() }, "hello", mayfly.EarlyDataNoSession, mayfly.EarlyDataNoSession},
		{"other keys", func(r *rig) { r.keys.Set(mayfly.GenerateSealingKey()) }, "hello", mayfly.EarlyDataSessionRefused, mayfly.EarlyDataSessionRefused},
		{"a server without", func(r *rig) { r.server.MaxEarlyData, r.server.Replay = 0, nil }, "hello", mayfly.EarlyDataDeclined, mayfly.EarlyDataNotWanted},
		{"another group", func(r *rig) { r.server.CurvePreferences = []tls.CurveID{tls.CurveP256} }, "hello", mayfly.EarlyDataRetried, mayfly.EarlyDataRetried},
		{"another protocol of the server's", func(r *rig) { r.server.NextProtos = []string{"b"} }, "hello", mayfly.EarlyDataDeclined, mayfly.EarlyDataOtherProtocol},
		{"another protocol of the client's", func(r *rig) { r.client.NextProtos = []string{"b"} }, "hello", mayfly.EarlyDataOtherProtocol, mayfly.EarlyDataDeclined},
		{"a clock that is wrong", func(r *rig) { r.server.Time = later(r, 11*time.Second) }, "hello", mayfly.EarlyDataDeclined, mayfly.EarlyDataTicketAge},
		{"a clock that may be wrong", func(r *rig) {
			r.server.Time, r.server.MaxTicketAgeSkew, r.server.Replay = later(r, 30*time.Second), time.Minute, guardFunc(func() (bool, error) { return true, nil })
		}, "hello", mayfly.EarlyDataAccepted, mayfly.EarlyDataAccepted},
		{"a guard that refuses", func(r *rig) { r.server.Replay = guardFunc(func() (bool, error) { return false, nil }) }, "hello", mayfly.EarlyDataDeclined, mayfly.EarlyDataReplayed},
	} {
		r := newEarlyRig(t)
		r.client.NextProtos, r.server.NextProtos = []string{"a", "b"}, []string{"a", "b"}
		first := r.sendEarly(t, "hello")
		first.must(t, false, "")
		if got := first.client.EarlyDataReason(); got != mayfly.EarlyDataNoSession {
			t.Errorf("%s: the first client: %v", test.name, got)
		}
		test.change(r)
		if a, b := tcpPair(t); mayfly.Client(a, r.client).EarlyDataReason() != mayfly.EarlyDataUnknown {
			_ = b
			t.Errorf("%s: a reason before the handshake", test.name)
		}
		res := r.sendEarly(t, test.early)
		if res.clientErr != nil || res.serverErr != nil {
			t.Fatalf("%s: %v; %v", test.name, res.clientErr, res.serverErr)
		}
		if c, s := res.client.EarlyDataReason(), res.server.EarlyDataReason(); c != test.client || s != test.server {
			t.Errorf("%s: the client %v, the server %v; want %v, %v", test.name, c, s, test.client, test.server)
		}
		want := map[string]time.Duration{"a clock that is wrong": -11 * time.Second, "a clock that may be wrong": -30 * time.Second}[test.name]
		if skew := res.server.TicketAgeSkew().Round(time.Second); skew != want || res.client.TicketAgeSkew() != 0 {
			t.Errorf("%s: the skew is %v", test.name, skew)
		}
	}
	if got := mayfly.EarlyDataReason(99).String(); got != "EarlyDataReason(99)" {
		t.Error(got)
	}
	if got := mayfly.EarlyDataAccepted.String(); got != "accepted" {
		t.Error(got)
	}
}
