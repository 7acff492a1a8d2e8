// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package volatile owns the memory that holds secrets: it allocates it, lends it,
// and wipes it. A secret has one owner, who wipes it when it is replaced or no
// longer needed.
//
// Do and DoPinned run a function on secrets. While it runs, the runtime neither moves the
// goroutine's stack nor saves the registers in memory of its own. Afterwards Do and
// DoPinned scrub the stack, the registers, and on Linux the thread's signal stack, where
// the kernel saves registers for a signal handler. Built with GOEXPERIMENT=runtimesecret,
// on Linux on amd64 or arm64, runtime/secret.Do scrubs the stack, the registers and the
// heap. Built without, the owner of each object on the heap that holds a secret wipes it.
//
// Beyond reach in the build without are what crypto/hpke derives, and in FIPS 140-3 mode
// the 32-byte message within ML-KEM decapsulation, both until their memory is used again.
// On systems other than Linux, registers that a signal saved stay until the thread's next
// signal.
//
// It must not know what the secrets are for.
package volatile

import (
	"fmt"
	"log/slog"
)

const redacted = "volatile.Secret(redacted)"

// A Secret is a piece of memory that holds a secret and prints as nothing. A nil
// Secret is an empty one. It is passed by pointer, and not safe for concurrent use.
type Secret struct {
	// A pointer, because fmt follows that to a Secret in an unexported field, where
	// it calls no methods; it goes no further than that.
	memory *memory
}

type memory struct{ b []byte }

// small is the size up to which a secret lies beside its Secret: keys do.
const small = 64

// Each is one object on the heap.
type (
	taken struct {
		Secret
		memory
	}
	made struct {
		taken
		b [small]byte
	}
)

// New returns a Secret of n zero bytes. Inlined, small ones could come to lie on the
// caller's stack, which the runtime copies when it moves that.
//
//go:noinline
func New(n int) *Secret {
	if n > small {
		return Take(make([]byte, n))
	}
	m := new(made)
	m.memory.b = m.b[:n:n]
	m.Secret.memory = &m.memory
	return &m.Secret
}

// Take makes b a Secret, without a copy. The caller gives up b and all of its
// capacity.
func Take(b []byte) *Secret {
	t := &taken{memory: memory{b}}
	t.Secret.memory = &t.memory
	return &t.Secret
}

// CopyOf returns a Secret with the same bytes as b, which stays the caller's. What
// copies goes through registers: it is done within DoPinned.
func CopyOf(b []byte) *Secret {
	s := New(len(b))
	DoPinned(func() { copy(s.Bytes(), b) })
	return s
}

// Append appends src to dst, and wipes where dst was if it moves. It leaves nothing in
// registers.
func Append(dst, src []byte) []byte {
	DoPinned(func() {
		before := dst
		if dst = append(dst, src...); cap(dst) != cap(before) {
			Wipe(before[:cap(before)])
		}
	})
	return dst
}

// Bytes lends the secret's bytes, which must not be kept. It is nil after Wipe.
func (s *Secret) Bytes() []byte {
	if s == nil || s.memory == nil {
		return nil
	}
	return s.memory.b
}

// Len returns the number of bytes, 0 after Wipe.
func (s *Secret) Len() int { return len(s.Bytes()) }

// Clone returns a Secret of its own with the same bytes.
func (s *Secret) Clone() *Secret { return CopyOf(s.Bytes()) }

// Wipe destroys the secret. It may be called again.
func (s *Secret) Wipe() {
	if b := s.Bytes(); b != nil {
		Wipe(b[:cap(b)])
		s.memory.b = nil
	}
}

// String returns a constant. So do Format, GoString, MarshalText and LogValue.
func (s Secret) String() string { return redacted }

// GoString returns a constant.
func (s Secret) GoString() string { return redacted }

// Format writes a constant, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns a constant.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns a constant.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Wipe overwrites b with zeros. It is never inlined, so that the compiler cannot
// take the stores for dead ones.
//
//go:noinline
func Wipe(b []byte) { clear(b) }
