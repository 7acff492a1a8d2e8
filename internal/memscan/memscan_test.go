// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package memscan

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"
)

// TestSearch looks for pieces of needles where they begin and end anywhere, and
// for what must not be found.
func TestSearch(t *testing.T) {
	t.Parallel()
	secret := sha256.Sum256([]byte("a secret"))
	other := sha256.Sum256([]byte("another"))
	var x Index
	x.Add(1, Raw(secret[:])...)
	x.Add(2, Form{Name: "low", Bytes: make([]byte, 64)}, Form{Name: "short", Bytes: secret[:window-1]})
	if n := x.Len(); n != len(secret)-window+1 {
		t.Errorf("%d pieces", n)
	}
	memory := slices.Concat(other[:], make([]byte, 64), secret[3:3+window], other[:5], secret[:], other[:], secret[9:9+window-1])
	want := []Find{
		{1, "raw", 1000 + 96, window, "here"},
		{1, "raw", 1000 + 96 + window + 5, len(secret), "here"},
	}
	if got := x.search(nil, "here", 1000, memory); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := x.search(nil, "here", 0, secret[:window-1]); got != nil {
		t.Errorf("in too little memory: %v", got)
	}
	x.Add(3, Secret(sha256.New, other[:])...)
	if got := x.search(nil, "here", 0, other[:]); len(got) != 1 || got[0].Needle != 3 {
		t.Errorf("after another needle was added: %v", got)
	}
	digits := hex.AppendEncode(nil, other[:])
	memory = slices.Concat(digits[:2*window-1], secret[:window], digits[5:5+2*window], make([]byte, 8), digits[:window])
	want = []Find{
		{1, "raw", 2*window - 1, window, "here"},
		{3, "hex", 3*window - 1, 2 * window, "here"},
	}
	if got := x.search(nil, "here", 0, memory); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestGHASHMultiply computes a GHASH value of the Galois/Counter Mode of Operation
// (McGrew and Viega), test case 2.
func TestGHASHMultiply(t *testing.T) {
	t.Parallel()
	decode := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	got := multiply(decode("0388dace60b6a392f328c2b971b2fe78"), decode("66e94bd4ef8a2c3b884cfa59ca342b2e"))
	if want := decode("5e2ec746917062882c85b0685353deb7"); !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}
