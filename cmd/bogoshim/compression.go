// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/mayfly-tls/mayfly"
)

// The algorithms of the tests, which no registry knows.
const (
	shrinking = 0xff01 // leaves out the first two bytes, which are always zero
	expanding = 0xff02 // puts four bytes before the message
	random    = 0xff03 // puts one of any value before it
)

// compressions are the algorithms that the flags ask for, the most wanted first.
func (f *flags) compressions() ([]mayfly.CertificateCompression, error) {
	all := []mayfly.CertificateCompression{
		prefixing(expanding, func() ([]byte, error) { return []byte{1, 2, 3, 4}, nil }, []byte{1, 2, 3, 4}),
		{Algorithm: shrinking, Compress: shrink, Decompress: grow},
		prefixing(random, randomByte, nil),
	}
	if f.installCompressions {
		return all, nil
	}
	if f.installCompression == 0 {
		return nil, nil
	}
	for _, c := range all {
		if int(c.Algorithm) == f.installCompression {
			return []mayfly.CertificateCompression{c}, nil
		}
	}
	return nil, fmt.Errorf("%w: the compression %d", errUnimplemented, f.installCompression)
}

func shrink(message []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(message, []byte{0, 0})
	if !ok {
		return nil, fmt.Errorf("a certificate message begins with %x", message[:min(2, len(message))])
	}
	return bytes.Clone(rest), nil
}

func grow(r io.Reader) (io.Reader, error) {
	return io.MultiReader(bytes.NewReader([]byte{0, 0}), r), nil
}

// prefixing returns the algorithm that writes a prefix; want is what it must be, nil
// for any single byte.
func prefixing(algorithm uint16, prefix func() ([]byte, error), want []byte) mayfly.CertificateCompression {
	return mayfly.CertificateCompression{
		Algorithm: algorithm,
		Compress: func(message []byte) ([]byte, error) {
			p, err := prefix()
			return append(p, message...), err
		},
		Decompress: func(r io.Reader) (io.Reader, error) {
			got := make([]byte, max(1, len(want)))
			if _, err := io.ReadFull(r, got); err != nil {
				return nil, err
			}
			if want != nil && !bytes.Equal(got, want) {
				return nil, unexpected("the prefix of a compressed certificate", got, want)
			}
			return r, nil
		},
	}
}

func randomByte() ([]byte, error) {
	b := make([]byte, 1)
	_, err := rand.Read(b)
	return b, err
}
