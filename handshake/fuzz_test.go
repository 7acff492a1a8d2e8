// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"errors"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// FuzzReceive feeds a machine what it does not expect, in each of its states: it
// must not panic, and its errors carry alerts. From withCookie on the server has asked for
// a cookie.
func FuzzReceive(f *testing.F) {
	const withCookie = 128
	for _, edit := range []func(*Config){func(*Config) {}, jarred} {
		p := newPair(f, clientConfig(mutual, noShare), serverConfig(mutual, edit))
		p.tamper = func(_ Role, raw []byte) [][]byte {
			for id := range stateCount {
				f.Add(uint8(id), raw)
				f.Add(uint8(withCookie+id), raw)
			}
			return [][]byte{raw}
		}
		p.mustSucceed(f)
	}
	f.Fuzz(func(t *testing.T, id uint8, raw []byte) {
		var server []func(*Config)
		if id >= withCookie {
			id, server = id-withCookie, append(server, jarred)
		}
		if row := appendixA()[stateID(id)]; len(raw) < 4 || len(row.next) == 0 {
			return
		}
		e := reach(t, stateID(id), server...)
		before := e.m.state.id()
		_, err := e.m.Receive(message(raw), token)
		var a *alert.Error
		switch {
		case err == nil && e.m.state.id() == before:
			t.Error("a message changed nothing")
		case err != nil && !errors.As(err, &a):
			t.Errorf("an error without an alert: %v", err)
		case err != nil:
			checkWiped(t, e.m)
		}
	})
}
