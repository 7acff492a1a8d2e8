// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// FuzzAgree shows any share to both sides.
func FuzzAgree(f *testing.F) {
	for _, g := range All() {
		k, err := Generate(g, nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(g), k.Share())
	}
	f.Fuzz(func(t *testing.T, group uint16, share []byte) {
		g := Group(group)
		if !g.Supported() {
			return
		}
		if _, _, err := Respond(g, nil, share); err != nil {
			wantAlert(t, err, alert.IllegalParameter)
		}
		k, err := Generate(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Wipe()
		if _, err := k.Agree(share); err != nil {
			wantAlert(t, err, alert.IllegalParameter)
		}
	})
}
