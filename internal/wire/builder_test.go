// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"bytes"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// TestBuilder builds the same with cryptobyte, at the ends of what lengths can tell.
func TestBuilder(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 1<<8 - 1, 1 << 8, 1<<16 - 1, 1 << 16, 1<<24 - 1, 1 << 24} {
		content := bytes.Repeat([]byte{0x5a}, n)
		for size := 1; size <= 3; size++ {
			b, want := new(builder), cryptobyte.NewBuilder(nil)
			b.AddUint8(1)
			want.AddUint8(1)
			put := func(b *builder) { b.AddBytes(content) }
			putWant := func(b *cryptobyte.Builder) { b.AddBytes(content) }
			switch size {
			case 1:
				b.AddUint8LengthPrefixed(put)
				want.AddUint8LengthPrefixed(putWant)
			case 2:
				b.AddUint16LengthPrefixed(put)
				want.AddUint16LengthPrefixed(putWant)
			case 3:
				b.AddUint24LengthPrefixed(func(b *builder) { b.AddUint8LengthPrefixed(func(*builder) {}); put(b) })
				want.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
					b.AddUint8LengthPrefixed(func(*cryptobyte.Builder) {})
					putWant(b)
				})
			}
			b.AddUint16(0x0203)
			b.AddUint24(0x040506)
			b.AddUint32(0x0708090a)
			want.AddUint16(0x0203)
			want.AddUint24(0x040506)
			want.AddUint32(0x0708090a)
			expected, err := want.Bytes()
			if (err != nil) != (b.bytes() == nil) || !bytes.Equal(b.bytes(), expected) {
				t.Errorf("%d bytes behind a length of %d: got %d bytes, cryptobyte %d (%v)", n, size, len(b.bytes()), len(expected), err)
			}
		}
	}
}

// TestMarshalReusesBuilders builds messages one after the other, which share memory while
// they are built and not afterwards.
func TestMarshalReusesBuilders(t *testing.T) {
	build := func(content []byte) []byte {
		return marshal(FinishedType, func(b *builder) { b.AddUint16LengthPrefixed(func(b *builder) { b.AddBytes(content) }) })
	}
	var messages [][]byte
	for i := range 20 {
		if build(make([]byte, 1<<16)) != nil {
			t.Fatal("a message with a length that has no room")
		}
		messages = append(messages, build(bytes.Repeat([]byte{byte(i)}, 1000*i)))
	}
	for i, message := range messages {
		n := 1000 * i
		want := append([]byte{byte(FinishedType), byte((n + 2) >> 16), byte((n + 2) >> 8), byte(n + 2), byte(n >> 8), byte(n)}, bytes.Repeat([]byte{byte(i)}, n)...)
		if !bytes.Equal(message, want) {
			t.Errorf("the message with %d bytes has changed", n)
		}
	}
	b := &builder{b: make([]byte, 0, 8), tooLong: true}
	b.AddBytes([]byte("secret"))
	if b.reset(); b.tooLong || len(b.b) != 0 || !bytes.Equal(b.b[:8], make([]byte, 8)) {
		t.Errorf("left in a builder: %x, %v", b.b[:8], b.tooLong)
	}
}
