// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"crypto/rand"
	"testing"
)

// Both run each group by each implementation, so that one run gives the ratio.

func BenchmarkClient(b *testing.B) {
	benchmark(b, func(b *testing.B, i implementation, g Group) {
		k, _ := i.generate(g, rand.Reader)
		share, _, _ := i.respond(g, rand.Reader, k.Share())
		for b.Loop() {
			k, _ := i.generate(g, rand.Reader)
			secret, _ := k.Agree(share)
			secret.Wipe()
			k.Wipe()
		}
	})
}

func BenchmarkServer(b *testing.B) {
	benchmark(b, func(b *testing.B, i implementation, g Group) {
		k, _ := i.generate(g, rand.Reader)
		for b.Loop() {
			_, secret, _ := i.respond(g, rand.Reader, k.Share())
			secret.Wipe()
		}
	})
}

func benchmark(b *testing.B, f func(*testing.B, implementation, Group)) {
	for _, g := range All() {
		for name, i := range map[string]implementation{"circl": circl, "standard": standard} {
			if name == "circl" && (g == P256 || g == P384 || g == P521) {
				continue // which are the standard library's
			}
			b.Run(g.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				f(b, i, g)
			})
		}
	}
}
