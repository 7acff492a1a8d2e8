// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"net/netip"

	"golang.org/x/crypto/cryptobyte"
)

// The longest that a name and one of its labels may be in the DNS (RFC 1035,
// Section 2.3.4), where the name ends without a dot.
const (
	maxHostName = 253
	maxLabel    = 63
)

// parseServerName reads the one host name of RFC 6066, Section 3. A list with a name of
// another type is malformed, as the syntax of such a name is unknown. A name that is no
// host name (an address, a U-label, a port, a wildcard, a final dot) is read as absent:
// clients in use send such names, and no server could be chosen by one.
func (m *ClientHello) parseServerName(s cryptobyte.String) bool {
	var list, name cryptobyte.String
	var kind uint8
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() ||
		!list.ReadUint8(&kind) || kind != 0 || !list.ReadUint16LengthPrefixed(&name) || name.Empty() || !list.Empty() {
		return false
	}
	if isHostName(string(name)) {
		m.ServerName = string(name)
	} else {
		m.ignoredServerName = string(name)
	}
	return true
}

// isHostName reports whether name has the shape of a DNS name in ASCII, without
// the final dot that RFC 6066 forbids. It is as lenient as resolvers are: labels
// may hold underscores and begin with a hyphen. An IPv4 address is no host name.
func isHostName(name string) bool {
	if len(name) > maxHostName {
		return false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.' && label > 0:
			label = 0
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		default:
			return false
		}
		if label > maxLabel {
			return false
		}
	}
	_, err := netip.ParseAddr(name)
	return label > 0 && err != nil
}

func putServerName(b *builder, name string) {
	b.AddUint16LengthPrefixed(func(b *builder) {
		b.AddUint8(0)
		addOpaque(b, []byte(name))
	})
}
