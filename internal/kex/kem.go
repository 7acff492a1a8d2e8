// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"io"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// Lengths that are the same in all parameter sets of ML-KEM (FIPS 203).
const (
	seedLen    = 64
	messageLen = 32
	kemLen     = 32 // of the shared secret
)

// A kem is a parameter set of ML-KEM (FIPS 203, Section 8) by one implementation.
type kem struct {
	publicLen, ciphertextLen int

	// randomLen is how many random bytes an encapsulation takes: messageLen, or 0 for one
	// that draws its own.
	randomLen int

	// expand returns the keys of a seed. It is called within volatile.Do.
	expand func(seed []byte) (encapsulationKey, decapsulationKey)

	newPublic func() encapsulationKey
}

// An encapsulationKey is a public key of ML-KEM. The lengths of what it is given must be
// the kem's.
type encapsulationKey interface {
	// Pack writes the key to b.
	Pack(b []byte)

	// Unpack sets the key, and returns an error for one that is not valid (FIPS 203,
	// Section 7.2).
	Unpack(b []byte) error

	// EncapsulateTo sets ciphertext and secret. The message is random.
	EncapsulateTo(ciphertext, secret, message []byte)
}

// A decapsulationKey is a private key of ML-KEM, and a pointer to all that it consists
// of, so that volatile.WipeObject reaches that.
type decapsulationKey interface {
	// DecapsulateTo sets secret. The length of ciphertext must be the kem's.
	DecapsulateTo(secret, ciphertext []byte)
}

// kemKey is a key of a group of ML-KEM alone (draft-ietf-tls-mlkem), or the first part of
// a hybrid's.
type kemKey struct {
	kem     kem
	group   Group
	public  encapsulationKey
	private decapsulationKey // nil once wiped
}

func (m kem) generate(g Group, random io.Reader) (*kemKey, error) {
	seed := volatile.New(seedLen)
	defer seed.Wipe()
	if _, err := io.ReadFull(random, seed.Bytes()); err != nil {
		return nil, errRandom(err)
	}
	k := &kemKey{kem: m, group: g}
	volatile.Do(func() { k.public, k.private = m.expand(seed.Bytes()) })
	return k, nil
}

func (k *kemKey) Group() Group { return k.group }

func (k *kemKey) Share() []byte {
	if k.private == nil {
		return nil
	}
	share := make([]byte, k.kem.publicLen)
	k.public.Pack(share)
	return share
}

func (k *kemKey) Agree(peerShare []byte) (*volatile.Secret, error) {
	if k.private == nil {
		return nil, errWiped()
	}
	if len(peerShare) != k.kem.ciphertextLen {
		return nil, errShare(errLength())
	}
	secret := volatile.New(kemLen)
	volatile.Do(func() { k.private.DecapsulateTo(secret.Bytes(), peerShare) })
	return secret, nil
}

func (k *kemKey) Wipe() {
	if k.private != nil {
		volatile.WipeObject(k.private)
		k.private = nil
	}
}

func (m kem) respond(random io.Reader, clientShare []byte) ([]byte, *volatile.Secret, error) {
	share, secret := make([]byte, m.ciphertextLen), volatile.New(kemLen)
	if err := m.encapsulate(random, clientShare, share, secret.Bytes()); err != nil {
		return nil, nil, err
	}
	return share, secret, nil
}

// encapsulate sets ciphertext and secret for a public key that came from the peer.
func (m kem) encapsulate(random io.Reader, public, ciphertext, secret []byte) error {
	if len(public) != m.publicLen {
		return errShare(errLength())
	}
	key := m.newPublic()
	if err := key.Unpack(public); err != nil {
		return errShare(err)
	}
	message := volatile.New(m.randomLen)
	defer message.Wipe()
	if _, err := io.ReadFull(random, message.Bytes()); err != nil {
		return errRandom(err)
	}
	volatile.Do(func() { key.EncapsulateTo(ciphertext, secret, message.Bytes()) })
	return nil
}
