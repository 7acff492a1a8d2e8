// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// A CertificateRequest is that of RFC 9846, Section 4.4.2.
type CertificateRequest struct {
	Context                 []byte
	SignatureAlgorithms     []uint16
	SignatureAlgorithmsCert []uint16
	CertificateAuthorities  [][]byte
	StatusRequest, SCT      bool
	CompressCertificate     []uint16

	Other      []Extension
	Extensions []ExtensionType
}

// Has reports whether the extension came with the message.
func (m *CertificateRequest) Has(t ExtensionType) bool { return slices.Contains(m.Extensions, t) }

// ParseCertificateRequest parses a whole message.
func ParseCertificateRequest(raw []byte) (*CertificateRequest, error) {
	s, err := body(raw, CertificateRequestType)
	if err != nil {
		return nil, err
	}
	m := new(CertificateRequest)
	if !s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.Context)) {
		return nil, errDecode(CertificateRequestType)
	}
	if m.Extensions, err = readExtensions(&s, CertificateRequestType, m.parseExtension); err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, errDecode(CertificateRequestType)
	}
	return m, nil
}

func (m *CertificateRequest) parseExtension(t ExtensionType, s cryptobyte.String) (bool, error) {
	switch t {
	case ExtSignatureAlgorithms:
		return readUint16s(s, &m.SignatureAlgorithms), nil
	case ExtSignatureAlgorithmsCert:
		return readUint16s(s, &m.SignatureAlgorithmsCert), nil
	case ExtCertificateAuthorities:
		return readOpaques(s, &m.CertificateAuthorities), nil
	case ExtStatusRequest: // RFC 9846, Section 4.5.1.1: empty
		m.StatusRequest = true
		return s.Empty(), nil
	case ExtSCT:
		m.SCT = true
		return s.Empty(), nil
	case ExtCompressCertificate:
		return readShortUint16s(s, &m.CompressCertificate), nil
	}
	m.Other = append(m.Other, Extension{t, s})
	return true, nil
}

// Marshal returns the whole message; nil where its lengths have no room for it.
func (m *CertificateRequest) Marshal() []byte {
	order := m.Extensions
	if order == nil {
		add := func(present bool, t ExtensionType) {
			if present {
				order = append(order, t)
			}
		}
		add(m.SignatureAlgorithms != nil, ExtSignatureAlgorithms)
		add(m.SignatureAlgorithmsCert != nil, ExtSignatureAlgorithmsCert)
		add(m.CertificateAuthorities != nil, ExtCertificateAuthorities)
		add(m.StatusRequest, ExtStatusRequest)
		add(m.SCT, ExtSCT)
		add(m.CompressCertificate != nil, ExtCompressCertificate)
		order = otherTypes(order, m.Other)
	}
	return marshal(CertificateRequestType, func(b *builder) {
		addUint8s(b, m.Context)
		addExtensions(b, order, m.putExtension)
	})
}

func (m *CertificateRequest) putExtension(b *builder, t ExtensionType) {
	switch t {
	case ExtStatusRequest, ExtSCT:
	case ExtSignatureAlgorithms:
		addUint16s(b, m.SignatureAlgorithms)
	case ExtSignatureAlgorithmsCert:
		addUint16s(b, m.SignatureAlgorithmsCert)
	case ExtCertificateAuthorities:
		addOpaques(b, m.CertificateAuthorities)
	case ExtCompressCertificate:
		addShortUint16s(b, m.CompressCertificate)
	default:
		putOther(b, m.Other, t)
	}
}
