// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// EncryptedExtensions is that of RFC 9846, Section 4.4.1.
type EncryptedExtensions struct {
	ALPN            string
	ServerName      bool // the name was used
	SupportedGroups []uint16
	EarlyData       bool
	RecordSizeLimit uint16
	ClientCertType  *uint8
	ServerCertType  *uint8

	Other      []Extension
	Extensions []ExtensionType
}

// Has reports whether the extension came with the message.
func (m *EncryptedExtensions) Has(t ExtensionType) bool { return slices.Contains(m.Extensions, t) }

// ParseEncryptedExtensions parses a whole message.
func ParseEncryptedExtensions(raw []byte) (*EncryptedExtensions, error) {
	s, err := body(raw, EncryptedExtensionsType)
	if err != nil {
		return nil, err
	}
	m := new(EncryptedExtensions)
	if m.Extensions, err = readExtensions(&s, EncryptedExtensionsType, m.parseExtension); err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, errDecode(EncryptedExtensionsType)
	}
	return m, nil
}

func (m *EncryptedExtensions) parseExtension(t ExtensionType, s cryptobyte.String) (bool, error) {
	switch t {
	case ExtServerName:
		m.ServerName = true
		return s.Empty(), nil
	case ExtALPN:
		return m.parseALPN(s), nil
	case ExtSupportedGroups:
		return readUint16s(s, &m.SupportedGroups), nil
	case ExtEarlyData:
		m.EarlyData = true
		return s.Empty(), nil
	case ExtRecordSizeLimit:
		return readRecordSizeLimit(s, &m.RecordSizeLimit)
	case ExtClientCertificateType:
		m.ClientCertType = new(uint8)
		return s.ReadUint8(m.ClientCertType) && s.Empty(), nil
	case ExtServerCertificateType:
		m.ServerCertType = new(uint8)
		return s.ReadUint8(m.ServerCertType) && s.Empty(), nil
	}
	m.Other = append(m.Other, Extension{t, s})
	return true, nil
}

// parseALPN reads the one protocol that was selected (RFC 7301, Section 3.1).
func (m *EncryptedExtensions) parseALPN(s cryptobyte.String) bool {
	var protocols []string
	if !readProtocols(s, &protocols) || len(protocols) != 1 {
		return false
	}
	m.ALPN = protocols[0]
	return true
}

func (m *EncryptedExtensions) order() []ExtensionType {
	if m.Extensions != nil {
		return m.Extensions
	}
	var order []ExtensionType
	add := func(present bool, t ExtensionType) {
		if present {
			order = append(order, t)
		}
	}
	add(m.ServerName, ExtServerName)
	add(m.SupportedGroups != nil, ExtSupportedGroups)
	add(m.ALPN != "", ExtALPN)
	add(m.ClientCertType != nil, ExtClientCertificateType)
	add(m.ServerCertType != nil, ExtServerCertificateType)
	add(m.RecordSizeLimit != 0, ExtRecordSizeLimit)
	add(m.EarlyData, ExtEarlyData)
	return otherTypes(order, m.Other)
}

// Marshal returns the whole message; nil where its lengths have no room for it.
func (m *EncryptedExtensions) Marshal() []byte {
	return marshal(EncryptedExtensionsType, func(b *builder) {
		addExtensions(b, m.order(), m.putExtension)
	})
}

func (m *EncryptedExtensions) putExtension(b *builder, t ExtensionType) {
	switch t {
	case ExtServerName, ExtEarlyData:
	case ExtALPN:
		addProtocols(b, []string{m.ALPN})
	case ExtSupportedGroups:
		addUint16s(b, m.SupportedGroups)
	case ExtRecordSizeLimit:
		b.AddUint16(m.RecordSizeLimit)
	case ExtClientCertificateType:
		b.AddUint8(*m.ClientCertType)
	case ExtServerCertificateType:
		b.AddUint8(*m.ServerCertType)
	default:
		putOther(b, m.Other, t)
	}
}
