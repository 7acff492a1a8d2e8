// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"crypto/ed25519"
	"encoding/hex"
)

// lowOrder reports whether an Ed25519 public key is a point of small order. Such a
// key has signatures that need no private key, so that a CertificateVerify under
// it proves nothing. Verification after RFC 8032 does not refuse it.
func lowOrder(key ed25519.PublicKey) bool {
	if len(key) != ed25519.PublicKeySize {
		return true
	}
	var text [2 * ed25519.PublicKeySize]byte
	y := [ed25519.PublicKeySize]byte(key)
	y[31] &= 0x7f // the sign of x
	hex.Encode(text[:], y[:])
	switch string(text[:]) {
	case "0100000000000000000000000000000000000000000000000000000000000000", // order 1
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // again, as p + 1
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
		"0000000000000000000000000000000000000000000000000000000000000000", // order 4
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // again, as p
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a": // order 8
		return true
	}
	return false
}
