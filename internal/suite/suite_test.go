// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package suite

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

func TestSuites(t *testing.T) {
	t.Parallel()
	for _, want := range []struct {
		id              ID
		code            uint16
		name            string
		keyLen, hashLen int
		limit           uint64
	}{
		{AES128GCM, 0x1301, "TLS_AES_128_GCM_SHA256", 16, 32, 23726566},
		{AES256GCM, 0x1302, "TLS_AES_256_GCM_SHA384", 32, 48, 23726566},
		{ChaCha20Poly1305, 0x1303, "TLS_CHACHA20_POLY1305_SHA256", 32, 32, math.MaxUint64},
	} {
		s := ByID(want.id)
		if s == nil || s.ID != want.id || uint16(s.ID) != want.code || s.ID.String() != want.name ||
			s.KeyLen != want.keyLen || s.HashLen != want.hashLen || s.Limit != want.limit {
			t.Errorf("ByID(%v) is %+v, want %+v", want.id, s, want)
		}
		if n := s.NewHash().Size(); n != want.hashLen {
			t.Errorf("%v has a hash of %d bytes", want.id, n)
		}
		k := s.NewKeys(make([]byte, s.KeyLen), make([]byte, NonceLen))
		if k.AEAD.NonceSize() != NonceLen || k.AEAD.Overhead() != 16 || k.Suite != s {
			t.Errorf("%v: unexpected AEAD", want.id)
		}
	}
	if ByID(0x1304) != nil || ByID(0) != nil {
		t.Error("there are suites that should be none")
	}
	if got := ID(0x1304).String(); got != "cipher_suite(0x1304)" {
		t.Errorf("an unknown suite prints as %s", got)
	}
}

func TestPreferred(t *testing.T) {
	t.Parallel()
	preferred := Preferred()
	if first := preferred[0] == AES128GCM; first != hasAES() {
		t.Errorf("preferred: %v; hardware AES: %v", preferred, hasAES())
	}
	slices.Sort(preferred)
	if !slices.Equal(preferred, All()) {
		t.Errorf("preferred are %v of %v", preferred, All())
	}
}

// The limit of AES-GCM is the RFC's, 2^24.5, rounded down.
func TestLimit(t *testing.T) {
	t.Parallel()
	if want := uint64(math.Exp2(24.5)); limitGCM != want {
		t.Errorf("limit %d, want %d", uint64(limitGCM), want)
	}
}

func TestNonce(t *testing.T) {
	t.Parallel()
	k := ByID(AES128GCM).NewKeys(make([]byte, 16), unhex(t, "5d313eb2671276ee13000b30")) // RFC 8448, Section 3
	for seq, want := range map[uint64]string{
		0:                  "5d313eb2671276ee13000b30",
		1:                  "5d313eb2671276ee13000b31",
		0x0102030405060708: "5d313eb2661075ea16060c38",
		math.MaxUint64:     "5d313eb298ed8911ecfff4cf",
	} {
		var nonce [NonceLen]byte
		k.Nonce(&nonce, seq)
		if got := hex.EncodeToString(nonce[:]); got != want {
			t.Errorf("record %#x has nonce %s, want %s", seq, got, want)
		}
	}
}

// TestAEADs has an official vector for each suite.
func TestAEADs(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		source                             string
		id                                 ID
		key, iv, additional, text, sealing string
	}{
		{
			source: "RFC 8439, Section 2.8.2",
			id:     ChaCha20Poly1305,
			key:    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
			iv:     "070000004041424344454647", additional: "50515253c0c1c2c3c4c5c6c7",
			text: hex.EncodeToString([]byte("Ladies and Gentlemen of the class of '99: " +
				"If I could offer you only one tip for the future, sunscreen would be it.")),
			sealing: "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6" +
				"3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36" +
				"92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc" +
				"3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
		},
		{
			source: "The Galois/Counter Mode of Operation, test case 4",
			id:     AES128GCM,
			key:    "feffe9928665731c6d6a8f9467308308", iv: "cafebabefacedbaddecaf888",
			additional: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
			text: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
				"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
			sealing: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e" +
				"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091" +
				"5bc94fbc3221a5db94fae95ae7121a47",
		},
		{
			source: "The Galois/Counter Mode of Operation, test case 16",
			id:     AES256GCM,
			key:    "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
			iv:     "cafebabefacedbaddecaf888", additional: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
			text: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
				"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
			sealing: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
				"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" +
				"76fc6ece0f4e1768cddf8853bb2d551b",
		},
	} {
		key, iv := unhex(t, v.key), unhex(t, v.iv)
		k := ByID(v.id).NewKeys(key, iv)
		clear(key) // The keys have their own copy.
		clear(iv)
		var nonce [NonceLen]byte
		k.Nonce(&nonce, 0)
		got := k.AEAD.Seal(nil, nonce[:], unhex(t, v.text), unhex(t, v.additional))
		if hex.EncodeToString(got) != v.sealing {
			t.Errorf("%s: sealed to %x, want %s", v.source, got, v.sealing)
		}
		if text, err := k.AEAD.Open(nil, nonce[:], got, unhex(t, v.additional)); err != nil || hex.EncodeToString(text) != v.text {
			t.Errorf("%s: opened to %x (%v), want %s", v.source, text, err, v.text)
		}
	}
}

// TestWipe pins that Wipe clears all of the AEADs in use. An upgrade that changes
// their types has to be looked at.
func TestWipe(t *testing.T) {
	t.Parallel()
	types := map[ID]string{
		AES128GCM: "*gcm.GCM", AES256GCM: "*gcm.GCM", ChaCha20Poly1305: "*chacha20poly1305.chacha20poly1305",
	}
	for _, id := range All() {
		t.Run(id.String(), func(t *testing.T) {
			t.Parallel()
			s := ByID(id)
			k := s.NewKeys(bytes.Repeat([]byte{0xa5}, s.KeyLen), bytes.Repeat([]byte{0x5a}, NonceLen))
			aead := k.AEAD
			if got := reflect.TypeOf(aead).String(); got != types[id] {
				t.Errorf("the AEAD is a %s, was a %s: does it hold its key elsewhere?", got, types[id])
			}
			if isZero(t, reflect.ValueOf(aead).Elem()) {
				t.Fatal("the AEAD's state was not found")
			}
			k.Wipe()
			if !isZero(t, reflect.ValueOf(aead).Elem()) {
				t.Error("the AEAD's state is still there")
			}
			if k.AEAD != nil || k.IV != [NonceLen]byte{} {
				t.Error("the keys are still there")
			}
			k.Wipe()
		})
	}
	(*Keys)(nil).Wipe()
}

// TestWipeBlock does the same for the block cipher that NewKeys leaves behind.
func TestWipeBlock(t *testing.T) {
	t.Parallel()
	for _, n := range []int{16, 32} {
		block, err := aes.NewCipher(bytes.Repeat([]byte{0xa5}, n))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := reflect.TypeOf(block).String(), "*aes.Block"; got != want {
			t.Errorf("the block cipher is a %s, was a %s", got, want)
		}
		if isZero(t, reflect.ValueOf(block).Elem()) {
			t.Fatal("the round keys were not found")
		}
		volatile.WipeFlat(block)
		if !isZero(t, reflect.ValueOf(block).Elem()) {
			t.Error("the round keys are still there")
		}
	}
}

func TestNewKeysPanics(t *testing.T) {
	t.Parallel()
	for _, lengths := range [][2]int{{15, NonceLen}, {17, NonceLen}, {32, NonceLen}, {0, NonceLen}, {16, 11}, {16, 0}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic at lengths %v", lengths)
				}
			}()
			ByID(AES128GCM).NewKeys(make([]byte, lengths[0]), make([]byte, lengths[1]))
		}()
	}
}

// isZero reports whether all numbers within v are zero. It fails if v owns another
// object, which WipeFlat would leave as it is.
func isZero(t *testing.T, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !isZero(t, v.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Array:
		for i := range v.Len() {
			if !isZero(t, v.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Int, reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return v.IsZero()
	}
	t.Fatalf("there is a %v now, which nothing wipes", v.Type())
	return false
}

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func BenchmarkNewKeys(b *testing.B) {
	for _, id := range All() {
		b.Run(id.String(), func(b *testing.B) {
			s := ByID(id)
			key, iv := make([]byte, s.KeyLen), make([]byte, NonceLen)
			b.ReportAllocs()
			for b.Loop() {
				s.NewKeys(key, iv).Wipe()
			}
		})
	}
}
