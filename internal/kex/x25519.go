// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"errors"
	"io"

	"github.com/cloudflare/circl/dh/x25519"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// x25519Key is a key of X25519 by circl, which keeps nothing of it.
type x25519Key struct {
	scalar *volatile.Secret // nil once wiped
	public x25519.Key
}

func newX25519(scalar *volatile.Secret) (PrivateKey, error) {
	k := &x25519Key{scalar: scalar}
	volatile.DoPinned(func() { x25519.KeyGen(&k.public, (*x25519.Key)(scalar.Bytes())) })
	return k, nil
}

func (i implementation) generateX25519(random io.Reader) (PrivateKey, error) {
	scalar := volatile.New(scalarLen)
	if _, err := io.ReadFull(random, scalar.Bytes()); err != nil {
		scalar.Wipe()
		return nil, errRandom(err)
	}
	return i.x25519(scalar)
}

func (k *x25519Key) Group() Group { return X25519 }

func (k *x25519Key) Share() []byte {
	if k.scalar == nil {
		return nil
	}
	share := k.public
	return share[:]
}

// Agree is RFC 9846, Section 7.4.2: a peer's share with which the secret would be zero is
// refused.
func (k *x25519Key) Agree(peerShare []byte) (*volatile.Secret, error) {
	if k.scalar == nil {
		return nil, errWiped()
	}
	if len(peerShare) != x25519.Size {
		return nil, errShare(errLength())
	}
	secret := volatile.New(x25519.Size)
	ok := false
	volatile.DoPinned(func() {
		ok = x25519.Shared((*x25519.Key)(secret.Bytes()), (*x25519.Key)(k.scalar.Bytes()), (*x25519.Key)(peerShare))
	})
	if !ok {
		secret.Wipe()
		return nil, errShare(errors.New("point of low order"))
	}
	return secret, nil
}

func (k *x25519Key) Wipe() {
	k.scalar.Wipe()
	k.scalar = nil
}
