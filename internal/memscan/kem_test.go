// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha3"
	"crypto/tls"

	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/memscan"
)

// A kem is one of ML-KEM's parameter sets (FIPS 203, Section 8).
type kem struct {
	keyLen, ciphertextLen int
	du, dv                int // bits of the coefficients of a ciphertext's two parts

	// expand returns crypto/mlkem's decapsulation key of a seed, its encapsulation key, and
	// what encapsulates a message to that.
	expand func(seed []byte) (key any, public []byte, encapsulate func(m []byte) (z, ciphertext []byte, err error), err error)

	circl func(seed []byte) any // the same decapsulation key
}

// kems are those of the groups that have one.
var kems = map[tls.CurveID]kem{
	tls.X25519MLKEM768: {
		keyLen: mlkem.EncapsulationKeySize768, ciphertextLen: mlkem.CiphertextSize768, du: 10, dv: 4,
		expand: func(seed []byte) (any, []byte, func([]byte) ([]byte, []byte, error), error) {
			dk, err := mlkem.NewDecapsulationKey768(seed)
			if err != nil {
				return nil, nil, nil, err
			}
			ek := dk.EncapsulationKey()
			return dk, ek.Bytes(), func(m []byte) ([]byte, []byte, error) { return mlkemtest.Encapsulate768(ek, m) }, nil
		},
		circl: func(seed []byte) any { _, key := mlkem768.NewKeyFromSeed(seed); return key },
	},
	mayfly.MLKEM1024: {
		keyLen: mlkem.EncapsulationKeySize1024, ciphertextLen: mlkem.CiphertextSize1024, du: 11, dv: 5,
		expand: func(seed []byte) (any, []byte, func([]byte) ([]byte, []byte, error), error) {
			dk, err := mlkem.NewDecapsulationKey1024(seed)
			if err != nil {
				return nil, nil, nil, err
			}
			ek := dk.EncapsulationKey()
			return dk, ek.Bytes(), func(m []byte) ([]byte, []byte, error) { return mlkemtest.Encapsulate1024(ek, m) }, nil
		},
		circl: func(seed []byte) any { _, key := mlkem1024.NewKeyFromSeed(seed); return key },
	},
}

// noiseSeed returns what the noise of a seed's key is drawn from (FIPS 203, Algorithm 13).
func (k kem) noiseSeed(seed []byte) []byte {
	rank := byte((k.keyLen - 32) / (degree * 12 / 8))
	expanded := sha3.Sum512(append(bytes.Clone(seed[:32]), rank))
	return expanded[32:]
}

// coins returns what the noise of a message's ciphertext is drawn from (FIPS 203,
// Algorithm 17). It gives the message away.
func coins(message, ek []byte) []byte {
	hash := sha3.Sum256(ek)
	expanded := sha3.Sum512(append(bytes.Clone(message), hash[:]...))
	return expanded[32:]
}

// The ring of ML-KEM: FIPS 203, Section 2.
const (
	degree  = 256
	modulus = 3329
)

// decrypt returns the message that ML-KEM encapsulates, which the standard library
// keeps to itself: K-PKE.Decrypt of FIPS 203, straight from the definitions. What
// it returns is checked by its caller.
func (k kem) decrypt(key any, ciphertext []byte) []byte {
	s := memscan.MLKEMVector(key)
	length := k.du * degree / 8 // of a polynomial of the first part
	var product [degree]int
	for i := range s.Len() {
		u := transform(unpack(ciphertext[length*i:length*(i+1)], k.du))
		for j := 0; j < degree; j += 2 {
			a, b := int(s.Index(i).Index(j).Uint()), int(s.Index(i).Index(j+1).Uint())
			product[j] += a*u[j] + b*u[j+1]%modulus*root(j/2)
			product[j+1] += a*u[j+1] + b*u[j]
		}
	}
	w := inverse(product)
	v := unpack(ciphertext[length*s.Len():], k.dv)
	message := make([]byte, degree/8)
	for i := range w {
		if x := ((v[i]-w[i])%modulus + modulus) % modulus; x > modulus/4 && x <= 3*modulus/4 {
			message[i/8] |= 1 << (i % 8)
		}
	}
	return message
}

// unpack decodes and decompresses a polynomial of coefficients of n bits.
func unpack(b []byte, n int) (f [degree]int) {
	for i := range f {
		x := 0
		for j := range n {
			bit := i*n + j
			x |= int(b[bit/8]>>(bit%8)&1) << j
		}
		f[i] = (x*modulus + 1<<(n-1)) >> n
	}
	return f
}

// root is the i-th root in the order of FIPS 203's NTT: 17^(2·BitRev7(i)+1).
func root(i int) int {
	exponent := 1
	for bit := range 7 {
		exponent += i >> bit & 1 << (7 - bit)
	}
	return power(17, exponent)
}

func power(x, n int) int {
	y := 1
	for range n {
		y = y * x % modulus
	}
	return y
}

// transform is the NTT, and inverse the way back.
func transform(f [degree]int) (g [degree]int) {
	for i := 0; i < degree; i += 2 {
		r := root(i / 2)
		for j, x := 0, 1; j < degree; j, x = j+2, x*r%modulus {
			g[i] += f[j] * x
			g[i+1] += f[j+1] * x
		}
		g[i], g[i+1] = g[i]%modulus, g[i+1]%modulus
	}
	return g
}

func inverse(g [degree]int) (f [degree]int) {
	scale := power(degree/2, modulus-2)
	for i := 0; i < degree; i += 2 {
		r := power(root(i/2), modulus-2)
		for j, x := 0, scale; j < degree; j, x = j+2, x*r%modulus {
			f[j] += g[i] % modulus * x
			f[j+1] += g[i+1] % modulus * x
		}
	}
	return f
}
