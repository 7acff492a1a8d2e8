// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"context"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// FuzzPeer plays a whole handshake, and data after it, against a client or a server,
// and breaks at most one rule: everything else is legal, and computed as it should
// be. What must come of it is known for nearly all breaches; whatever they are,
// nothing may panic or hang, an error carries an alert that the peer is told, and no
// key and no goroutine is left.
func FuzzPeer(f *testing.F) {
	for i, seed := range seeds() {
		if i%7 == 0 {
			f.Add(seed.server, seed.shape, seed.kind, seed.at, seed.arg, seed.cuts)
		}
	}
	f.Fuzz(func(t *testing.T, server bool, shape uint64, kind, at uint8, arg uint64, cuts []byte) {
		run(t, input{server, shape, kind, at, arg, cuts})
	})
}

// TestBreaches is FuzzPeer for each kind of breach in each place.
func TestBreaches(t *testing.T) {
	for _, in := range seeds() {
		if run(t, in); t.Failed() {
			t.Fatalf("%+v", in)
		}
	}
}

// An input is what the fuzzer chooses.
type input struct {
	server   bool
	shape    uint64
	kind, at uint8
	arg      uint64
	cuts     []byte
}

func run(t testing.TB, in input) {
	t.Helper()
	s := newScenario(in.server, in.shape, in.cuts)
	if s.resumes {
		s.resume(t)
	}
	b := &breach{kind: kind(in.kind) % kinds, at: int(in.at), arg: in.arg}
	r, p := play(t, s, b)
	check(t, s, b, r, p)
	if t.Failed() {
		t.Logf("input: %+v", in)
	}
}

// seeds are inputs that reach each kind of breach in each place.
func seeds() []input {
	var list []input
	n := uint64(1)
	next := func() uint64 { // no chance here: the same numbers each time
		n = n*6364136223846793005 + 1442695040888963407
		return n >> 20
	}
	for k := range kinds {
		args, places := variants(k)
		for at := range places {
			for arg := range args {
				for _, server := range []bool{true, false} {
					in := input{server, smallShape(next()), uint8(k), at, arg + args*(next()%1000), nil}
					if places == 1 {
						in.at = uint8(next() % 10)
					}
					if len(list)%3 == 0 {
						in.cuts = []byte{byte(next()), byte(next()), byte(next() % 4), 0}
					}
					list = append(list, in)
				}
			}
		}
	}
	return list
}

// variants says in how many ways and places a rule can be broken.
func variants(k kind) (args uint64, places uint8) {
	switch k {
	case nothing:
		return 10, 1
	case drop:
		return 6, 8
	case twice, swap, repeatRecord, loseRecord, swapRecord:
		return 1, 12
	case strayMessage:
		return uint64(2 * len(strayMessages)), 1
	case strayRecord:
		return 18, 9
	case impostor:
		return impostures, 2
	case cutStream:
		return 30, 1
	}
	return 3, 10
}

// smallShape makes a scenario with nothing large in it.
func smallShape(n uint64) uint64 {
	shape, unit := uint64(0), uint64(1)
	for _, radix := range []uint64{3, 3, 2, 2, 4, 4, 2, 2, 4, 4, 3, 3, 2, 3} { // up to the data
		shape += n % radix * unit
		n /= radix
		unit *= radix
	}
	const data = 2 + 4*1 + 16*0 + 64*2 + 256*1 // two pieces, of 100 and of 1 byte, and 300 bytes from the victim
	return shape + unit*(data+1024*(n%5))
}

func ledgerTrace(add func(int)) *mayfly.Trace {
	return &mayfly.Trace{
		KeysInstalled: func(context.Context, mayfly.KeyInfo) { add(1) },
		KeysDestroyed: func(context.Context, mayfly.KeyInfo) { add(-1) },
	}
}
