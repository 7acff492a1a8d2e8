// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"crypto/mlkem"
	"errors"
	"io"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// hybridKey is a key of X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem). In the shares
// and in the secret, the part of ML-KEM comes first.
type hybridKey struct {
	kem *mlkem.DecapsulationKey768 // nil once wiped
	x   *ecdhKey
}

func (k *hybridKey) Group() Group { return X25519MLKEM768 }

func (k *hybridKey) Share() []byte {
	if k.kem == nil {
		return nil
	}
	return concat(k.kem.EncapsulationKey().Bytes(), k.x.Share())
}

func (k *hybridKey) Agree(peerShare []byte) (*volatile.Secret, error) {
	if k.kem == nil {
		return nil, errWiped()
	}
	if len(peerShare) != mlkem.CiphertextSize768+scalarLen {
		return nil, errShare(errLength())
	}
	x, err := k.x.Agree(peerShare[mlkem.CiphertextSize768:])
	if err != nil {
		return nil, err
	}
	defer x.Wipe()
	var secret *volatile.Secret
	volatile.Do(func() {
		var z []byte
		if z, err = k.kem.Decapsulate(peerShare[:mlkem.CiphertextSize768]); err == nil {
			secret = joined(z, x)
		}
	})
	if err != nil {
		return nil, errShare(err)
	}
	return secret, nil
}

func (k *hybridKey) Wipe() {
	if k.kem != nil {
		volatile.WipeObject(k.kem)
		k.kem = nil
		k.x.Wipe()
	}
}

func generateHybrid(random io.Reader) (*hybridKey, error) {
	seed := volatile.New(mlkem.SeedSize)
	defer seed.Wipe()
	if _, err := io.ReadFull(random, seed.Bytes()); err != nil {
		return nil, errRandom(err)
	}
	x, err := generateECDH(X25519, random)
	if err != nil {
		return nil, err
	}
	k := &hybridKey{x: x}
	volatile.Do(func() { k.kem, err = mlkem.NewDecapsulationKey768(seed.Bytes()) })
	if err != nil {
		x.Wipe()
		return nil, errRandom(err)
	}
	return k, nil
}

func respondHybrid(random io.Reader, clientShare []byte) ([]byte, *volatile.Secret, error) {
	if len(clientShare) != mlkem.EncapsulationKeySize768+scalarLen {
		return nil, nil, errShare(errLength())
	}
	encapsulationKey, err := mlkem.NewEncapsulationKey768(clientShare[:mlkem.EncapsulationKeySize768])
	if err != nil {
		return nil, nil, errShare(err)
	}
	share, x, err := respondECDH(X25519, random, clientShare[mlkem.EncapsulationKeySize768:])
	if err != nil {
		return nil, nil, err
	}
	defer x.Wipe()
	var secret *volatile.Secret
	var ciphertext []byte
	volatile.Do(func() {
		// The slice that it returns goes on with the randomness of the encryption,
		// which is wiped with it.
		z, c := encapsulationKey.Encapsulate()
		secret, ciphertext = joined(z, x), c
	})
	return concat(ciphertext, share), secret, nil
}

// joined returns the secret that two make, and wipes that of ML-KEM.
func joined(kem []byte, x *volatile.Secret) *volatile.Secret {
	defer volatile.Take(kem).Wipe()
	return volatile.Take(concat(kem, x.Bytes()))
}

// concat returns a followed by b, in memory of its own.
func concat(a, b []byte) []byte {
	return append(append(make([]byte, 0, len(a)+len(b)), a...), b...)
}

func errLength() error { return errors.New("wrong length") }
