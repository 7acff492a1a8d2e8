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
	case ExtStatusRequest: // RFC 9846, Section 4.5.1.1
		var kind uint8
		return s.ReadUint8(&kind) && kind == 1 && s.ReadUint24LengthPrefixed((*cryptobyte.String)(&e.OCSPResponse)) &&
			len(e.OCSPResponse) > 0 && s.Empty(), nil
	case ExtSCT:
		return readSCTs(s, &e.SCTs), nil
	}
	e.Other = append(e.Other, Extension{t, s})
	return true, nil
}

// Marshal returns the whole message.
func (m *Certificate) Marshal() []byte {
	return marshal(CertificateType, func(b *cryptobyte.Builder) {
		addUint8s(b, m.Context)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			for i := range m.Entries {
				m.Entries[i].marshal(b)
			}
		})
	})
}

func (e *CertificateEntry) marshal(b *cryptobyte.Builder) {
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
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.Data) })
	addExtensions(b, order, func(b *cryptobyte.Builder, t ExtensionType) {
		switch t {
		case ExtStatusRequest:
			b.AddUint8(1)
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.OCSPResponse) })
		case ExtSCT:
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, sct := range e.SCTs {
					b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(sct) })
				}
			})
		default:
			putOther(b, e.Other, t)
		}
	})
}

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

// Marshal returns the whole message.
func (m *CompressedCertificate) Marshal() []byte {
	return marshal(CompressedCertificateType, func(b *cryptobyte.Builder) {
		b.AddUint16(m.Algorithm)
		b.AddUint24(m.UncompressedLength)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.Data) })
	})
}
