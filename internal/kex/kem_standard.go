// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"crypto/mlkem"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// The standard library's ML-KEM. It draws an encapsulation's message itself, and leaves
// that of a decapsulation on the heap, where only the garbage collector reaches it.
var (
	standard768 = kem{
		publicLen: mlkem.EncapsulationKeySize768, ciphertextLen: mlkem.CiphertextSize768,
		expand: func(seed []byte) (encapsulationKey, decapsulationKey) {
			key := must(mlkem.NewDecapsulationKey768(seed))
			return &standardPublic[*mlkem.EncapsulationKey768]{key: key.EncapsulationKey()}, &standardPrivate[*mlkem.DecapsulationKey768]{key}
		},
		newPublic: func() encapsulationKey {
			return &standardPublic[*mlkem.EncapsulationKey768]{parse: mlkem.NewEncapsulationKey768}
		},
	}
	standard1024 = kem{
		publicLen: mlkem.EncapsulationKeySize1024, ciphertextLen: mlkem.CiphertextSize1024,
		expand: func(seed []byte) (encapsulationKey, decapsulationKey) {
			key := must(mlkem.NewDecapsulationKey1024(seed))
			return &standardPublic[*mlkem.EncapsulationKey1024]{key: key.EncapsulationKey()}, &standardPrivate[*mlkem.DecapsulationKey1024]{key}
		},
		newPublic: func() encapsulationKey {
			return &standardPublic[*mlkem.EncapsulationKey1024]{parse: mlkem.NewEncapsulationKey1024}
		},
	}
)

type standardPublic[K interface {
	Bytes() []byte
	Encapsulate() (secret, ciphertext []byte)
}] struct {
	key   K
	parse func([]byte) (K, error)
}

func (k *standardPublic[K]) Pack(b []byte) { copy(b, k.key.Bytes()) }

func (k *standardPublic[K]) Unpack(b []byte) (err error) {
	k.key, err = k.parse(b)
	return err
}

// EncapsulateTo wipes all of the slice that it gets: it goes on with the randomness of
// the encryption.
func (k *standardPublic[K]) EncapsulateTo(ciphertext, secret, _ []byte) {
	z, c := k.key.Encapsulate()
	copy(secret, z)
	volatile.Wipe(z[:cap(z)])
	copy(ciphertext, c)
}

type standardPrivate[K interface {
	Decapsulate(ciphertext []byte) ([]byte, error)
}] struct{ key K }

func (k *standardPrivate[K]) DecapsulateTo(secret, ciphertext []byte) {
	z := must(k.key.Decapsulate(ciphertext))
	copy(secret, z)
	volatile.Wipe(z[:cap(z)])
}

// must is for errors about lengths, which are checked before.
func must[T any](v T, err error) T {
	if err != nil {
		panic("kex: " + err.Error())
	}
	return v
}
