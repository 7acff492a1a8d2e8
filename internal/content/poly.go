// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package content

import (
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
	//lint:ignore SA1019 chacha20poly1305, which goes before it, takes only whole messages
	"golang.org/x/crypto/poly1305"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// poly is the MAC of RFC 8439, Section 2.8.
type poly struct {
	stream *chacha
	mac    *poly1305.MAC
	aad, n uint64 // bytes of associated data and of ciphertext
}

// newPoly1305 takes the one-time key from the first block of the stream: RFC 8439,
// Section 2.6. The content begins with the second.
func newPoly1305(stream *chacha20.Cipher, aad []byte) *poly {
	var block [64]byte
	var key [32]byte
	defer volatile.Wipe(block[:])
	defer volatile.Wipe(key[:])
	stream.XORKeyStream(block[:], block[:])
	copy(key[:], block[:])
	p := &poly{stream: &chacha{stream: stream}, mac: poly1305.New(&key), aad: uint64(len(aad))}
	_, _ = p.mac.Write(aad)
	pad(p.mac, p.aad)
	return p
}

func (p *poly) add(part []byte) {
	_, _ = p.mac.Write(part)
	p.n += uint64(len(part))
}

func (p *poly) seal(dst, part []byte, help Help) {
	p.stream.xor(dst, part, help, func(ciphertext []byte) {
		volatile.DoPinned(func() { p.add(ciphertext) })
	})
}

func (p *poly) tag() [TagLen]byte {
	pad(p.mac, p.n)
	var lengths [16]byte
	binary.LittleEndian.PutUint64(lengths[:8], p.aad)
	binary.LittleEndian.PutUint64(lengths[8:], p.n)
	_, _ = p.mac.Write(lengths[:])
	return [TagLen]byte(p.mac.Sum(nil))
}

func (p *poly) wipe() { volatile.WipeObject(p.mac) }

// pad fills up the last 16 bytes of n.
func pad(mac *poly1305.MAC, n uint64) {
	var zeros [16]byte
	_, _ = mac.Write(zeros[:-n%16])
}
