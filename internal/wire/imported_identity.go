// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import "golang.org/x/crypto/cryptobyte"

// The TLS KDF Identifiers of RFC 9258, Section 10.
const (
	KDFSHA256 = 0x0001
	KDFSHA384 = 0x0002
)

// An ImportedIdentity is that of RFC 9258, Section 5.1. Its encoding is what a
// client sends as the identity of an external pre-shared key that it has imported.
type ImportedIdentity struct {
	External []byte
	Context  []byte
	Protocol uint16 // the version of TLS that the key is imported for
	KDF      uint16
}

// ParseImportedIdentity parses the identity of a key. It reports whether it is an
// ImportedIdentity: one that is not may well be the name of another key.
func ParseImportedIdentity(identity []byte) (*ImportedIdentity, bool) {
	id, s := new(ImportedIdentity), cryptobyte.String(identity)
	ok := s.ReadUint16LengthPrefixed((*cryptobyte.String)(&id.External)) && len(id.External) > 0 &&
		s.ReadUint16LengthPrefixed((*cryptobyte.String)(&id.Context)) &&
		s.ReadUint16(&id.Protocol) && s.ReadUint16(&id.KDF) && s.Empty()
	return id, ok
}

// Marshal returns the identity of the key, nil if a part of it is too long.
func (id *ImportedIdentity) Marshal() []byte {
	b := new(builder)
	addOpaque(b, id.External)
	addOpaque(b, id.Context)
	b.AddUint16(id.Protocol)
	b.AddUint16(id.KDF)
	return b.bytes()
}

// A RoleContext is the context of an ImportedIdentity that says which client and
// which server a key is for, in the form of RFC 9258, Appendix B. No name is empty.
type RoleContext struct{ Client, Server []byte }

// ParseRoleContext parses a context. It reports whether it is a RoleContext.
func ParseRoleContext(context []byte) (*RoleContext, bool) {
	c, s := new(RoleContext), cryptobyte.String(context)
	ok := s.ReadUint8LengthPrefixed((*cryptobyte.String)(&c.Client)) && len(c.Client) > 0 &&
		s.ReadUint8LengthPrefixed((*cryptobyte.String)(&c.Server)) && len(c.Server) > 0 && s.Empty()
	return c, ok
}

// Marshal returns the context, nil if a name is too long.
func (c *RoleContext) Marshal() []byte {
	b := new(builder)
	addUint8s(b, c.Client)
	addUint8s(b, c.Server)
	return b.bytes()
}
