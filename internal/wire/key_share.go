// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import "golang.org/x/crypto/cryptobyte"

// A KeyShare is a KeyShareEntry of RFC 9846, Section 4.3.8.
type KeyShare struct {
	Group uint16
	Data  []byte
}

// parseKeyShares reads client_shares, which may be empty.
func (m *ClientHello) parseKeyShares(s cryptobyte.String) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() {
		return false
	}
	m.KeyShares = []KeyShare{}
	for !list.Empty() {
		var k KeyShare
		if !readKeyShare(&list, &k) {
			return false
		}
		m.KeyShares = append(m.KeyShares, k)
	}
	return true
}

func readKeyShare(s *cryptobyte.String, k *KeyShare) bool {
	return s.ReadUint16(&k.Group) && s.ReadUint16LengthPrefixed((*cryptobyte.String)(&k.Data)) && len(k.Data) > 0
}

func addKeyShare(b *builder, k KeyShare) {
	b.AddUint16(k.Group)
	addOpaque(b, k.Data)
}

func putKeyShares(b *builder, shares []KeyShare) {
	b.AddUint16LengthPrefixed(func(b *builder) {
		for _, k := range shares {
			addKeyShare(b, k)
		}
	})
}
