// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package schedule

import (
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// Import returns the PSK that an external one, epsk, gives for an ImportedIdentity:
// RFC 9258, Section 5.1. s has the hash that epsk goes with, target the one that the
// PSK will go with, which need not be the same. The caller owns the PSK.
func Import(s *suite.Suite, epsk, identity []byte, target *suite.Suite) *volatile.Secret {
	h := s.NewHash()
	h.Write(identity)
	identityHash := h.Sum(nil)
	psk := volatile.New(target.HashLen)
	run(s, func(k *kdf) {
		extracted := k.extract(nil, epsk)
		k.setKey(extracted.Bytes())
		k.expandLabel(psk.Bytes(), "derived psk", identityHash)
		k.release()
		extracted.Wipe()
	})
	return psk
}
