// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"errors"
	"io"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// hybridKey is a key of X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem). In the shares
// and in the secret, the part of ML-KEM comes first.
type hybridKey struct {
	kem *kemKey
	x   PrivateKey
}

func (k *hybridKey) Group() Group { return X25519MLKEM768 }

func (k *hybridKey) Share() []byte { return append(k.kem.Share(), k.x.Share()...) }

func (k *hybridKey) Agree(peerShare []byte) (*volatile.Secret, error) {
	n := k.kem.kem.ciphertextLen
	if len(peerShare) != n+scalarLen {
		return nil, errShare(errLength())
	}
	z, err := k.kem.Agree(peerShare[:n])
	if err != nil {
		return nil, err
	}
	defer z.Wipe()
	x, err := k.x.Agree(peerShare[n:])
	if err != nil {
		return nil, err
	}
	defer x.Wipe()
	secret := volatile.New(kemLen + scalarLen)
	join(secret.Bytes(), z.Bytes(), x.Bytes())
	return secret, nil
}

func (k *hybridKey) Wipe() {
	k.kem.Wipe()
	k.x.Wipe()
}

func (i implementation) generateHybrid(random io.Reader) (PrivateKey, error) {
	kem, err := i.mlkem768.generate(X25519MLKEM768, random)
	if err != nil {
		return nil, err
	}
	x, err := i.generateX25519(random)
	if err != nil {
		kem.Wipe()
		return nil, err
	}
	return &hybridKey{kem, x}, nil
}

func (i implementation) respondHybrid(random io.Reader, clientShare []byte) ([]byte, *volatile.Secret, error) {
	n := i.mlkem768.publicLen
	if len(clientShare) != n+scalarLen {
		return nil, nil, errShare(errLength())
	}
	ciphertext, z, err := i.mlkem768.respond(random, clientShare[:n])
	if err != nil {
		return nil, nil, err
	}
	defer z.Wipe()
	share, x, err := i.respond(X25519, random, clientShare[n:])
	if err != nil {
		return nil, nil, err
	}
	defer x.Wipe()
	secret := volatile.New(kemLen + scalarLen)
	join(secret.Bytes(), z.Bytes(), x.Bytes())
	return append(ciphertext, share...), secret, nil
}

// join sets secret to z followed by x.
func join(secret, z, x []byte) {
	volatile.DoPinned(func() { copy(secret[copy(secret, z):], x) })
}

func errLength() error { return errors.New("wrong length") }
