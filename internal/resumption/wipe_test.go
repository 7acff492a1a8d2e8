// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package resumption

import (
	"bytes"
	"crypto/rand"
	"sync"
	"testing"
)

// TestWipedInUse wipes a key while others seal with it: what they have sealed is under
// the key, or nothing is. A key that is half of zeros would be anybody's.
func TestWipedInUse(t *testing.T) {
	t.Parallel()
	text := []byte("some text")
	for range 20 {
		secret := make([]byte, KeyLen)
		_, _ = rand.Read(secret)
		k, err := NewKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		same, err := NewKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		begun := make(chan struct{}, 4)
		for range 4 {
			all.Go(func() {
				for n := 0; ; n++ {
					sealed, err := k.Seal(rand.Reader, text, "ticket", "")
					if n == 0 {
						begun <- struct{}{}
					}
					if err != nil {
						return
					}
					if got, err := same.Open(sealed, "ticket", ""); err != nil || !bytes.Equal(got.Bytes(), text) {
						t.Errorf("sealed under another key: %v", err)
						return
					}
					if _, err := k.Open(sealed, "ticket", ""); err != nil {
						return
					}
				}
			})
		}
		for range cap(begun) {
			<-begun
		}
		k.Wipe()
		all.Wait()
	}
}
