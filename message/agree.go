// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/content"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/keywrap"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// maxTries bounds how many of a message's wrapped keys a key is tried on.
const maxTries = 32

// wrapFor wraps a content key for one recipient: RFC 5753, Section 3.1; RFC 8418,
// Section 2. The ephemeral key is gone when it returns.
func wrapFor(r *Recipient, key []byte) (cms.KeyAgreement, error) {
	group := kex.P256
	a := cms.KeyAgreement{
		Originator: cms.Algorithm{ID: cms.OIDECPublicKey},
		Agreement:  cms.OIDStdDHSHA256KDF,
		Wrap:       cms.Algorithm{ID: cms.OIDAES256Wrap},
	}
	if r.key.Curve() == ecdh.X25519() {
		group = kex.X25519
		a.Originator.ID, a.Agreement = cms.OIDX25519, cms.OIDStdDHHKDFSHA256
	}
	if len(key) == content.AES128GCM.KeyLen() {
		a.Wrap.ID = cms.OIDAES128Wrap
	}
	share, secret, err := kex.Respond(group, nil, r.key.Bytes())
	if err != nil {
		return a, fmt.Errorf("message: there is no agreement with a recipient: %w", err)
	}
	defer secret.Wipe()
	a.PublicKey = share
	kek, err := deriveKEK(&a, secret)
	if err != nil {
		return a, err
	}
	defer kek.Wipe()
	wrapped, err := keywrap.Wrap(kek.Bytes(), key)
	a.Keys = []cms.EncryptedKey{{Recipient: r.id, Wrapped: wrapped}}
	return a, err
}

// unwrap finds the content key in an envelope: first of all by who it says that it is
// for. A key may be known by a certificate that is not at hand, so that those of
// others are tried, too.
func (k *Key) unwrap(e *cms.Envelope, keyLen int) (*volatile.Secret, error) {
	named := false
	for _, a := range k.get().private {
		tries := 0
		for _, onlyNamed := range []bool{true, false} {
			for i := range e.Recipients {
				r := &e.Recipients[i]
				if !fits(r, a.key.Curve()) {
					continue
				}
				for _, to := range r.Keys {
					isNamed := slices.ContainsFunc(a.ids, to.Recipient.Equal)
					if isNamed != onlyNamed || tries == maxTries {
						continue
					}
					tries++
					named = named || isNamed
					if key := a.unwrap(r, to.Wrapped, keyLen); key != nil {
						return key, nil
					}
				}
			}
		}
	}
	if named {
		return nil, because(ErrDamaged, "it says that it is for this key, but its content key cannot be unwrapped")
	}
	return nil, ErrNotForKey
}

// fits reports whether a key on a curve may have been agreed with.
func fits(r *cms.KeyAgreement, curve ecdh.Curve) bool {
	if curve == ecdh.X25519() {
		return r.Originator.ID.Equal(cms.OIDX25519)
	}
	return r.Originator.ID.Equal(cms.OIDECPublicKey) && len(r.PublicKey) == lenP256
}

// unwrap returns nil if it is not this key that a content key was wrapped for.
func (a *agreement) unwrap(r *cms.KeyAgreement, wrapped []byte, keyLen int) (key *volatile.Secret) {
	public, err := a.key.Curve().NewPublicKey(r.PublicKey)
	if err != nil || len(wrapped) != keyLen+keywrap.Overhead {
		return nil
	}
	var secret *volatile.Secret
	volatile.Do(func() {
		var z []byte
		if z, err = a.key.ECDH(public); err == nil {
			secret = volatile.Take(z)
		}
	})
	if err != nil {
		return nil
	}
	defer secret.Wipe()
	kek, err := deriveKEK(r, secret)
	if err != nil {
		return nil
	}
	defer kek.Wipe()
	if key, err = keywrap.Unwrap(kek.Bytes(), wrapped); err != nil {
		return nil
	}
	return key
}

var errAgreement = errors.New("message: an unknown key agreement")

// deriveKEK derives the key-encryption key.
func deriveKEK(r *cms.KeyAgreement, secret *volatile.Secret) (*volatile.Secret, error) {
	n := 0
	switch id := r.Wrap.ID; {
	case id.Equal(cms.OIDAES128Wrap):
		n = 16
	case id.Equal(cms.OIDAES192Wrap):
		n = 24
	case id.Equal(cms.OIDAES256Wrap):
		n = 32
	}
	if n == 0 || r.Wrap.Parameters != nil && !bytes.Equal(r.Wrap.Parameters, []byte{5, 0}) {
		return nil, errAgreement
	}
	info := cms.SharedInfo(r.Wrap, r.UKM, n)
	x963 := func(newHash func() hash.Hash) (*volatile.Secret, error) {
		return keywrap.X963(newHash, secret.Bytes(), info, n), nil
	}
	hkdf := func(newHash func() hash.Hash) (*volatile.Secret, error) {
		return keywrap.HKDF(newHash, secret.Bytes(), r.UKM, info, n), nil // RFC 8418, Section 2.2
	}
	switch id := r.Agreement; {
	case id.Equal(cms.OIDStdDHSHA1KDF): // OpenSSL's default; a KDF needs no more of it
		return x963(sha1.New)
	case id.Equal(cms.OIDStdDHSHA256KDF):
		return x963(sha256.New)
	case id.Equal(cms.OIDStdDHSHA384KDF):
		return x963(sha512.New384)
	case id.Equal(cms.OIDStdDHSHA512KDF):
		return x963(sha512.New)
	case id.Equal(cms.OIDStdDHHKDFSHA256):
		return hkdf(sha256.New)
	case id.Equal(cms.OIDStdDHHKDFSHA384):
		return hkdf(sha512.New384)
	case id.Equal(cms.OIDStdDHHKDFSHA512):
		return hkdf(sha512.New)
	}
	return nil, errAgreement
}
