// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"crypto/mlkem"
	"io"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// kemKey is a key of MLKEM1024 (draft-ietf-tls-mlkem), of ML-KEM alone.
type kemKey struct {
	kem *mlkem.DecapsulationKey1024 // nil once wiped
}

func (k *kemKey) Group() Group { return MLKEM1024 }

func (k *kemKey) Share() []byte {
	if k.kem == nil {
		return nil
	}
	return k.kem.EncapsulationKey().Bytes()
}

func (k *kemKey) Agree(peerShare []byte) (secret *volatile.Secret, err error) {
	if k.kem == nil {
		return nil, errWiped()
	}
	volatile.Do(func() {
		var z []byte
		if z, err = k.kem.Decapsulate(peerShare); err == nil {
			secret = volatile.Take(z)
		}
	})
	if err != nil {
		return nil, errShare(err)
	}
	return secret, nil
}

func (k *kemKey) Wipe() {
	if k.kem != nil {
		volatile.WipeObject(k.kem)
		k.kem = nil
	}
}

func generateKEM(random io.Reader) (k *kemKey, err error) {
	seed := volatile.New(mlkem.SeedSize)
	defer seed.Wipe()
	if _, err := io.ReadFull(random, seed.Bytes()); err != nil {
		return nil, errRandom(err)
	}
	k = new(kemKey)
	volatile.Do(func() { k.kem, err = mlkem.NewDecapsulationKey1024(seed.Bytes()) })
	if err != nil {
		return nil, errRandom(err)
	}
	return k, nil
}

func respondKEM(clientShare []byte) (share []byte, secret *volatile.Secret, err error) {
	encapsulationKey, err := mlkem.NewEncapsulationKey1024(clientShare)
	if err != nil {
		return nil, nil, errShare(err)
	}
	volatile.Do(func() {
		// The slice that it returns goes on with the randomness of the encryption.
		z, ciphertext := encapsulationKey.Encapsulate()
		secret = volatile.Take(append([]byte(nil), z...))
		volatile.Wipe(z[:cap(z)])
		share = ciphertext
	})
	return share, secret, nil
}
