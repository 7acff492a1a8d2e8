// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import "golang.org/x/crypto/cryptobyte"

// A CompressedCertificate is that of RFC 8879, Section 4.
type CompressedCertificate struct {
	Algorithm          uint16
	UncompressedLength uint32
	Data               []byte
}

// ParseCompressedCertificate parses a whole message.
func ParseCompressedCertificate(raw []byte) (*CompressedCertificate, error) {
	s, err := body(raw, CompressedCertificateType)
	if err != nil {
		return nil, err
	}
	m := new(CompressedCertificate)
	if !s.ReadUint16(&m.Algorithm) || !s.ReadUint24(&m.UncompressedLength) ||
		!s.ReadUint24LengthPrefixed((*cryptobyte.String)(&m.Data)) || len(m.Data) == 0 || !s.Empty() {
		return nil, errDecode(CompressedCertificateType)
	}
	return m, nil
}

// Marshal returns the whole message; nil where its lengths have no room for it.
func (m *CompressedCertificate) Marshal() []byte {
	return marshal(CompressedCertificateType, func(b *builder) {
		b.AddUint16(m.Algorithm)
		b.AddUint24(m.UncompressedLength)
		b.AddUint24LengthPrefixed(func(b *builder) { b.AddBytes(m.Data) })
	})
}
