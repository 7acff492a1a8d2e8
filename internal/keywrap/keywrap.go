// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package keywrap derives a key-encryption key from a shared secret (ANSI X9.63, as
// RFC 5753 uses it, and HKDF, as RFC 8418 does), and wraps keys with it (RFC 3394).
// It leaves nothing of its keys in memory.
//
// It must not know messages' syntax, nor how secrets are agreed upon.
package keywrap

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// semiblock is the unit of RFC 3394: 64 bits.
const semiblock = 8

// Overhead is by how much a wrapped key is longer than the key.
const Overhead = semiblock

// iv is the default initial value of RFC 3394, Section 2.2.3.1.
const iv = 0xA6A6A6A6A6A6A6A6

var (
	errLength = errors.New("keywrap: a key of a wrong length")

	// ErrIntegrity is that of a wrapped key that is not what Wrap returned, or that was
	// wrapped with another key.
	ErrIntegrity = errors.New("keywrap: the key cannot be unwrapped")
)

// Wrap returns key wrapped with kek: RFC 3394, Section 2.2.1. The key is of at least
// 16 bytes, in multiples of 8.
func Wrap(kek, key []byte) ([]byte, error) {
	n := len(key) / semiblock
	if n < 2 || len(key)%semiblock != 0 || len(kek) > 32 {
		return nil, errLength
	}
	out := make([]byte, semiblock+len(key))
	err := withBlock(kek, func(crypt cipherBlock, b []byte) {
		copy(out[semiblock:], key)
		a := uint64(iv)
		for t := range 6 * n {
			r := out[semiblock*(1+t%n):][:semiblock]
			binary.BigEndian.PutUint64(b, a)
			copy(b[semiblock:], r)
			crypt.Encrypt(b, b)
			a = binary.BigEndian.Uint64(b) ^ uint64(t+1)
			copy(r, b[semiblock:])
		}
		binary.BigEndian.PutUint64(out, a)
	})
	if err != nil {
		volatile.Wipe(out)
		return nil, err
	}
	return out, nil
}

// Unwrap returns the key in wrapped: RFC 3394, Section 2.2.2.
func Unwrap(kek, wrapped []byte) (*volatile.Secret, error) {
	n := len(wrapped)/semiblock - 1
	if n < 2 || len(wrapped)%semiblock != 0 || len(kek) > 32 {
		return nil, errLength
	}
	key := volatile.New(n * semiblock)
	copy(key.Bytes(), wrapped[semiblock:])
	var first [semiblock]byte
	err := withBlock(kek, func(crypt cipherBlock, b []byte) {
		a := binary.BigEndian.Uint64(wrapped)
		for t := 6*n - 1; t >= 0; t-- {
			r := key.Bytes()[semiblock*(t%n):][:semiblock]
			binary.BigEndian.PutUint64(b, a^uint64(t+1))
			copy(b[semiblock:], r)
			crypt.Decrypt(b, b)
			a = binary.BigEndian.Uint64(b)
			copy(r, b[semiblock:])
		}
		binary.BigEndian.PutUint64(first[:], a)
	})
	want := binary.BigEndian.AppendUint64(nil, iv)
	if err == nil && subtle.ConstantTimeCompare(first[:], want) != 1 {
		err = ErrIntegrity
	}
	if err != nil {
		key.Wipe()
		return nil, err
	}
	return key, nil
}

type cipherBlock interface {
	Encrypt(dst, src []byte)
	Decrypt(dst, src []byte)
}

// withBlock lends f AES under kek, and a block to work in, and wipes both.
func withBlock(kek []byte, f func(crypt cipherBlock, b []byte)) (err error) {
	b := volatile.New(aes.BlockSize)
	defer b.Wipe()
	volatile.Do(func() {
		crypt, e := aes.NewCipher(kek)
		if e != nil {
			err = errLength
			return
		}
		defer volatile.WipeFlat(crypt)
		f(crypt, b.Bytes())
	})
	return err
}
