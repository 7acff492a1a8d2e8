// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import "testing"

func BenchmarkClient(b *testing.B) {
	for _, g := range All() {
		share := func() []byte {
			k, _ := Generate(g, nil)
			share, _, _ := Respond(g, nil, k.Share())
			return share
		}()
		b.Run(g.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k, _ := Generate(g, nil)
				secret, _ := k.Agree(share)
				secret.Wipe()
				k.Wipe()
			}
		})
	}
}

func BenchmarkServer(b *testing.B) {
	for _, g := range All() {
		k, _ := Generate(g, nil)
		b.Run(g.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, secret, _ := Respond(g, nil, k.Share())
				secret.Wipe()
			}
		})
	}
}
