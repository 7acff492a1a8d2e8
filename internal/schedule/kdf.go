// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package schedule

import (
	"crypto/fips140"
	stdhkdf "crypto/hkdf"
	"crypto/hmac"
	"crypto/sha512"
	"hash"
	"sync"

	"golang.org/x/crypto/hkdf"

	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A kdf runs HKDF and HMAC so that nothing of their keys and results stays behind
// in memory: the hashes that they use are its own, and through them it sees the
// other places where they keep secrets. It is not safe for concurrent use.
type kdf struct {
	suite   *suite.Suite
	fips    bool             // HKDF-Expand is that of crypto/hkdf
	newHash func() hash.Hash // lends hashes until release
	hashes  [3]lentHash      // HMAC takes two, crypto/hkdf one more for its size
	lent    int
	fresh   hash.Hash

	secret []byte    // the key that was set last, until release
	mac    hash.Hash // HMAC with that key, but in FIPS 140-3 mode
	used   bool      // mac was, and needs Reset

	sum     [sha512.Size]byte // what Sum(nil) of a lent hash returns
	block   [sha512.Size]byte // of HKDF's output
	scratch [sha512.Size]byte // for what is derived and used at once
	label   []byte            // the HkdfLabel, no secret

	empty []byte // the transcript hash of no messages

	// What the schedule gives without a PSK, which is no secret: the Early Secret, and the
	// salt of the Handshake Secret.
	early, salt []byte
}

// zeros is the "0" of RFC 9846, Section 7.1.
var zeros [sha512.Size]byte

// kdfs are those of either hash that are not in use. They hold no secret.
var kdfs [2]sync.Pool

// pool returns that of the suite's hash.
func pool(s *suite.Suite) *sync.Pool {
	if s.HashLen == sha512.Size384 {
		return &kdfs[1]
	}
	return &kdfs[0]
}

// borrow returns a kdf that giveBack takes back. It may take a lock, which is not
// allowed within volatile.DoPinned.
func borrow(s *suite.Suite) *kdf {
	k, ok := pool(s).Get().(*kdf)
	if !ok {
		k = newKDF(s)
	}
	k.suite = s
	return k
}

func (k *kdf) giveBack() { pool(k.suite).Put(k) }

func newKDF(s *suite.Suite) *kdf {
	k := &kdf{suite: s, fips: fips140.Enabled(), fresh: s.NewHash(), label: make([]byte, 0, 80)}
	for i := range k.hashes {
		k.hashes[i] = lentHash{Hash: s.NewHash(), kdf: k}
	}
	k.newHash = k.lend
	k.empty = k.fresh.Sum(nil)
	k.early, k.salt = k.extract(nil, nil).Bytes(), make([]byte, s.HashLen)
	k.setKey(k.early)
	k.expandLabel(k.salt, "derived", k.empty)
	k.release()
	return k
}

// extract is HKDF-Extract. A nil salt or ikm is a string of zeros. There is no key
// afterwards.
func (k *kdf) extract(salt, ikm []byte) *volatile.Secret {
	if salt == nil {
		salt = zeros[:k.suite.HashLen]
	}
	if ikm == nil {
		ikm = zeros[:k.suite.HashLen]
	}
	k.release()
	out := volatile.New(k.suite.HashLen)
	copy(out.Bytes(), hkdf.Extract(k.newHash, ikm, salt))
	k.release()
	return out
}

// setKey sets the key of expandLabel and verifyData until release. secret must not change
// before.
func (k *kdf) setKey(secret []byte) {
	k.release()
	k.secret = secret
	if !k.fips {
		k.mac = hmac.New(k.newHash, secret)
	}
}

// expandLabel is HKDF-Expand-Label of RFC 9846, Section 7.1, with the key, into all of
// out.
func (k *kdf) expandLabel(out []byte, label string, context []byte) {
	k.label = append(k.label[:0], byte(len(out)>>8), byte(len(out)))
	k.label = append(k.label, byte(len("tls13 ")+len(label)))
	k.label = append(k.label, "tls13 "...)
	k.label = append(k.label, label...)
	k.label = append(k.label, byte(len(context)))
	k.label = append(k.label, context...)
	if k.fips {
		k.expandStandard(out, k.label)
	} else {
		k.expand(out, k.label)
	}
}

// expand is HKDF-Expand (RFC 5869, Section 2.3). What the packages of that name have
// computes HMAC's pads again for each output.
func (k *kdf) expand(out, info []byte) {
	var previous []byte
	info = append(info, 0)
	counter := &info[len(info)-1]
	for len(out) > 0 {
		if *counter++; *counter == 0 {
			panic("schedule: more than 255 blocks of HKDF") // which no caller asks for
		}
		if k.used {
			k.mac.Reset()
		}
		k.used = true
		k.mac.Write(previous)
		k.mac.Write(info)
		previous = k.mac.Sum(k.block[:0])
		out = out[copy(out, previous):]
	}
}

// expandStandard is HKDF-Expand by crypto/hkdf.
func (k *kdf) expandStandard(out, info []byte) {
	okm, err := stdhkdf.Expand(k.newHash, k.secret, string(info), len(out))
	if err != nil {
		panic(err) // No caller asks for more than 255 blocks.
	}
	copy(out, okm)
	volatile.Wipe(okm)
	k.takeBack()
}

// deriveSecret is Derive-Secret of RFC 9846, Section 7.1, with the key, of the messages
// whose transcript hash is th.
func (k *kdf) deriveSecret(label string, th []byte) *volatile.Secret {
	out := volatile.New(k.suite.HashLen)
	k.expandLabel(out.Bytes(), label, th)
	return out
}

// verifyData is the verify_data of RFC 9846, Section 4.5.3, with the key as the base key.
// There is no key afterwards.
func (k *kdf) verifyData(th []byte) []byte {
	finishedKey := k.scratch[:k.suite.HashLen]
	k.expandLabel(finishedKey, "finished", nil)
	k.release()
	mac := hmac.New(k.newHash, finishedKey)
	mac.Write(th)
	verifyData := mac.Sum(make([]byte, 0, k.suite.HashLen))
	k.release()
	volatile.Wipe(finishedKey)
	return verifyData
}

// next returns the stage after that of the key, to which ikm is added. There is no key
// afterwards.
func (k *kdf) next(ikm []byte) stage {
	salt := k.scratch[:k.suite.HashLen]
	k.expandLabel(salt, "derived", k.empty)
	secret := k.extract(salt, ikm)
	volatile.Wipe(salt)
	return stage{k.suite, secret}
}

func (k *kdf) traffic(label string, th []byte) Traffic {
	return Traffic{suite: k.suite, secret: k.deriveSecret(label, th)}
}

func (k *kdf) exporter(label string, th []byte) Exporter {
	return Exporter{suite: k.suite, secret: k.deriveSecret(label, th)}
}

func (k *kdf) lend() hash.Hash {
	h := &k.hashes[k.lent]
	k.lent++
	return h
}

// release wipes all that is left of the key and of what was derived.
func (k *kdf) release() {
	k.takeBack()
	k.secret, k.mac, k.used = nil, nil, false
}

// takeBack wipes the hashes that were lent, and takes them back.
func (k *kdf) takeBack() {
	for i := range k.hashes[:k.lent] {
		h := &k.hashes[i]
		volatile.Wipe(h.pad)
		h.pad, h.written = nil, false
		volatile.Restore(h.Hash, k.fresh)
	}
	k.lent = 0
	volatile.Wipe(k.sum[:])
	volatile.Wipe(k.block[:])
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
