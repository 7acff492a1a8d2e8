// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import "golang.org/x/crypto/cryptobyte"

// A CertificateVerify is that of RFC 9846, Section 4.5.2.
type CertificateVerify struct {
	Scheme    uint16
	Signature []byte
}

// ParseCertificateVerify parses a whole message.
func ParseCertificateVerify(raw []byte) (*CertificateVerify, error) {
	s, err := body(raw, CertificateVerifyType)
	if err != nil {
		return nil, err
	}
	m := new(CertificateVerify)
	if !s.ReadUint16(&m.Scheme) || !s.ReadUint16LengthPrefixed((*cryptobyte.String)(&m.Signature)) || !s.Empty() {
		return nil, errDecode(CertificateVerifyType)
	}
	return m, nil
}

// Marshal returns the whole message; nil where its lengths have no room for it.
func (m *CertificateVerify) Marshal() []byte {
	return marshal(CertificateVerifyType, func(b *builder) {
		b.AddUint16(m.Scheme)
		addOpaque(b, m.Signature)
	})
}
