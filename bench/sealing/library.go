// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/message"
)

const (
	part  = 256 << 10 // what the AEAD gets at a time
	piece = 1 << 20   // what is written at a time
	slice = 32 << 20  // how much goes before the other's turn
)

// library holds package message against the AEAD by itself, which encrypts and
// authenticates the same bytes in place, each part with a nonce and a tag of its own.
func library(size int64, rounds int) error {
	k, to, err := recipient()
	if err != nil {
		return err
	}
	defer k.Wipe()
	row("cipher", "by itself", "`message.Seal`", "of it", "by the clock")
	row("---", "--:", "--:", "--:", "--:")
	for _, c := range []message.Cipher{message.AES256GCM, message.AES128GCM, message.ChaCha20Poly1305} {
		aead, err := aeadOf(c)
		if err != nil {
			return err
		}
		var alone, sealed []usage
		for range rounds {
			a, s, err := both(aead, to, c, size)
			if err != nil {
				return err
			}
			alone, sealed = append(alone, a), append(sealed, s)
		}
		a, s := median(alone), median(sealed)
		of := func(a, s time.Duration) string { return fmt.Sprintf("%.0f %%", 100*a.Seconds()/s.Seconds()) }
		row(c.String(), a.rate(size), s.rate(size), of(a.processor, s.processor), of(a.wall, s.wall))
	}
	fmt.Println()
	return nil
}

func recipient() (*message.Key, *message.Recipient, error) {
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		return nil, nil, err
	}
	k, err := message.NewKey(id)
	if err != nil {
		return nil, nil, err
	}
	r, err := k.Recipient()
	return k, r, err
}

func aeadOf(c message.Cipher) (cipher.AEAD, error) {
	if c == message.ChaCha20Poly1305 {
		return chacha20poly1305.New(make([]byte, 32))
	}
	key := make([]byte, 32)
	if c == message.AES128GCM {
		key = key[:16]
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// both seals one message, and as much with the AEAD by itself: in turn, slice by slice,
// for both to have the same processor.
func both(aead cipher.AEAD, to *message.Recipient, c message.Cipher, size int64) (alone, sealed usage, err error) {
	w, err := message.Seal(io.Discard, []*message.Recipient{to}, &message.SealOptions{Cipher: c})
	if err != nil {
		return alone, sealed, err
	}
	b := make([]byte, piece, piece+aead.Overhead())
	nonce := make([]byte, aead.NonceSize())
	for i := range size / slice {
		alone.add(func() {
			for at := 0; at < slice; at += part {
				binary.BigEndian.PutUint64(nonce[4:], uint64(i)<<32|uint64(at))
				aead.Seal(b[:0], nonce, b[:part], nil)
			}
		})
		sealed.add(func() {
			for range slice / piece {
				_, e := w.Write(b[:piece])
				err = errors.Join(err, e)
			}
		})
	}
	sealed.add(func() { err = errors.Join(err, w.Close()) })
	return alone, sealed, err
}

// add measures something that this process does.
func (u *usage) add(f func()) {
	start, before := time.Now(), processorTime()
	f()
	u.wall += time.Since(start)
	u.processor += processorTime() - before
}
