// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package content encrypts and authenticates the content of one message, part by
// part: AES-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439). The AEADs of the
// standard library and x/crypto take a whole message at once, and so as much memory.
//
// It puts the same parts together that they are made of: cipher.NewCTR and the
// standard library's own GCM for GHASH; x/crypto's chacha20 and poly1305. It has no
// cipher and no hash of its own.
//
// It must not know messages' syntax, nor where keys come from.
package content

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"reflect"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// An Algorithm is a content-authenticated-encryption algorithm.
type Algorithm int

// The algorithms.
const (
	AES128GCM Algorithm = iota + 1
	AES256GCM
	ChaCha20Poly1305
)

// KeyLen returns the length of the algorithm's keys.
func (a Algorithm) KeyLen() int {
	if a == AES128GCM {
		return 16
	}
	return 32
}

// MaxLen returns the most bytes that one key and nonce of the algorithm may encrypt.
func (a Algorithm) MaxLen() int64 {
	if a == ChaCha20Poly1305 {
		return maxChaCha
	}
	return maxGCM
}

const (
	// PartSize is the length of all parts of a content but the last.
	PartSize = 256 << 10

	NonceLen = 12 // of every algorithm
	TagLen   = 16 // of every algorithm

	maxGCM    = 1<<36 - 32 // bytes under one nonce: NIST SP 800-38D, Section 5.2.1.1
	maxChaCha = 1<<38 - 64 // RFC 8439, Section 2.8
)

// ErrTooLong is that of a content longer than one key may encrypt.
var ErrTooLong = errors.New("content: longer than one key may encrypt")

// A Cipher is for one content, and one purpose: Seal encrypts and authenticates, part
// by part, Add authenticates a ciphertext, and Decrypt decrypts it. It is not safe for
// concurrent use.
type Cipher struct {
	// Help makes Seal and Decrypt faster with ciphers that are slow by themselves. It is
	// set before they are called; nil: there is none.
	Help Help

	stream keystream
	mac    authenticator
	max    uint64
	length uint64 // of what it was given
}

// A Help has f run up to n times, beside its caller and at the same time, and does not
// wait for it. f returns soon; it need not run at all, nor before there is nothing left
// for it to do.
type Help func(n int, f func())

// A keystream encrypts and decrypts.
type keystream interface {
	decrypt(b []byte, help Help)
	wipe()
}

// An authenticator is a one-time MAC of the associated data and the ciphertext.
type authenticator interface {
	add(ciphertext []byte)
	seal(dst, part []byte, help Help) // encrypts, and adds what comes of it
	tag() [TagLen]byte
	wipe()
}

// New returns the Cipher of a content, for its associated data. It copies what it
// needs of key, which the caller wipes. A key or nonce of a wrong length is an error.
func New(a Algorithm, key, nonce, aad []byte) (c *Cipher, err error) {
	if len(key) != a.KeyLen() || len(nonce) != NonceLen {
		return nil, errors.New("content: key or nonce of a wrong length")
	}
	volatile.Do(func() {
		if a == ChaCha20Poly1305 {
			c, err = newChaCha(key, nonce, aad)
		} else {
			c, err = newGCM(key, nonce, aad)
		}
	})
	return c, err
}

// Seal encrypts the next part of the content, of PartSize bytes, or fewer in the last,
// and authenticates it. dst is as long, and is part, or does not overlap it; the TagLen
// bytes behind dst, within its capacity, are overwritten.
func (c *Cipher) Seal(dst, part []byte) error {
	if err := c.count(part); err != nil {
		return err
	}
	c.mac.seal(dst, part, c.Help)
	return nil
}

// Decrypt decrypts the next bytes of the content in place.
func (c *Cipher) Decrypt(b []byte) error {
	if err := c.count(b); err != nil {
		return err
	}
	c.stream.decrypt(b, c.Help)
	return nil
}

func (c *Cipher) count(b []byte) error {
	if c.length += uint64(len(b)); c.length > c.max {
		return ErrTooLong
	}
	return nil
}

// Add authenticates the next part of the ciphertext, of PartSize bytes, or fewer in
// the last.
func (c *Cipher) Add(part []byte) error {
	if err := c.count(part); err != nil {
		return err
	}
	volatile.DoPinned(func() { c.mac.add(part) })
	return nil
}

// Tag returns the tag, once all of the ciphertext was added. It is called once.
func (c *Cipher) Tag() (tag [TagLen]byte) {
	volatile.DoPinned(func() { tag = c.mac.tag() })
	return tag
}

// Wipe destroys the keys. The Cipher is of no use afterwards. It may be called again,
// and on nil.
func (c *Cipher) Wipe() {
	if c == nil || c.stream == nil {
		return
	}
	c.stream.wipe()
	c.stream = nil
	c.mac.wipe()
}

// Wiped reports whether Wipe was called.
func (c *Cipher) Wiped() bool { return c == nil || c.stream == nil }

func newGCM(key, nonce, aad []byte) (*Cipher, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	mac, err := newGHASH(block, nonce, aad)
	if err != nil {
		return nil, err
	}
	var counter [aes.BlockSize]byte
	copy(counter[:], nonce)
	counter[aes.BlockSize-1] = 2 // inc32(J0): NIST SP 800-38D, Section 7.1
	return &Cipher{stream: ctr{cipher.NewCTR(block, counter[:])}, mac: mac, max: maxGCM}, nil
}

func newChaCha(key, nonce, aad []byte) (*Cipher, error) {
	if len(key) != chacha20poly1305.KeySize {
		return nil, errors.New("content: key of a wrong length")
	}
	stream, err := chacha20.NewUnauthenticatedCipher(key, nonce)
	if err != nil {
		return nil, err
	}
	mac := newPoly1305(stream, aad)
	return &Cipher{stream: mac.stream, mac: mac, max: maxChaCha}, nil
}

// ctr is AES in counter mode.
type ctr struct{ cipher.Stream }

func (c ctr) decrypt(b []byte, _ Help) { volatile.DoPinned(func() { c.XORKeyStream(b, b) }) }

// wipe wipes the stream, or the one in a wrapper that crypto/cipher puts around its own.
func (c ctr) wipe() {
	p := reflect.ValueOf(c.Stream)
	if p.Kind() != reflect.Pointer {
		p = reflect.New(p.Type())
		p.Elem().Set(reflect.ValueOf(c.Stream))
	}
	volatile.WipeObject(p.Interface())
}
