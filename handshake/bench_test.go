// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"testing"

	"github.com/mayfly-tls/mayfly/internal/kex"
)

// BenchmarkHandshake does both sides of a mutual handshake, without records.
func BenchmarkHandshake(b *testing.B) {
	for _, group := range []kex.Group{kex.X25519, kex.X25519MLKEM768} {
		only := func(c *Config) { c.Groups = []kex.Group{group} }
		for name, edits := range map[string][2]func(*Config){
			"mutual":  {mutual, mutual},
			"resumed": {newSafe("alpha").offered, newSafe("alpha").alone},
		} {
			b.Run(group.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					client, server := clientConfig(only), serverConfig(only)
					edits[0](client)
					edits[1](server)
					p := newPair(b, client, server)
					p.mustSucceed(b)
					p.client.m.Wipe()
					p.server.m.Wipe()
				}
			})
		}
	}
}
