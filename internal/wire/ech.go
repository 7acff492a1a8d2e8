// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// An ECHOuter is the encrypted_client_hello of an outer ClientHello (RFC 9849, Section
// 5).
type ECHOuter struct {
	KDF, AEAD uint16 // of HPKE
	ConfigID  uint8
	Enc       []byte
	Payload   []byte
}

// Marshal returns the body of the extension, nil if a part of it is too long.
func (e *ECHOuter) Marshal() []byte {
	b := new(builder)
	b.AddUint8(0) // outer
	b.AddUint16(e.KDF)
	b.AddUint16(e.AEAD)
	b.AddUint8(e.ConfigID)
	addOpaque(b, e.Enc)
	addOpaque(b, e.Payload)
	return b.bytes()
}

// CheckECHConfigList judges the syntax of a server's encrypted_client_hello, which is a
// list of ECHConfigs (RFC 9849, Section 4).
func CheckECHConfigList(body []byte) error {
	malformed := alert.New(alert.DecodeError, "a malformed list of configurations for Encrypted ClientHello")
	s := cryptobyte.String(body)
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() || list.Empty() {
		return malformed
	}
	for !list.Empty() {
		var version uint16
		var config cryptobyte.String
		if !list.ReadUint16(&version) || !list.ReadUint16LengthPrefixed(&config) {
			return malformed
		}
	}
	return nil
}
