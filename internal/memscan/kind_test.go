// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"crypto/tls"

	"github.com/mayfly-tls/mayfly"
)

// A kind is how a connection is made, used and ended.
type kind struct {
	client  bool // the child is the client
	psk     bool // an imported pre-shared key
	ticket  bool // a session is resumed
	moved   bool // the child hands the connection on, to itself
	raw     bool // raw public keys, otherwise X.509
	rekeys  bool
	early   bool // and early data sent with it
	logs    bool // the child writes a key log, which nobody keeps
	floods  bool // once, with much data both ways
	exports bool // keying material, once
	deep    bool // on stacks that have grown
	end     end
	stop    stop
	fails   failure // the handshake, where it was stopped
	suite   uint16
	group   tls.CurveID
	spare   tls.CurveID // of another share that a client sends, for nothing; 0: none
	retries bool        // it sends that alone at first
}

// An end is how a connection ends.
type end int

const (
	closes   end = iota // the child calls Close
	hears               // the peer calls Close, and the child then
	breaks              // the peer sends a forged record; nobody calls Close
	drops               // the child forgets the connection
	ends                // how many there are
	survives            // it does not
)

// A stop is where a connection waits while the memory is searched.
type stop int

const (
	open      stop = iota
	atHello        // before the ServerHello
	atFlight       // before the peer's Finished
	closed         // at the end
	departing      // open, but about to end
)

// A failure is how a handshake ends that has been stopped.
type failure int

const (
	succeeds failure = iota
	forged           // the peer sends what it must not
	cut              // the peer's transport ends
	canceled         // the child's context does
	failures         // how many there are
)

// connections is how many there are at once: each combination.
const connections = 2 * 2 * 2 * 3 * 3 * int(ends)

func kindOf(i int) kind {
	k := kind{deep: i%3 == 1, psk: i%5 == 2, ticket: i%5 == 4, moved: i%11 == 3, floods: i%13 == 6, logs: i%4 == 1, exports: i%6 == 2}
	n := i
	next := func(m int) int { r := n % m; n /= m; return r }
	k.client = next(2) == 0
	k.raw = next(2) == 0
	k.rekeys = next(2) == 0
	k.suite = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}[next(3)]
	k.group = []tls.CurveID{tls.X25519, tls.CurveP256, tls.X25519MLKEM768}[next(3)]
	k.end = end(next(int(ends)))
	if i%19 == 0 {
		k.end = survives
	}
	switch i * 5 / 7 % 5 {
	case 1:
		if k.client {
			k.stop = atHello
		}
	case 2:
		k.stop = atFlight
	}
	if k.stop != open {
		k.fails = failure(i / 2 % int(failures))
	}
	k.early = k.ticket && k.stop == open
	switch {
	case k.client && i%9 == 4:
		k.spare = map[tls.CurveID]tls.CurveID{tls.X25519: tls.CurveP256, tls.CurveP256: tls.X25519, tls.X25519MLKEM768: tls.CurveP256}[k.group]
		k.retries = i%4 == 2 && k.stop == open && !k.psk && !k.ticket
	case i%11 == 7:
		k.group = map[tls.CurveID]tls.CurveID{tls.X25519: tls.CurveP384, tls.CurveP256: tls.CurveP521, tls.X25519MLKEM768: mayfly.MLKEM1024}[k.group]
	}
	return k
}

// standard is what crypto/tls can do of it, and the child shows of that.
func (k kind) standard() kind {
	k.raw, k.psk, k.ticket, k.early, k.moved, k.exports, k.retries, k.spare = false, false, false, false, false, false, false, 0
	if k.group == mayfly.MLKEM1024 {
		k.group = tls.X25519MLKEM768
	}
	if k.group == tls.X25519MLKEM768 && !standardMLKEM {
		k.group = tls.X25519
	}
	if k.client && k.stop == atFlight {
		k.stop = atHello // it would say nothing when it has taken the ServerHello
	}
	return k
}
