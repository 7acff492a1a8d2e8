// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package trust reads what a program trusts: pins, the names of hosts, and the files that
// list both. It must not know connections or handshakes.
package trust

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

const pinPrefix = "sha256//"

// ParsePin reads what FormatPin writes, and nothing else.
func ParsePin(s string) (pin [sha256.Size]byte, ok bool) {
	encoded, ok := strings.CutPrefix(s, pinPrefix)
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if copy(pin[:], decoded); !ok || err != nil || FormatPin(pin) != s {
		return [sha256.Size]byte{}, false
	}
	return pin, true
}

// FormatPin returns "sha256//" and the hash of a public key in base64, as curl
// --pinnedpubkey takes it.
func FormatPin(pin [sha256.Size]byte) string {
	return pinPrefix + base64.StdEncoding.EncodeToString(pin[:])
}
