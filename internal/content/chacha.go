// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package content

import (
	"sync/atomic"

	"golang.org/x/crypto/chacha20"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

const (
	chachaBlock = 64

	// A range is what is encrypted at a time where there is help. It takes far longer
	// than for a goroutine to begin.
	rangeLen  = 32 << 10
	maxRanges = PartSize / rangeLen
)

// chacha is the stream of ChaCha20, beginning with block 1. Each block is by itself, so
// that others can help: of x/crypto's AEAD it has the speed only so, where that has
// assembly and its chacha20 has none.
type chacha struct {
	stream *chacha20.Cipher
	at     uint64 // bytes that went through it
	copies [maxRanges]chacha20.Cipher
}

func (c *chacha) decrypt(b []byte, help Help) { c.xor(b, b, help, func([]byte) {}) }

// xor encrypts or decrypts src, and calls f with what it has put into dst, from the
// front on, one piece after the other.
func (c *chacha) xor(dst, src []byte, help Help, f func([]byte)) {
	for len(src) > 0 {
		n := min(len(src), PartSize)
		if help != nil && n > rangeLen && c.at%chachaBlock == 0 {
			c.share(dst[:n], src[:n], help, f)
		} else {
			n = min(n, rangeLen) // the garbage collector waits for it
			volatile.DoPinned(func() { c.stream.XORKeyStream(dst[:n], src[:n]) })
			f(dst[:n])
		}
		c.at += uint64(n)
		dst, src = dst[n:], src[n:]
	}
}

// share is xor of at most PartSize bytes, from the beginning of a block on. Who has
// nothing to do takes the next range; the caller goes before f as long as it can.
func (c *chacha) share(dst, src []byte, help Help, f func([]byte)) {
	block := 1 + uint32(c.at/chachaBlock)
	n := (len(src) + rangeLen - 1) / rangeLen
	bounds := func(i int) (from, to int) { return i * rangeLen, min(len(src), (i+1)*rangeLen) }
	var taken atomic.Int32
	var done [maxRanges]chan struct{}
	for i := range n {
		done[i] = make(chan struct{})
	}
	take := func() bool {
		i := int(taken.Add(1)) - 1
		if i >= n {
			return false
		}
		from, to := bounds(i)
		volatile.DoPinned(func() {
			c.copies[i] = *c.stream
			c.copies[i].SetCounter(block + uint32(from/chachaBlock))
			c.copies[i].XORKeyStream(dst[from:to], src[from:to])
		})
		close(done[i])
		return true
	}
	help(n-1, func() {
		for take() {
		}
	})
	ready := func(i int) bool {
		select {
		case <-done[i]:
			return true
		default:
			return false
		}
	}
	for i := range n {
		for !ready(i) && take() {
		}
		<-done[i]
		from, to := bounds(i)
		f(dst[from:to])
	}
	volatile.DoPinned(func() { *c.stream = c.copies[n-1] }) // it is where the last range ends
}

func (c *chacha) wipe() {
	volatile.WipeObject(c.stream)
	volatile.WipeFlat(&c.copies)
}
