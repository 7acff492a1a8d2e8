// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package content

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors are test cases 4 and 16 of the GCM specification, and the example of
// RFC 8439, Section 2.8.2.
func TestVectors(t *testing.T) {
	t.Parallel()
	const plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
	for name, v := range map[string]struct {
		alg                               Algorithm
		key, nonce, aad, plain, want, tag string
	}{
		"AES-128-GCM": {AES128GCM, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", plain,
			"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091", "5bc94fbc3221a5db94fae95ae7121a47"},
		"AES-256-GCM": {AES256GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", plain,
			"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662", "76fc6ece0f4e1768cddf8853bb2d551b"},
		"ChaCha20-Poly1305": {ChaCha20Poly1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
			hex.EncodeToString([]byte("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.")),
			"d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
			"1ae10b594f09e26a7e902ecbd0600691"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := New(v.alg, unhex(t, v.key), unhex(t, v.nonce), unhex(t, v.aad))
			if err != nil {
				t.Fatal(err)
			}
			b := append(unhex(t, v.plain), make([]byte, TagLen)...)
			b = b[:len(b)-TagLen]
			if err := c.Seal(b, b); err != nil {
				t.Fatal(err)
			}
			if tag := c.Tag(); hex.EncodeToString(b) != v.want || hex.EncodeToString(tag[:]) != v.tag {
				t.Errorf("%x %x", b, tag)
			}
		})
	}
}

func algorithms() map[Algorithm]func(key []byte) cipher.AEAD {
	gcm := func(key []byte) cipher.AEAD {
		block, err := aes.NewCipher(key)
		if err != nil {
			panic(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			panic(err)
		}
		return aead
	}
	return map[Algorithm]func(key []byte) cipher.AEAD{
		AES128GCM: gcm, AES256GCM: gcm,
		ChaCha20Poly1305: func(key []byte) cipher.AEAD {
			aead, err := chacha20poly1305.New(key)
			if err != nil {
				panic(err)
			}
			return aead
		},
	}
}

// TestAgainstAEAD compares with the AEADs that take a message at once.
func TestAgainstAEAD(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	fill := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b)
		return b
	}
	var lengths []int
	for n := range 130 {
		lengths = append(lengths, n)
	}
	for _, n := range []int{PartSize, 2 * PartSize, 5 * PartSize} {
		for d := -33; d <= 33; d += 3 {
			lengths = append(lengths, n+d)
		}
		lengths = append(lengths, n)
	}
	for range 30 {
		lengths = append(lengths, random2(random, 4*PartSize))
	}
	for alg, newAEAD := range algorithms() {
		for i, n := range lengths {
			key, nonce, aad, plain := fill(alg.KeyLen()), fill(NonceLen), fill(i%67), fill(n)
			if i == len(lengths)-1 {
				aad = fill(2*PartSize + 5)
			}
			want := newAEAD(key).Seal(nil, nonce, plain, aad)
			sealer, err := New(alg, key, nonce, aad)
			if err != nil {
				t.Fatal(err)
			}
			if i%3 > 0 {
				sealer.Help = help
			}
			got := make([]byte, n, n+TagLen)
			for at := 0; at < n; at += PartSize {
				end := min(n, at+PartSize)
				part := make([]byte, end-at, end-at+TagLen)
				if i%2 == 0 {
					copy(part, plain[at:end])
					err = sealer.Seal(part, part)
				} else {
					err = sealer.Seal(part, plain[at:end])
				}
				if err != nil {
					t.Fatal(err)
				}
				copy(got[at:], part)
			}
			check := func(tag [TagLen]byte) {
				t.Helper()
				if !bytes.Equal(append(got, tag[:]...), want) {
					t.Fatalf("algorithm %d, %d bytes, %d of associated data: another ciphertext or tag", alg, n, len(aad))
				}
			}
			check(sealer.Tag())
			opener, err := New(alg, key, nonce, aad)
			if err != nil {
				t.Fatal(err)
			}
			for at := 0; at < n; at += PartSize {
				if err := opener.Add(got[at:min(n, at+PartSize)]); err != nil {
					t.Fatal(err)
				}
			}
			check(opener.Tag())
			if opener, err = New(alg, key, nonce, aad); err != nil {
				t.Fatal(err)
			}
			if i%3 > 0 {
				opener.Help = help
			}
			for at := 0; at < n; {
				step := min(n-at, 1+random2(random, PartSize))
				if err := opener.Decrypt(got[at : at+step]); err != nil {
					t.Fatal(err)
				}
				at += step
			}
			if !bytes.Equal(got, plain) {
				t.Fatalf("algorithm %d, %d bytes: decrypted to something else", alg, n)
			}
		}
	}
}

// help has two others at work, of whom one may come too late.
func help(n int, f func()) {
	for range min(n, 2) {
		go f()
	}
}

func random2(random *rand.ChaCha8, n int) int { return int(random.Uint64() % uint64(n)) }

func TestLimits(t *testing.T) {
	t.Parallel()
	for alg := range algorithms() {
		for _, l := range [][2]int{{alg.KeyLen() - 1, NonceLen}, {0, NonceLen}, {alg.KeyLen(), NonceLen + 1}, {alg.KeyLen(), 0}} {
			if _, err := New(alg, make([]byte, l[0]), make([]byte, l[1]), nil); err == nil {
				t.Errorf("algorithm %d takes lengths %v", alg, l)
			}
		}
		c, err := New(alg, make([]byte, alg.KeyLen()), make([]byte, NonceLen), nil)
		if err != nil {
			t.Fatal(err)
		}
		c.length = c.max - 1
		b := make([]byte, 1, 1+TagLen)
		if err := c.Seal(b, b); err != nil {
			t.Error(err)
		}
		if err := c.Seal(b, b); err != ErrTooLong {
			t.Errorf("algorithm %d goes past its limit: %v", alg, err)
		}
		if err := c.Decrypt(b); err != ErrTooLong {
			t.Errorf("algorithm %d goes past its limit: %v", alg, err)
		}
		if err := c.Add(b); err != ErrTooLong {
			t.Errorf("algorithm %d goes past its limit: %v", alg, err)
		}
	}
}

// TestWipe looks at the memory of the ciphers before and after.
func TestWipe(t *testing.T) {
	t.Parallel()
	for alg := range algorithms() {
		c, err := New(alg, bytes.Repeat([]byte{0x55}, alg.KeyLen()), make([]byte, NonceLen), []byte("aad"))
		if err != nil {
			t.Fatal(err)
		}
		c.Help = help
		part := make([]byte, PartSize, PartSize+TagLen)
		for range 2 {
			if err := c.Seal(part, part); err != nil {
				t.Fatal(err)
			}
		}
		var held []reflect.Value
		switch s := c.stream.(type) {
		case ctr:
			round := reflect.ValueOf(s.Stream).Field(0).Elem().FieldByName("b").FieldByName("blockExpanded")
			held = append(held, round.FieldByName("enc"), round.FieldByName("dec"))
		case *chacha:
			held = append(held, reflect.ValueOf(s.stream).Elem(), reflect.ValueOf(s).Elem().FieldByName("copies"))
		}
		switch m := c.mac.(type) {
		case *ghash:
			held = append(held, reflect.ValueOf(m.aead).Elem(), reflect.ValueOf(m.later).Elem(), reflect.ValueOf(m.block).Elem(), reflect.ValueOf(m).Elem())
		case *poly:
			held = append(held, reflect.ValueOf(m.mac).Elem().Field(0).Elem().FieldByName("mac").FieldByName("macState"))
		}
		for _, v := range held {
			if v.IsZero() {
				t.Errorf("algorithm %d: %v holds nothing before", alg, v.Type())
			}
		}
		c.Wipe()
		c.Wipe()
		for _, v := range held {
			if !v.IsZero() {
				t.Errorf("algorithm %d: %v is not wiped", alg, v.Type())
			}
		}
	}
	(*Cipher)(nil).Wipe()
}

func BenchmarkCipher(b *testing.B) {
	for alg := range algorithms() {
		b.Run(fmt.Sprint(alg), func(b *testing.B) {
			c, err := New(alg, make([]byte, alg.KeyLen()), make([]byte, NonceLen), nil)
			if err != nil {
				b.Fatal(err)
			}
			part := make([]byte, PartSize, PartSize+TagLen)
			b.SetBytes(PartSize)
			for b.Loop() {
				c.length = 0
				if err := c.Seal(part, part); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
