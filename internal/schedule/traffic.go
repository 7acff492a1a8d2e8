// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package schedule

import (
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// Traffic is the traffic secret of one direction.
type Traffic struct {
	suite      *suite.Suite
	secret     *volatile.Secret
	generation uint64
}

// ContinueTraffic returns a secret of the given generation, which was another process's
// before. It takes ownership of it.
func ContinueTraffic(s *suite.Suite, secret *volatile.Secret, generation uint64) *Traffic {
	return &Traffic{suite: s, secret: secret, generation: generation}
}

// Keys returns the traffic keys: RFC 9846, Section 7.3. The caller owns them.
func (t *Traffic) Keys() (keys *suite.Keys) {
	t.derive(func(k *kdf) {
		key, iv := k.scratch[:t.suite.KeyLen], k.scratch[t.suite.KeyLen:][:suite.NonceLen]
		k.expandLabel(key, "key", nil)
		k.expandLabel(iv, "iv", nil)
		keys = t.suite.NewKeys(key, iv)
		volatile.Wipe(k.scratch[:])
	})
	return keys
}

// Finished returns the verify_data of the sender that this secret belongs to: RFC
// 9846, Section 4.5.3.
func (t *Traffic) Finished(th []byte) (verifyData []byte) {
	t.derive(func(k *kdf) { verifyData = k.verifyData(th) })
	return verifyData
}

// Update replaces the secret of generation N by that of N+1, and wipes the old one:
// RFC 9846, Section 7.2.
func (t *Traffic) Update() {
	next := volatile.New(t.suite.HashLen)
	t.derive(func(k *kdf) { k.expandLabel(next.Bytes(), "traffic upd", nil) })
	t.secret.Wipe()
	t.secret = next
	t.generation++
}

// Generation returns how many times the secret was updated.
func (t *Traffic) Generation() uint64 { return t.generation }

// Secret lends the secret, for the key log and for handing it on.
func (t *Traffic) Secret() []byte { return t.secret.Bytes() }

// Wipe destroys the secret. It may be called again, and on nil.
func (t *Traffic) Wipe() {
	if t != nil {
		t.secret.Wipe()
	}
}

func (t *Traffic) derive(f func(k *kdf)) { derive(t.suite, mustHave(t.secret), f) }
