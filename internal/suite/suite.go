// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package suite holds the cipher suites of RFC 9846, Appendix B.4: each is an AEAD,
// the hash of the key schedule and the limit on the use of one key.
//
// It must not know records, nor how keys are derived.
package suite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"math"
	"strconv"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/cpu"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// An ID is the code point of a cipher suite.
type ID uint16

// The cipher suites.
const (
	AES128GCM        ID = 0x1301
	AES256GCM        ID = 0x1302
	ChaCha20Poly1305 ID = 0x1303
)

// String returns the name that the RFC gives the suite.
func (id ID) String() string {
	switch id {
	case AES128GCM:
		return "TLS_AES_128_GCM_SHA256"
	case AES256GCM:
		return "TLS_AES_256_GCM_SHA384"
	case ChaCha20Poly1305:
		return "TLS_CHACHA20_POLY1305_SHA256"
	}
	return "cipher_suite(0x" + strconv.FormatUint(uint64(id), 16) + ")"
}

// NonceLen is the length of the nonces and IVs of all suites.
const NonceLen = 12

// How many records one key may seal: RFC 9846, Section 5.5. For ChaCha20-Poly1305
// the sequence number would wrap before the limit is reached.
const (
	limitGCM    = 23726566 // 2^24.5
	limitChaCha = math.MaxUint64
)

// A Suite is a cipher suite. It does not change.
type Suite struct {
	ID      ID
	KeyLen  int
	HashLen int
	Limit   uint64 // how many records one key may seal

	newHash func() hash.Hash
	newAEAD func(key []byte) (cipher.AEAD, error)
}

var (
	aes128GCM = &Suite{AES128GCM, 16, sha256.Size, limitGCM, sha256.New, newGCM}
	aes256GCM = &Suite{AES256GCM, 32, sha512.Size384, limitGCM, sha512.New384, newGCM}
	chaCha    = &Suite{ChaCha20Poly1305, 32, sha256.Size, limitChaCha, sha256.New, chacha20poly1305.New}
)

// ByID returns the suite with that code point, nil if there is none.
func ByID(id ID) *Suite {
	switch id {
	case AES128GCM:
		return aes128GCM
	case AES256GCM:
		return aes256GCM
	case ChaCha20Poly1305:
		return chaCha
	}
	return nil
}

// All returns the code points of all suites, in the order of the RFC.
func All() []ID { return []ID{AES128GCM, AES256GCM, ChaCha20Poly1305} }

// Preferred returns the code points of all suites in the order of preference: AES
// comes first where this machine has hardware for it, else ChaCha20.
func Preferred() []ID {
	if hasAES() {
		return []ID{AES128GCM, AES256GCM, ChaCha20Poly1305}
	}
	return []ID{ChaCha20Poly1305, AES128GCM, AES256GCM}
}

// NewHash returns a new hash of the suite's key schedule.
func (s *Suite) NewHash() hash.Hash { return s.newHash() }

// NewKeys returns the AEAD for key, with its iv. It copies what it needs: the
// caller wipes key and iv, and scrubs what this leaves behind (volatile.DoPinned). It
// panics if their lengths are wrong.
func (s *Suite) NewKeys(key, iv []byte) *Keys {
	if len(key) != s.KeyLen || len(iv) != NonceLen {
		panic("suite: key or IV of a wrong length")
	}
	aead, err := s.newAEAD(key)
	if err != nil {
		panic(err) // The length is right.
	}
	return &Keys{Suite: s, AEAD: aead, IV: [NonceLen]byte(iv)}
}

// Keys is what protects the records of one direction of an epoch: an AEAD under
// one key, and the IV of its nonces.
type Keys struct {
	Suite *Suite
	AEAD  cipher.AEAD
	IV    [NonceLen]byte
}

// Nonce sets dst to the nonce of the record with sequence number seq: RFC 9846,
// Section 5.3.
func (k *Keys) Nonce(dst *[NonceLen]byte, seq uint64) {
	*dst = k.IV
	for i := range 8 {
		dst[NonceLen-1-i] ^= byte(seq >> (8 * i))
	}
}

// Wipe destroys the AEAD's state and the IV. It may be called again, and on nil.
// Afterwards AEAD is nil.
func (k *Keys) Wipe() {
	if k == nil {
		return
	}
	volatile.WipeFlat(k.AEAD)
	k.AEAD = nil
	volatile.Wipe(k.IV[:])
}

// newGCM returns AES-GCM. It has a copy of the block cipher's round keys, so the
// block cipher is wiped at once.
func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	defer volatile.WipeFlat(block)
	return cipher.NewGCM(block)
}

func hasAES() bool {
	return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ && cpu.X86.HasSSE41 && cpu.X86.HasSSSE3 ||
		cpu.ARM64.HasAES && cpu.ARM64.HasPMULL ||
		cpu.S390X.HasAES && cpu.S390X.HasAESGCM
}
