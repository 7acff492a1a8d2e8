// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import "golang.org/x/crypto/cryptobyte"

// A Certificate is that of RFC 9846, Section 4.5.1.
type Certificate struct {
	Context []byte
	Entries []CertificateEntry
}

// A CertificateEntry holds one certificate, or the SubjectPublicKeyInfo of a raw
// public key (RFC 7250).
type CertificateEntry struct {
	Data         []byte
	OCSPResponse []byte
	SCTs         [][]byte

	Other      []Extension
	Extensions []ExtensionType
}

// ParseCertificate parses a whole message.
func ParseCertificate(raw []byte) (*Certificate, error) {
	s, err := body(raw, CertificateType)
	if err != nil {
		return nil, err
	}
	m := new(Certificate)
	var list cryptobyte.String
	if !s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.Context)) ||
		!s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return nil, errDecode(CertificateType)
	}
	for !list.Empty() {
		var e CertificateEntry
		if !list.ReadUint24LengthPrefixed((*cryptobyte.String)(&e.Data)) || len(e.Data) == 0 {
			return nil, errDecode(CertificateType)
		}
		if e.Extensions, err = readExtensions(&list, CertificateType, e.parseExtension); err != nil {
			return nil, err
		}
		m.Entries = append(m.Entries, e)
	}
	return m, nil
}

func (e *CertificateEntry) parseExtension(t ExtensionType, s cryptobyte.String) (bool, error) {
	switch t {
	case ExtStatusRequest:
		return e.parseStatus(s), nil
	case ExtSCT:
		return readOpaques(s, &e.SCTs), nil
	}
	e.Other = append(e.Other, Extension{t, s})
	return true, nil
}

// Marshal returns the whole message; nil where its lengths have no room for it.
func (m *Certificate) Marshal() []byte {
	return marshal(CertificateType, func(b *builder) {
		addUint8s(b, m.Context)
		b.AddUint24LengthPrefixed(func(b *builder) {
			for i := range m.Entries {
				m.Entries[i].marshal(b)
			}
		})
	})
}

func (e *CertificateEntry) marshal(b *builder) {
	order := e.Extensions
	if order == nil {
		if e.OCSPResponse != nil {
			order = append(order, ExtStatusRequest)
		}
		if e.SCTs != nil {
			order = append(order, ExtSCT)
		}
		order = otherTypes(order, e.Other)
	}
	b.AddUint24LengthPrefixed(func(b *builder) { b.AddBytes(e.Data) })
	addExtensions(b, order, func(b *builder, t ExtensionType) {
		switch t {
		case ExtStatusRequest:
			e.putStatus(b)
		case ExtSCT:
			addOpaques(b, e.SCTs)
		default:
			putOther(b, e.Other, t)
		}
	})
}
