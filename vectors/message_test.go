// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package vectors

import (
	stdbytes "bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/content"
	"github.com/mayfly-tls/mayfly/internal/keywrap"
)

// TestKeyWrap is RFC 3394. A key of 8 bytes, which Wycheproof calls acceptable, is
// shorter than any that is wrapped.
func TestKeyWrap(t *testing.T) {
	each(t, "aes_wrap_test.json", 150, func(t *testing.T, _ *group, v *vector) {
		key, err := keywrap.Unwrap(v.Key, v.CT)
		if v.Result != "valid" {
			if err == nil {
				t.Errorf("%d (%s): it is unwrapped", v.TcID, v.Comment)
			}
			return
		}
		if err != nil || !stdbytes.Equal(key.Bytes(), v.Msg) {
			t.Errorf("%d (%s): %v", v.TcID, v.Comment, err)
		}
		if wrapped, err := keywrap.Wrap(v.Key, v.Msg); err != nil || !stdbytes.Equal(wrapped, v.CT) {
			t.Errorf("%d (%s): wrapped to %x, %v", v.TcID, v.Comment, wrapped, err)
		}
	})
}

// TestKeyDerivation is HKDF, up to the length of a key.
func TestKeyDerivation(t *testing.T) {
	for name, newHash := range map[string]func() hash.Hash{
		"hkdf_sha1_test.json": sha1.New, "hkdf_sha256_test.json": sha256.New, "hkdf_sha384_test.json": sha512.New384, "hkdf_sha512_test.json": sha512.New,
	} {
		t.Run(name, func(t *testing.T) {
			seen := 0
			each(t, name, 80, func(t *testing.T, _ *group, v *vector) {
				if v.Result != "valid" || v.Size > 64 {
					return
				}
				seen++
				got := keywrap.HKDF(newHash, v.IKM, v.Salt, v.Info, v.Size)
				defer got.Wipe()
				if !stdbytes.Equal(got.Bytes(), v.OKM) {
					t.Errorf("%d (%s): %x", v.TcID, v.Comment, got.Bytes())
				}
			})
			if seen < 40 {
				t.Errorf("only %d vectors are of our sizes", seen)
			}
		})
	}
}

// TestContent holds the ciphers that messages are sealed with part by part against the
// same vectors as those of records.
func TestContent(t *testing.T) {
	for _, c := range []struct {
		file      string
		algorithm content.Algorithm
		least     int
	}{
		{"aes_gcm_test.json", content.AES128GCM, 40},
		{"aes_gcm_test.json", content.AES256GCM, 40},
		{"chacha20_poly1305_test.json", content.ChaCha20Poly1305, 250},
	} {
		t.Run(c.file, func(t *testing.T) {
			seen := 0
			each(t, c.file, 300, func(t *testing.T, g *group, v *vector) {
				if g.KeySize != 8*c.algorithm.KeyLen() || g.IVSize != 8*content.NonceLen || g.TagSize != 8*content.TagLen {
					return
				}
				seen++
				opener, err := content.New(c.algorithm, v.Key, v.IV, v.AAD)
				if err != nil {
					t.Fatal(err)
				}
				defer opener.Wipe()
				if err := opener.Add(v.CT); err != nil {
					t.Fatal(err)
				}
				if tag := opener.Tag(); stdbytes.Equal(tag[:], v.Tag) != (v.Result == "valid") {
					t.Errorf("%d (%s): the tag is %x", v.TcID, v.Comment, tag)
				}
				if v.Result != "valid" {
					return
				}
				sealer, err := content.New(c.algorithm, v.Key, v.IV, v.AAD)
				if err != nil {
					t.Fatal(err)
				}
				defer sealer.Wipe()
				b := append(append([]byte{}, v.Msg...), make([]byte, content.TagLen)...)[:len(v.Msg)]
				if err := sealer.Seal(b, b); err != nil || !stdbytes.Equal(b, v.CT) {
					t.Errorf("%d (%s): sealed to %x, %v", v.TcID, v.Comment, b, err)
				}
				if tag := sealer.Tag(); !stdbytes.Equal(tag[:], v.Tag) {
					t.Errorf("%d (%s): the tag is %x", v.TcID, v.Comment, tag)
				}
			})
			if seen < c.least {
				t.Errorf("only %d vectors are of our sizes", seen)
			}
		})
	}
}
