// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package keywrap

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRFC3394 are the vectors of RFC 3394, Section 4.
func TestRFC3394(t *testing.T) {
	t.Parallel()
	const kek = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
	const key = "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F"
	for name, v := range map[string]struct {
		kek, key int
		want     string
	}{
		"4.1": {16, 16, "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		"4.2": {24, 16, "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"},
		"4.3": {32, 16, "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
		"4.4": {24, 24, "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"},
		"4.5": {32, 24, "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"},
		"4.6": {32, 32, "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kek, key := unhex(t, kek)[:v.kek], unhex(t, key)
			key = key[:v.key]
			if name == "4.4" || name == "4.5" {
				key = unhex(t, "00112233445566778899AABBCCDDEEFF0001020304050607")
			}
			wrapped, err := Wrap(kek, key)
			if err != nil || !bytes.Equal(wrapped, unhex(t, v.want)) {
				t.Fatalf("%x, %v", wrapped, err)
			}
			got, err := Unwrap(kek, wrapped)
			if err != nil || !bytes.Equal(got.Bytes(), key) {
				t.Fatalf("%v, %v", got, err)
			}
			for i := range 8 * len(wrapped) {
				wrapped[i/8] ^= 1 << (i % 8)
				if _, err := Unwrap(kek, wrapped); err != ErrIntegrity {
					t.Fatalf("bit %d: %v", i, err)
				}
				wrapped[i/8] ^= 1 << (i % 8)
			}
		})
	}
}

func TestLengths(t *testing.T) {
	t.Parallel()
	for _, l := range [][2]int{{16, 0}, {16, 8}, {16, 17}, {15, 16}, {0, 16}, {64, 16}} {
		if _, err := Wrap(make([]byte, l[0]), make([]byte, l[1])); err == nil {
			t.Errorf("Wrap takes lengths %v", l)
		}
		if _, err := Unwrap(make([]byte, l[0]), make([]byte, l[1]+8)); err == nil {
			t.Errorf("Unwrap takes lengths %v", l)
		}
	}
	for n := range 24 {
		if _, err := Unwrap(make([]byte, 16), make([]byte, n)); err == nil {
			t.Errorf("Unwrap takes %d bytes", n)
		}
	}
}

// TestX963 are vectors of NIST's CAVS 12.0 for "ANS X9.63-2001".
func TestX963(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct {
		newHash       func() hash.Hash
		z, info, want string
	}{
		"SHA-1":   {sha1.New, "1c7d7b5f0597b03d06a018466ed1a93e30ed4b04dc64ccdd", "", "bf71dffd8f4d99223936beb46fee8ccc"},
		"SHA-256": {sha256.New, "96c05619d56c328ab95fe84b18264b08725b85e33fd34f08", "", "443024c3dae66b95e6f5670601558f71"},
		"info":    {sha256.New, "22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d", "75eef81aa3041e33b80971203d2c0c52", "c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := unhex(t, v.want)
			if got := X963(v.newHash, unhex(t, v.z), unhex(t, v.info), len(want)); !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%x", got.Bytes())
			}
		})
	}
	if n := X963(sha256.New, []byte("z"), nil, 1000).Len(); n != maxLen {
		t.Errorf("%d bytes", n)
	}
}

// TestHKDF is Test Case 1 of RFC 5869, and agreement with the standard library.
func TestHKDF(t *testing.T) {
	t.Parallel()
	got := HKDF(sha256.New, bytes.Repeat([]byte{0x0b}, 22), unhex(t, "000102030405060708090a0b0c"), unhex(t, "f0f1f2f3f4f5f6f7f8f9"), 42)
	if want := "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"; hex.EncodeToString(got.Bytes()) != want {
		t.Errorf("%x", got.Bytes())
	}
	for _, newHash := range []func() hash.Hash{sha256.New, sha512.New384, sha512.New} {
		want, err := hkdf.Key(newHash, []byte("secret"), nil, "info", 32)
		if got := HKDF(newHash, []byte("secret"), nil, []byte("info"), 32); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%x, want %x", got.Bytes(), want)
		}
	}
}

// TestNothingLeft looks at the hashes that were lent.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	var hashes []hash.Hash
	newHash := func() hash.Hash {
		h := sha256.New()
		hashes = append(hashes, h)
		return h
	}
	z := bytes.Repeat([]byte("secret!!"), 4)
	HKDF(newHash, z, nil, nil, 32).Wipe()
	X963(newHash, z, nil, 32).Wipe()
	if len(hashes) < 5 {
		t.Fatalf("%d hashes", len(hashes))
	}
	for i, h := range hashes {
		if state, _ := h.(interface{ AppendBinary([]byte) ([]byte, error) }).AppendBinary(nil); !bytes.Equal(state[4:], make([]byte, len(state)-4)) {
			t.Errorf("hash %d holds %x", i, state)
		}
	}
}
