// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"
)

// circl's ML-KEM. Of what it computes, its keys alone are on the heap.
var (
	circl768 = kem{
		publicLen: mlkem768.PublicKeySize, ciphertextLen: mlkem768.CiphertextSize, randomLen: messageLen,
		expand:    func(seed []byte) (encapsulationKey, decapsulationKey) { return mlkem768.NewKeyFromSeed(seed) },
		newPublic: func() encapsulationKey { return new(mlkem768.PublicKey) },
	}
	circl1024 = kem{
		publicLen: mlkem1024.PublicKeySize, ciphertextLen: mlkem1024.CiphertextSize, randomLen: messageLen,
		expand:    func(seed []byte) (encapsulationKey, decapsulationKey) { return mlkem1024.NewKeyFromSeed(seed) },
		newPublic: func() encapsulationKey { return new(mlkem1024.PublicKey) },
	}
)
