// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package kex agrees on the asymmetric shared secret of RFC 9846, Section 7.4, in
// the groups that the module supports. Ephemeral private keys are wiped by their
// owner, on the server's side before Respond returns. X25519 and ML-KEM are circl's, or the
// standard library's where choose says so.
//
// It must not know messages, nor the key schedule.
package kex

import (
	"crypto/rand"
	"io"
	"slices"
	"strconv"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A Group is a NamedGroup of RFC 9846, Section 4.3.7.
type Group uint16

// The groups.
const (
	P256           Group = 0x0017
	P384           Group = 0x0018
	P521           Group = 0x0019
	X25519         Group = 0x001d
	MLKEM1024      Group = 0x0202
	X25519MLKEM768 Group = 0x11ec
)

// String returns the name that the RFC gives the group.
func (g Group) String() string {
	switch g {
	case P256:
		return "secp256r1"
	case P384:
		return "secp384r1"
	case P521:
		return "secp521r1"
	case X25519:
		return "x25519"
	case MLKEM1024:
		return "MLKEM1024"
	case X25519MLKEM768:
		return "X25519MLKEM768"
	}
	return "group(0x" + strconv.FormatUint(uint64(g), 16) + ")"
}

// Supported reports whether Generate and Respond know the group.
func (g Group) Supported() bool {
	return slices.Contains(all[:], g)
}

// PostQuantum reports whether the group holds against a quantum computer.
func (g Group) PostQuantum() bool { return g == X25519MLKEM768 || g == MLKEM1024 }

// Default returns the groups to use where nobody says which, the most wanted first.
func Default() []Group { return slices.Clone(all[:4]) }

// All returns the supported groups: first Default, then what has to be asked for.
// Alone, ML-KEM depends on a single problem that is young; P-521 is slow.
func All() []Group { return slices.Clone(all[:]) }

var all = [...]Group{X25519MLKEM768, X25519, P256, P384, P521, MLKEM1024}

// A PrivateKey is the client's ephemeral key. Its owner wipes it.
type PrivateKey interface {
	// Group returns the key's group.
	Group() Group

	// Share returns the public key_exchange value, a fresh slice.
	Share() []byte

	// Agree returns the secret shared with the peer that sent peerShare. Its errors
	// carry illegal_parameter, for a share of a wrong length too.
	Agree(peerShare []byte) (*volatile.Secret, error)

	// Wipe destroys the key. It may be called again.
	Wipe()
}

// Generate returns a new key of the group. A nil random is crypto/rand.Reader.
func Generate(g Group, random io.Reader) (PrivateKey, error) {
	if random == nil {
		random = rand.Reader
	}
	return chosen.generate(g, random)
}

// Respond returns the server's share and the secret that it shares with the client
// that sent clientShare. Its ephemeral key is gone when it returns. A nil random is
// crypto/rand.Reader. In FIPS 140-3 mode, the encapsulation of ML-KEM does not read random.
// An error about clientShare carries illegal_parameter.
func Respond(g Group, random io.Reader, clientShare []byte) (share []byte, secret *volatile.Secret, err error) {
	if random == nil {
		random = rand.Reader
	}
	return chosen.respond(g, random, clientShare)
}

// NewX25519 returns the X25519 key with that scalar, of which it has a copy.
func NewX25519(scalar []byte) (PrivateKey, error) {
	if len(scalar) != scalarLen {
		return nil, alert.New(alert.InternalError, "kex: invalid private key")
	}
	return chosen.x25519(volatile.CopyOf(scalar))
}

func errGroup() error {
	return alert.New(alert.InternalError, "kex: unsupported group")
}

func errShare(cause error) error {
	return alert.Wrap(alert.IllegalParameter, "kex: invalid key share", cause)
}

func errWiped() error {
	return alert.New(alert.InternalError, "kex: private key was wiped")
}
