// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

// A builder is appended to: it has what messages need of cryptobyte.Builder, under the
// same names, and makes no object for each of their lengths.
type builder struct {
	b       []byte
	tooLong bool // a part is longer than its length can tell
}

// bytes returns what was added, nil where a part of it was too long.
func (b *builder) bytes() []byte {
	if b.tooLong {
		return nil
	}
	return b.b
}

// reset forgets what was added.
func (b *builder) reset() {
	clear(b.b)
	b.b, b.tooLong = b.b[:0], false
}

func (b *builder) AddUint8(n uint8)   { b.b = append(b.b, n) }
func (b *builder) AddUint16(n uint16) { b.b = append(b.b, byte(n>>8), byte(n)) }
func (b *builder) AddUint32(n uint32) {
	b.b = append(b.b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
func (b *builder) AddUint24(n uint32)   { b.b = append(b.b, byte(n>>16), byte(n>>8), byte(n)) }
func (b *builder) AddBytes(more []byte) { b.b = append(b.b, more...) }

func (b *builder) AddUint8LengthPrefixed(f func(*builder))  { b.addLengthPrefixed(1, f) }
func (b *builder) AddUint16LengthPrefixed(f func(*builder)) { b.addLengthPrefixed(2, f) }
func (b *builder) AddUint24LengthPrefixed(f func(*builder)) { b.addLengthPrefixed(3, f) }

// addLengthPrefixed leaves room for a length of so many bytes, and writes it when f has
// added what it counts.
func (b *builder) addLengthPrefixed(size int, f func(*builder)) {
	start := len(b.b) + size
	b.b = append(b.b, make([]byte, size)...)
	f(b)
	n := len(b.b) - start
	for i := range size {
		b.b[start-1-i] = byte(n >> (8 * i))
	}
	b.tooLong = b.tooLong || n>>(8*size) != 0
}
