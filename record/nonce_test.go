// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/suite"
)

// watched is an AEAD that keeps the nonces it was given.
type watched struct {
	cipher.AEAD
	nonces *[][suite.NonceLen]byte
}

func (w *watched) Seal(dst, nonce, plain, header []byte) []byte {
	*w.nonces = append(*w.nonces, [suite.NonceLen]byte(nonce))
	return w.AEAD.Seal(dst, nonce, plain, header)
}

func (w *watched) Open(dst, nonce, fragment, header []byte) ([]byte, error) {
	*w.nonces = append(*w.nonces, [suite.NonceLen]byte(nonce))
	return w.AEAD.Open(dst, nonce, fragment, header)
}

// watch keeps the nonces that keys are used with.
func watch(keys *suite.Keys) *[][suite.NonceLen]byte {
	nonces := new([][suite.NonceLen]byte)
	keys.AEAD = &watched{keys.AEAD, nonces}
	return nonces
}

// nonceOf is RFC 9846, Section 5.3, written once more.
func nonceOf(iv [suite.NonceLen]byte, seq uint64) [suite.NonceLen]byte {
	last := binary.BigEndian.Uint64(iv[suite.NonceLen-8:])
	binary.BigEndian.PutUint64(iv[suite.NonceLen-8:], last^seq)
	return iv
}

// TestNonces drives a key from its beginning and to its end, through everything
// that seals and everything that is refused, and looks at each nonce.
func TestNonces(t *testing.T) {
	t.Parallel()
	for _, id := range suite.All() {
		for _, start := range []uint64{0, 1<<24 - 2, suite.ByID(id).Limit - Reserve - 4} {
			sealer, opener := pair(t, id)
			iv := sealer.keys.IV
			sealed, opened := watch(sealer.keys), watch(opener.keys)
			sealer.seq, opener.seq = start, start
			sealer.SetLimit(64)
			for range Reserve + 9 {
				for _, n := range []int{0, 100, 1} {
					b, err := sealer.Seal(nil, ApplicationData, make([]byte, n))
					if err != nil && (!errors.Is(err, ErrLimit) || len(b) != 0) {
						t.Fatal(err)
					}
					openAll(t, opener, b)
				}
				if sealer.Remaining() > 0 {
					continue
				}
				b, _ := sealer.SealReserved(nil, Handshake, make([]byte, 100)) // two records, or none
				openAll(t, opener, b)
				b, _ = sealer.SealReserved(nil, Alert, []byte{1, 0})
				openAll(t, opener, b)
			}
			if len(*sealed) < Reserve+4 || len(*opened) != len(*sealed) {
				t.Fatalf("%v from %d: %d records sealed, %d opened", id, start, len(*sealed), len(*opened))
			}
			for i := range *sealed {
				if want := nonceOf(iv, start+uint64(i)); (*sealed)[i] != want || (*opened)[i] != want {
					t.Fatalf("%v, record %d: sealed under %x, opened under %x, want %x", id, start+uint64(i), (*sealed)[i], (*opened)[i], want)
				}
			}
			if sealer.seq > suite.ByID(id).Limit || sealer.seq < start {
				t.Errorf("%v: the sequence number is %d, the limit %d", id, sealer.seq, suite.ByID(id).Limit)
			}
		}
	}
}

func openAll(t *testing.T, o *Opener, b []byte) {
	t.Helper()
	for _, r := range split(t, b) {
		if _, _, err := o.Open(r); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAllOrNothing asks for more records than a key has left: none is made, of the
// reserve neither.
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	for _, id := range suite.All() {
		sealer, _ := pair(t, id)
		nonces := watch(sealer.keys)
		sealer.SetLimit(64)
		dst := []byte("before")
		for _, left := range []uint64{0, 1, 2} {
			sealer.seq = sealer.keys.Suite.Limit - Reserve - left
			b, err := sealer.Seal(dst, ApplicationData, make([]byte, 63*3))
			if !errors.Is(err, ErrLimit) || string(b) != "before" || sealer.Remaining() != left {
				t.Errorf("%v, %d left: %q, %v, then %d left", id, left, b, err, sealer.Remaining())
			}
			sealer.seq = sealer.keys.Suite.Limit - left
			b, err = sealer.SealReserved(dst, Handshake, make([]byte, 63*3))
			if !errors.Is(err, ErrLimit) || string(b) != "before" {
				t.Errorf("%v, %d of the reserve left: %q, %v", id, left, b, err)
			}
		}
		if len(*nonces) != 0 {
			t.Errorf("%v: the key was used %d times", id, len(*nonces))
		}
	}
}

// TestOpenerKeepsCount shows that only a record that was opened counts, and that
// the last sequence number is never used.
func TestOpenerKeepsCount(t *testing.T) {
	t.Parallel()
	for _, inner := range [][]byte{nil, make([]byte, 40), {1, 20}, {1, 99}, {22}, {21, 0}, append(make([]byte, MaxPlaintext+1), 23)} {
		sealer, opener := pair(t, suite.AES256GCM)
		record := protect(sealer, inner)
		_, content, err := opener.Open(record)
		if err == nil || content != nil || opener.Records() != 0 {
			t.Errorf("%d bytes inside: %v, %d records", len(inner), err, opener.Records())
		}
		for _, b := range record[HeaderLen : HeaderLen+len(inner)] {
			if b != 0 {
				t.Fatalf("%d bytes inside: refused, and left in the clear", len(inner))
			}
		}
	}
	sealer, opener := pair(t, suite.AES128GCM)
	sealer.seq, opener.seq = math.MaxUint64, math.MaxUint64
	nonces := watch(opener.keys)
	for range 3 {
		_, _, err := opener.Open(protect(sealer, []byte{1, 23}))
		if !errors.Is(err, ErrLimit) || alert.Of(err) != alert.InternalError {
			t.Error(err)
		}
	}
	if len(*nonces) != 0 || opener.seq != math.MaxUint64 {
		t.Errorf("the key was used %d times, at %d", len(*nonces), opener.seq)
	}
}

// TestKeysBeginAtZero is RFC 9846, Section 5.3: the first record under a key has
// the sequence number 0.
func TestKeysBeginAtZero(t *testing.T) {
	t.Parallel()
	sealer, opener := pair(t, suite.AES128GCM)
	for range 3 {
		b, err := sealer.Seal(nil, ApplicationData, make([]byte, 100))
		if err != nil {
			t.Fatal(err)
		}
		openAll(t, opener, b)
		s := suite.ByID(suite.ChaCha20Poly1305)
		keys, peer := s.NewKeys(make([]byte, s.KeyLen), make([]byte, suite.NonceLen)), s.NewKeys(make([]byte, s.KeyLen), make([]byte, suite.NonceLen))
		nonces, iv := watch(keys), keys.IV
		sealer.SetKeys(keys)
		opener.SetKeys(peer)
		if b, err = sealer.Seal(nil, ApplicationData, nil); err != nil {
			t.Fatal(err)
		}
		openAll(t, opener, b)
		if len(*nonces) != 1 || (*nonces)[0] != nonceOf(iv, 0) || sealer.Records() != 1 || opener.Records() != 1 {
			t.Errorf("the first nonce is %x, sealed %d, opened %d", *nonces, sealer.Records(), opener.Records())
		}
	}
}
