// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package keywrap

import (
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/hkdf"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// maxLen bounds the keys that are derived, well below what either function allows.
const maxLen = 64

// X963 is the key derivation function of ANSI X9.63 (SEC 1, Section 3.6.1), by which
// RFC 5753 makes n bytes of the shared secret z.
func X963(newHash func() hash.Hash, z, sharedInfo []byte, n int) *volatile.Secret {
	n = min(n, maxLen)
	out := volatile.New(n)
	volatile.Do(func() {
		l := newLender(newHash)
		defer l.release()
		h := l.lend()
		var counter [4]byte
		for done := 0; done < n; {
			binary.BigEndian.PutUint32(counter[:], binary.BigEndian.Uint32(counter[:])+1)
			h.Reset()
			h.Write(z)
			h.Write(counter[:])
			h.Write(sharedInfo)
			done += copy(out.Bytes()[done:], h.Sum(nil))
		}
	})
	return out
}

// HKDF is the function of RFC 5869, by which RFC 8418 makes n bytes of the shared
// secret z. A nil salt is one of zeros.
func HKDF(newHash func() hash.Hash, z, salt, info []byte, n int) *volatile.Secret {
	n = min(n, maxLen)
	out := volatile.New(n)
	volatile.Do(func() {
		extract := newLender(newHash)
		defer extract.release()
		prk := volatile.Take(hkdf.Extract(extract.lend, z, salt))
		defer prk.Wipe()
		expand := newLender(newHash)
		defer expand.release()
		if _, err := hkdf.Expand(expand.lend, prk.Bytes(), info).Read(out.Bytes()); err != nil {
			panic(err) // maxLen is less than 255 hashes.
		}
	})
	return out
}

// A lender lends hashes to x/crypto/hkdf and crypto/hmac, and wipes them, and what
// these keep of a key.
type lender struct {
	newHash func() hash.Hash
	lent    []*lentHash
}

func newLender(newHash func() hash.Hash) *lender { return &lender{newHash: newHash} }

func (l *lender) lend() hash.Hash {
	h := &lentHash{Hash: l.newHash()}
	l.lent = append(l.lent, h)
	return h
}

func (l *lender) release() {
	for _, h := range l.lent {
		volatile.WipeFlat(h.Hash)
		for _, b := range h.seen {
			volatile.Wipe(b)
		}
	}
	l.lent = nil
}

// A lentHash hides that the hash can be marshaled: crypto/hmac would keep its state.
type lentHash struct {
	hash.Hash
	written bool     // since the last Reset
	seen    [][]byte // what is to be wiped
}

// Write keeps hold of the first block, which is where crypto/hmac writes a key
// XORed with ipad or opad.
func (h *lentHash) Write(p []byte) (int, error) {
	if !h.written && len(p) == h.BlockSize() {
		h.seen = append(h.seen, p)
	}
	h.written = true
	return h.Hash.Write(p)
}

func (h *lentHash) Reset() {
	h.written = false
	h.Hash.Reset()
}

// Sum keeps hold of a result that it had to allocate.
func (h *lentHash) Sum(b []byte) []byte {
	if b == nil {
		b = make([]byte, 0, h.Size())
		h.seen = append(h.seen, b[:h.Size()])
	}
	return h.Hash.Sum(b)
}
