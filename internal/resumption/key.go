// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package resumption

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/mayfly-tls/mayfly/internal/policy"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A Key seals. Each seal has an AEAD key of its own, derived from the Key and from
// 32 random bytes, so that no nonce is ever used twice. It may be used, and wiped, by
// several goroutines at once: what is being sealed is sealed under the whole key.
type Key struct {
	name [nameLen]byte

	mu     sync.RWMutex
	secret *volatile.Secret
}

// KeyLen is the length of a Key's secret.
const KeyLen = 32

const (
	nameLen = 16
	saltLen = 32

	// Overhead is how much longer what is sealed is.
	Overhead = nameLen + saltLen + 16
)

// The errors of NewKey and Open.
var (
	ErrKey    = errors.New("a sealing key is made of 32 random bytes, of crypto/rand")
	ErrOpen   = errors.New("resumption: it was sealed under another key, or was altered")
	errRandom = errors.New("resumption: the source of randomness failed")
)

// sealer is the suite whose AEAD seals: ChaCha20-Poly1305, which takes the same time on every
// processor, or AES-256-GCM where only that is approved. What one of them has sealed, the
// other does not open.
func sealer() *suite.Suite {
	if policy.Restricted() {
		return suite.ByID(suite.AES256GCM)
	}
	return suite.ByID(suite.ChaCha20Poly1305)
}

// NewKey returns a key made of a secret, which is copied. One of which all bytes are
// the same is refused: somebody forgot to fill it.
func NewKey(secret []byte) (*Key, error) {
	if err := policy.Check(); err != nil {
		return nil, err
	}
	if len(secret) != KeyLen || bytes.Count(secret, secret[:1]) == KeyLen {
		return nil, ErrKey
	}
	k := &Key{secret: volatile.New(KeyLen)}
	copy(k.secret.Bytes(), secret)
	name := schedule.Expand(secret, "mayfly key name", nil, nameLen)
	copy(k.name[:], name.Bytes())
	return k, nil
}

// Seal returns text sealed for purpose. What is sealed for one service, any string,
// is not opened for another.
func (k *Key) Seal(random io.Reader, text []byte, purpose, service string) ([]byte, error) {
	out := make([]byte, nameLen+saltLen, len(text)+Overhead)
	copy(out, k.name[:])
	if _, err := io.ReadFull(random, out[nameLen:]); err != nil {
		return nil, errRandom
	}
	keys := k.derive(out[nameLen:], purpose)
	if keys == nil {
		return nil, ErrKey
	}
	defer keys.Wipe()
	volatile.DoPinned(func() { out = keys.AEAD.Seal(out, keys.IV[:], text, bound(out, service)) })
	return out, nil
}

// Mine reports whether sealed names this key.
func (k *Key) Mine(sealed []byte) bool { return bytes.HasPrefix(sealed, k.name[:]) }

// Open returns what was sealed for purpose and service.
func (k *Key) Open(sealed []byte, purpose, service string) (text *volatile.Secret, err error) {
	if len(sealed) < Overhead || !k.Mine(sealed) {
		return nil, ErrOpen
	}
	head, body := sealed[:nameLen+saltLen], sealed[nameLen+saltLen:]
	keys := k.derive(head[nameLen:], purpose)
	if keys == nil {
		return nil, ErrOpen
	}
	defer keys.Wipe()
	text = volatile.New(len(body))
	var opened []byte
	volatile.DoPinned(func() { opened, err = keys.AEAD.Open(text.Bytes()[:0], keys.IV[:], body, bound(head, service)) })
	if err != nil {
		text.Wipe()
		return nil, ErrOpen
	}
	return volatile.Take(opened), nil
}

// bound is what is authenticated beside the text.
func bound(head []byte, service string) []byte { return append(slices.Clone(head), service...) }

// derive makes the AEAD key of one seal; nil of a key that was wiped.
func (k *Key) derive(salt []byte, purpose string) (keys *suite.Keys) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.secret.Len() == 0 {
		return nil
	}
	key := schedule.Expand(k.secret.Bytes(), "mayfly "+purpose, salt, sealer().KeyLen)
	defer key.Wipe()
	volatile.DoPinned(func() { keys = sealer().NewKeys(key.Bytes(), make([]byte, suite.NonceLen)) })
	return keys
}

// Wipe destroys the key. It may be called again, and on nil.
func (k *Key) Wipe() {
	if k != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.secret.Wipe()
	}
}
