// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"crypto/ecdh"
	"errors"
	"io"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// scalarLen is the length of a private key of X25519 and P-256.
const scalarLen = 32

// maxTries bounds the search for a scalar below the order of a curve. Of random ones,
// one in 2^32 is not below that of P-256, and fewer are not in the others.
const maxTries = 8

// ecdhKey is a key of crypto/ecdh: of one of NIST's curves, or of X25519.
type ecdhKey struct {
	group Group
	key   *ecdh.PrivateKey // nil once wiped
}

// newStandardX25519 is X25519 by the standard library.
func newStandardX25519(scalar *volatile.Secret) (PrivateKey, error) {
	defer scalar.Wipe()
	k, err := newECDH(X25519, scalar.Bytes())
	if err != nil {
		return nil, alert.Wrap(alert.InternalError, "kex: invalid private key", err)
	}
	return k, nil
}

func (k *ecdhKey) Group() Group { return k.group }

func (k *ecdhKey) Share() []byte {
	if k.key == nil {
		return nil
	}
	return k.key.PublicKey().Bytes()
}

// Agree is RFC 9846, Section 7.4.2: the peer's point is validated, and an all-zero
// X25519 secret refused.
func (k *ecdhKey) Agree(peerShare []byte) (*volatile.Secret, error) {
	if k.key == nil {
		return nil, errWiped()
	}
	peer, err := k.key.Curve().NewPublicKey(peerShare)
	if err != nil {
		return nil, errShare(err)
	}
	var secret *volatile.Secret
	doOn(k.group)(func() {
		var z []byte
		if z, err = k.key.ECDH(peer); err == nil {
			secret = volatile.Take(z)
		}
	})
	if err != nil {
		return nil, errShare(err)
	}
	return secret, nil
}

func (k *ecdhKey) Wipe() {
	if k.key != nil {
		volatile.WipeObject(k.key)
		k.key = nil
	}
}

// generateECDH reads the scalar from random, which the standard library's
// GenerateKey would ignore.
func generateECDH(g Group, random io.Reader) (PrivateKey, error) {
	scalar := volatile.New(scalarLenOf(g))
	defer scalar.Wipe()
	for range maxTries {
		if _, err := io.ReadFull(random, scalar.Bytes()); err != nil {
			return nil, errRandom(err)
		}
		if g == P521 {
			scalar.Bytes()[0] &= 1 // of 66 bytes, 521 bits
		}
		if k, err := newECDH(g, scalar.Bytes()); err == nil {
			return k, nil
		}
	}
	return nil, errRandom(errors.New("no valid scalar"))
}

func newECDH(g Group, scalar []byte) (k *ecdhKey, err error) {
	doOn(g)(func() {
		var key *ecdh.PrivateKey
		if key, err = curve(g).NewPrivateKey(scalar); err == nil {
			k = &ecdhKey{group: g, key: key}
		}
	})
	return k, err
}

func curve(g Group) ecdh.Curve {
	switch g {
	case P256:
		return ecdh.P256()
	case P384:
		return ecdh.P384()
	case P521:
		return ecdh.P521()
	}
	return ecdh.X25519()
}

// doOn is how to work on a group: X25519 takes little of the stack.
func doOn(g Group) func(func()) {
	if g == X25519 {
		return volatile.DoPinned
	}
	return volatile.Do
}

func scalarLenOf(g Group) int {
	switch g {
	case P384:
		return 48
	case P521:
		return 66
	}
	return scalarLen
}

func errRandom(cause error) error {
	return alert.Wrap(alert.InternalError, "kex: no randomness", cause)
}
