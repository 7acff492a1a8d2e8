// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package schedule

import (
	"crypto/hmac"
	"crypto/sha512"
	"hash"

	"golang.org/x/crypto/hkdf"

	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A kdf runs HKDF and HMAC so that nothing of their keys and results stays behind
// in memory: the hashes that they use are its own, and through them it sees the
// other places where they keep secrets. It is not safe for concurrent use.
type kdf struct {
	suite   *suite.Suite
	newHash func() hash.Hash // lends hashes until release
	hashes  [2]lentHash      // HMAC takes two
	lent    int
	fresh   hash.Hash
	sum     [sha512.Size]byte // what Sum(nil) of a lent hash returns
	scratch [sha512.Size]byte // for what is derived and used at once
	label   []byte            // the HkdfLabel, no secret
}

// zeros is the "0" of RFC 9846, Section 7.1.
var zeros [sha512.Size]byte

func newKDF(s *suite.Suite) *kdf {
	k := &kdf{suite: s, fresh: s.NewHash(), label: make([]byte, 0, 80)}
	for i := range k.hashes {
		k.hashes[i] = lentHash{Hash: s.NewHash(), kdf: k}
	}
	k.newHash = k.lend
	return k
}

// extract is HKDF-Extract. A nil salt or ikm is a string of zeros.
func (k *kdf) extract(salt, ikm []byte) *volatile.Secret {
	if salt == nil {
		salt = zeros[:k.suite.HashLen]
	}
	if ikm == nil {
		ikm = zeros[:k.suite.HashLen]
	}
	defer k.release()
	out := volatile.New(k.suite.HashLen)
	copy(out.Bytes(), hkdf.Extract(k.newHash, ikm, salt))
	return out
}

// expandLabel is HKDF-Expand-Label of RFC 9846, Section 7.1, into all of out.
func (k *kdf) expandLabel(out, secret []byte, label string, context []byte) {
	k.label = append(k.label[:0], byte(len(out)>>8), byte(len(out)))
	k.label = append(k.label, byte(len("tls13 ")+len(label)))
	k.label = append(k.label, "tls13 "...)
	k.label = append(k.label, label...)
	k.label = append(k.label, byte(len(context)))
	k.label = append(k.label, context...)
	defer k.release()
	if _, err := hkdf.Expand(k.newHash, secret, k.label).Read(out); err != nil {
		panic(err) // No caller asks for more than 255 hashes.
	}
}

// deriveSecret is Derive-Secret of RFC 9846, Section 7.1, of the messages whose
// transcript hash is th.
func (k *kdf) deriveSecret(secret []byte, label string, th []byte) *volatile.Secret {
	out := volatile.New(k.suite.HashLen)
	k.expandLabel(out.Bytes(), secret, label, th)
	return out
}

// verifyData is the verify_data of RFC 9846, Section 4.5.3.
func (k *kdf) verifyData(baseKey, th []byte) []byte {
	finishedKey := k.scratch[:k.suite.HashLen]
	defer volatile.Wipe(finishedKey)
	k.expandLabel(finishedKey, baseKey, "finished", nil)
	defer k.release()
	mac := hmac.New(k.newHash, finishedKey)
	mac.Write(th)
	return mac.Sum(make([]byte, 0, k.suite.HashLen))
}

// emptyHash is the transcript hash of no messages.
func (k *kdf) emptyHash() []byte { return k.fresh.Sum(nil) }

func (k *kdf) lend() hash.Hash {
	h := &k.hashes[k.lent]
	k.lent++
	return h
}

// release wipes the hashes that were lent, and takes them back.
func (k *kdf) release() {
	for i := range k.hashes[:k.lent] {
		h := &k.hashes[i]
		volatile.Wipe(h.pad)
		h.pad, h.written = nil, false
		volatile.Restore(h.Hash, k.fresh)
	}
	k.lent = 0
	volatile.Wipe(k.sum[:])
}

// A lentHash is a hash that crypto/hmac and x/crypto/hkdf use. It hides that the
// hash can be marshaled: crypto/hmac would keep its state.
type lentHash struct {
	hash.Hash
	kdf     *kdf
	written bool   // since the last Reset
	pad     []byte // crypto/hmac's own copy of the key, XORed with ipad or opad
}

// Write keeps hold of the first block, which is where crypto/hmac writes a pad.
func (h *lentHash) Write(p []byte) (int, error) {
	if !h.written && len(p) == h.BlockSize() {
		h.pad = p
	}
	h.written = true
	return h.Hash.Write(p)
}

func (h *lentHash) Reset() {
	h.written = false
	h.Hash.Reset()
}

// Sum appends the hash to b, or puts it where it will be wiped if b has no room.
func (h *lentHash) Sum(b []byte) []byte {
	if b == nil {
		b = h.kdf.sum[:0]
	}
	return h.Hash.Sum(b)
}
