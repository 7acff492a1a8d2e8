// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package memscan

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"reflect"
	"slices"
)

// A Form is one of the ways in which a secret lies in memory.
type Form struct {
	Name  string
	Bytes []byte
	Least int // the length of the shortest piece that is no chance; 0 means window
}

// Raw is a secret as it is.
func Raw(b []byte) []Form { return []Form{{Name: "raw", Bytes: b}} }

// Secret returns the forms of a secret that HMAC takes for a key, and of one that
// is written to a key log.
func Secret(newHash func() hash.Hash, b []byte) []Form {
	forms := append(Raw(b), Form{"hex", hex.AppendEncode(nil, b), 2 * window})
	for _, pad := range []struct {
		name string
		byte byte
	}{{"ipad", 0x36}, {"opad", 0x5c}} {
		h := newHash()
		block := bytes.Repeat([]byte{pad.byte}, h.BlockSize())
		for i := range min(len(b), len(block)) {
			block[i] ^= b[i]
		}
		h.Write(block)
		state := words(reflect.ValueOf(h).Elem().FieldByName("h"))
		forms = append(forms, Form{Name: pad.name, Bytes: block})
		forms = append(forms, bothOrders(pad.name+" midstate", state)...)
	}
	return forms
}

// Scalar returns the forms of a private key of X25519 or P-256.
func Scalar(b []byte) []Form {
	clamped := bytes.Clone(b)
	clamped[0] &= 248
	clamped[len(b)-1] = clamped[len(b)-1]&127 | 64
	reversed := bytes.Clone(b)
	slices.Reverse(reversed)
	return append(Raw(b), Form{Name: "clamped", Bytes: clamped}, Form{Name: "reversed", Bytes: reversed})
}

// AES returns the forms of a key of AES-GCM: with its round keys, the key of GHASH
// and the table that is made of that.
func AES(key []byte) ([]Form, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	size := (len(key)/4 + 7) * 4 // of the key schedule, in words
	v := reflect.ValueOf(block).Elem()
	forms := Raw(key)
	forms = append(forms, bothOrders("round keys", words(v.FieldByName("enc"))[:size])...)
	forms = append(forms, bothOrders("inverse round keys", words(v.FieldByName("dec"))[:size])...)
	h := make([]byte, aes.BlockSize)
	block.Encrypt(h, h)
	for i, power := 1, h; i <= ghashPowers; i, power = i+1, multiply(power, h) {
		reversed := bytes.Clone(power)
		slices.Reverse(reversed)
		forms = append(forms, Form{Name: fmt.Sprintf("GHASH key, power %d", i), Bytes: power},
			Form{Name: fmt.Sprintf("GHASH key, power %d, reversed", i), Bytes: reversed})
	}
	if table := reflect.ValueOf(gcm).Elem().FieldByName("productTable"); table.IsValid() {
		forms = append(forms, Form{Name: "GHASH table", Bytes: inMemory(words(table))})
	}
	return forms, nil
}

// ghashPowers is how many powers of GHASH's key crypto/aes computes at once.
const ghashPowers = 8

// multiply multiplies in GHASH's field (NIST SP 800-38D, Section 6.3).
func multiply(x, y []byte) []byte {
	z, v := make([]byte, len(x)), bytes.Clone(y)
	for i := range 8 * len(x) {
		if x[i/8]<<(i%8)&0x80 != 0 {
			for j := range z {
				z[j] ^= v[j]
			}
		}
		low := v[len(v)-1] & 1
		for j := len(v) - 1; j > 0; j-- {
			v[j] = v[j]>>1 | v[j-1]<<7
		}
		v[0] = v[0]>>1 ^ low*0xe1
	}
	return z
}

// MLKEM returns the forms of a decapsulation key: the seed that it was made of, the seed
// of its noise that was derived from that, and the secret vector of polynomials, as each
// implementation keeps it.
func MLKEM(seed, noise []byte, keys ...any) []Form {
	forms := append(Raw(seed), Form{Name: "noise seed", Bytes: noise})
	for _, key := range keys {
		s := MLKEMVector(key)
		for i := range s.Len() {
			forms = append(forms, Form{Name: fmt.Sprint("vector ", i), Bytes: inMemory(words(s.Index(i)))})
		}
	}
	return forms
}

// MLKEMVector returns the secret vector of a decapsulation key of crypto/mlkem or of
// circl, in NTT form.
func MLKEMVector(key any) reflect.Value {
	v := reflect.ValueOf(key).Elem()
	if private := v.FieldByName("sk"); private.IsValid() {
		return private.Elem().FieldByName("sh") // circl
	}
	return v.FieldByName("key").Elem().FieldByName("s")
}

// A word is an unsigned integer of a size in bytes.
type word struct {
	value uint64
	size  int
}

// words returns the integers of an array.
func words(v reflect.Value) []word {
	w := make([]word, v.Len())
	for i := range w {
		x := v.Index(i)
		if w[i].size = int(x.Type().Size()); x.CanInt() {
			w[i].value = uint64(x.Int())
		} else {
			w[i].value = x.Uint()
		}
	}
	return w
}

// inMemory returns words as they lie in the memory of a little-endian machine.
func inMemory(words []word) []byte {
	var b []byte
	for _, w := range words {
		b = append(b, binary.LittleEndian.AppendUint64(nil, w.value)[:w.size]...)
	}
	return b
}

// bothOrders returns words in both byte orders.
func bothOrders(name string, words []word) []Form {
	var swapped []byte
	for _, w := range words {
		swapped = append(swapped, binary.BigEndian.AppendUint64(nil, w.value)[8-w.size:]...)
	}
	return []Form{{Name: name, Bytes: inMemory(words)}, {Name: name + ", swapped", Bytes: swapped}}
}
