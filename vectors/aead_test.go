// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package vectors

import (
	stdbytes "bytes"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/suite"
)

// seal holds the AEAD of a suite against a file, both ways. TLS has nonces of 96
// bits and tags of 128 bits alone; vectors of other sizes are counted and left out.
func seal(t *testing.T, name string, keyLen int, s *suite.Suite, least int) {
	t.Helper()
	ours := 0
	each(t, name, 300, func(t *testing.T, g *group, v *vector) {
		if g.KeySize != 8*keyLen || g.IVSize != 96 || g.TagSize != 128 {
			return
		}
		ours++
		keys := s.NewKeys(v.Key, v.IV)
		defer keys.Wipe()
		var nonce [12]byte
		keys.Nonce(&nonce, 0)
		sealed := append(append([]byte{}, v.CT...), v.Tag...)
		plain, err := keys.AEAD.Open(nil, nonce[:], sealed, v.AAD)
		switch {
		case v.Result == "invalid":
			if err == nil {
				t.Errorf("%d (%s): a forgery opened", v.TcID, v.Comment)
			}
			return
		case err != nil || !stdbytes.Equal(plain, v.Msg):
			t.Errorf("%d (%s): opened to %x, %v", v.TcID, v.Comment, plain, err)
		}
		if got := keys.AEAD.Seal(nil, nonce[:], v.Msg, v.AAD); !stdbytes.Equal(got, sealed) {
			t.Errorf("%d (%s): sealed to %x", v.TcID, v.Comment, got)
		}
	})
	if ours < least {
		t.Errorf("%s: only %d vectors are of our sizes", name, ours)
	}
}

func TestAES128GCM(t *testing.T) {
	seal(t, "aes_gcm_test.json", 16, suite.ByID(suite.AES128GCM), 40)
}

func TestAES256GCM(t *testing.T) {
	seal(t, "aes_gcm_test.json", 32, suite.ByID(suite.AES256GCM), 40)
}

func TestChaCha20Poly1305(t *testing.T) {
	seal(t, "chacha20_poly1305_test.json", 32, suite.ByID(suite.ChaCha20Poly1305), 250)
}
