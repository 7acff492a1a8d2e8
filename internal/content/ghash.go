// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package content

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// ghash is the MAC of GCM over any number of parts. The standard library's GCM is
// what runs GHASH, over a part that it takes for associated data, or encrypts; of the
// tag that it returns, the part's own length and the encrypted counter are taken away
// again. As GHASH is linear, products in its field join the parts.
type ghash struct {
	block cipher.Block
	aead  cipher.AEAD
	nonce []byte

	h      element // the hash key
	hPart  element // its power that PartSize bytes make
	mask   element // the encrypted counter block J0
	sum    element // GHASH of all so far, times h
	aad, n uint64  // bytes of associated data and of ciphertext
	buf    [TagLen]byte

	// For the parts after the first, where they are encrypted: GCM that begins at any
	// counter, and the inverse of h.
	later   cipher.AEAD
	inverse element
}

func newGHASH(block cipher.Block, nonce, aad []byte) (*ghash, error) {
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	g := &ghash{block: block, aead: aead, nonce: nonce, aad: uint64(len(aad))}
	block.Encrypt(g.buf[:], g.buf[:])
	g.h = load(&g.buf)
	g.hPart = g.h.power(PartSize / 16)
	g.mask = g.hash(nil) // the GHASH of nothing is zero
	for len(aad) > 0 {
		part := aad[:min(len(aad), PartSize)]
		g.join(len(part), g.hash(part).plus(g.mask), 8*uint64(len(part)), 0)
		aad = aad[len(part):]
	}
	return g, nil
}

func (g *ghash) add(part []byte) {
	g.join(len(part), g.hash(part).plus(g.mask), 8*uint64(len(part)), 0)
	g.n += uint64(len(part))
}

// seal encrypts a part with GCM as well, so that its ciphertext is hashed in the same
// pass. The first has the counters of the whole; for the others GCM is given the nonce
// of which it makes the counter that comes next.
func (g *ghash) seal(dst, part []byte, _ Help) {
	volatile.DoPinned(func() { g.sealPart(dst, part) })
}

func (g *ghash) sealPart(dst, part []byte) {
	aead, nonce, mask := g.aead, g.nonce, g.mask
	if g.n > 0 {
		aead, nonce, mask = g.continued()
	}
	out := aead.Seal(dst[:0], nonce, part, nil)
	tag := [TagLen]byte(out[len(part):])
	g.join(len(part), load(&tag).plus(mask), 0, 8*uint64(len(part)))
	g.n += uint64(len(part))
}

// continued returns the GCM, nonce and encrypted counter block for a part behind n
// bytes. NIST SP 800-38D, Section 7.1, step 2, makes GHASH of a nonce of 16 bytes, and
// of its length, the counter block before the first: that is solved for the nonce.
func (g *ghash) continued() (cipher.AEAD, []byte, element) {
	if g.later == nil {
		g.later, _ = cipher.NewGCMWithNonceSize(g.block, aes.BlockSize) // as NewGCM, it takes any AES
		g.inverse = g.h.inverse()
	}
	var counter, mask, nonce [TagLen]byte
	copy(counter[:], g.nonce)
	binary.BigEndian.PutUint32(counter[NonceLen:], 1+uint32(g.n/aes.BlockSize))
	g.block.Encrypt(mask[:], counter[:])
	length := element{0, 8 * aes.BlockSize}
	load(&counter).times(g.inverse).plus(length).times(g.inverse).store(&nonce)
	return g.later, nonce[:], load(&mask)
}

// tag is NIST SP 800-38D, Section 7.1, steps 5 and 6.
func (g *ghash) tag() (t [TagLen]byte) {
	lengths := element{8 * g.aad, 8 * g.n}
	g.sum.plus(lengths.times(g.h)).plus(g.mask).store(&t)
	return t
}

func (g *ghash) wipe() {
	volatile.WipeFlat(g.block)
	volatile.WipeFlat(g.aead)
	volatile.WipeFlat(g.later)
	*g = ghash{}
}

// join puts a part of n bytes behind what was hashed before. tag is GCM's of the part,
// with the lengths, in bits, that GCM has put behind it.
func (g *ghash) join(n int, tag element, aad, ciphertext uint64) {
	if n == 0 {
		return
	}
	power := g.hPart
	if n != PartSize {
		power = g.h.power((n + 15) / 16)
	}
	lengths := element{aad, ciphertext}
	g.sum = g.sum.times(power).plus(tag).plus(lengths.times(g.h))
}

// hash is the tag of associated data alone.
func (g *ghash) hash(part []byte) element {
	g.aead.Seal(g.buf[:0], g.nonce, nil, part)
	return load(&g.buf)
}

// An element is one of GHASH's field, whose first bit is the highest of the first
// word.
type element [2]uint64

func load(b *[TagLen]byte) element {
	return element{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (x element) store(b *[TagLen]byte) {
	binary.BigEndian.PutUint64(b[:8], x[0])
	binary.BigEndian.PutUint64(b[8:], x[1])
}

func (x element) plus(y element) element { return element{x[0] ^ y[0], x[1] ^ y[1]} }

// times is the product of NIST SP 800-38D, Section 6.3. What it does and how long it
// takes depends on neither value.
func (x element) times(y element) (z element) {
	for _, word := range x {
		for range 64 {
			bit := -(word >> 63)
			z[0] ^= y[0] & bit
			z[1] ^= y[1] & bit
			word <<= 1
			carry := -(y[1] & 1)
			y[1] = y[1]>>1 | y[0]<<63
			y[0] = y[0]>>1 ^ 0xe1<<56&carry
		}
	}
	return z
}

// power returns x to the n, for n above 0, which is no secret.
func (x element) power(n int) element {
	p := element{1 << 63, 0} // one
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			p = p.times(x)
		}
		x = x.times(x)
	}
	return p
}

// inverse returns 1/x: x to the 2^128 - 2.
func (x element) inverse() element {
	z := element{1 << 63, 0} // one
	for range 127 {
		x = x.times(x)
		z = z.times(x)
	}
	return z
}
