// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handover

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/rand"
	"errors"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// The HPKE (RFC 9180) of a hand-over: base mode, with the hybrid of ML-KEM-768 and
// X25519. FIPS 140-3 approves the hybrid, as that of TLS, and AES-GCM.
var (
	kem  = hpke.MLKEM768X25519
	kdf  = hpke.HKDFSHA256
	aead = hpke.AES256GCM
)

// info separates this from all other uses of HPKE; the versions of an offer and of a
// blob.
const (
	info         = "mayfly hand-over of a connection, 2"
	offerVersion = 2
	blobVersion  = 2
)

// The errors of Seal and Open.
var (
	ErrOffer = errors.New("handover: what was given is no receiver's offer")
	ErrBlob  = errors.New("handover: it was sealed for another receiver, or was altered")
	errUsed  = errors.New("handover: the receiver's key was used before")
)

// A Key opens one State. Its halves are kept so that they can be wiped.
type Key struct {
	private hpke.PrivateKey
	x       *ecdh.PrivateKey
	pq      *mlkem.DecapsulationKey768
}

// NewKey returns a new key.
func NewKey() (*Key, error) {
	k := new(Key)
	var err error
	volatile.Do(func() {
		if k.x, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
			return
		}
		if k.pq, err = mlkem.GenerateKey768(); err != nil {
			return
		}
		k.private, err = hpke.NewHybridPrivateKey(k.pq, k.x)
	})
	if err != nil {
		k.Wipe()
		return nil, err
	}
	return k, nil
}

// Offer is what the donor needs to know of the key. It is no secret; but a donor must
// be sure whose it is.
func (k *Key) Offer() []byte {
	if k == nil || k.private == nil {
		return nil
	}
	return append([]byte{offerVersion}, k.private.PublicKey().Bytes()...)
}

// Wipe destroys the key. It may be called again, and on nil.
func (k *Key) Wipe() {
	if k == nil {
		return
	}
	if k.x != nil {
		volatile.WipeObject(k.x)
	}
	if k.pq != nil {
		volatile.WipeObject(k.pq)
	}
	*k = Key{}
}

// An Offer is a receiver's.
type Offer struct{ public hpke.PublicKey }

// ParseOffer reads what Key.Offer has returned.
func ParseOffer(b []byte) (*Offer, error) {
	if len(b) == 0 || b[0] != offerVersion {
		return nil, ErrOffer
	}
	public, err := kem().NewPublicKey(b[1:])
	if err != nil {
		return nil, ErrOffer
	}
	return &Offer{public}, nil
}

// Seal seals a state for the receiver.
func (o *Offer) Seal(s *State) (blob []byte, err error) {
	volatile.Do(func() {
		plain := s.Marshal()
		if plain == nil {
			err = errors.New("handover: the connection holds too much to be handed on")
			return
		}
		defer plain.Wipe()
		blob, err = hpke.Seal(o.public, kdf(), aead(), []byte(info), plain.Bytes())
	})
	if err != nil {
		return nil, err
	}
	return append([]byte{blobVersion}, blob...), nil
}

// Open opens what was sealed for the key, which is wiped then: there is no second
// time.
func (k *Key) Open(blob []byte) (*State, error) {
	switch {
	case k == nil || k.private == nil:
		return nil, errUsed
	case len(blob) == 0 || blob[0] != blobVersion:
		return nil, ErrBlob
	}
	var s *State
	var err error
	volatile.Do(func() {
		b, wrong := hpke.Open(k.private, kdf(), aead(), []byte(info), blob[1:])
		if wrong != nil {
			err = ErrBlob
			return
		}
		defer volatile.Wipe(b)
		k.Wipe()
		s, err = Parse(b)
	})
	return s, err
}
