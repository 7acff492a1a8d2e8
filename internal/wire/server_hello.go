// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// RetryRandom is the random that makes a ServerHello a HelloRetryRequest (RFC
// 9846, Section 4.2.3): SHA-256 of "HelloRetryRequest".
var RetryRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// A ServerHello is that of RFC 9846, Section 4.2.3, or a HelloRetryRequest (Section
// 4.2.4).
type ServerHello struct {
	Raw               []byte
	LegacyVersion     uint16 // 0 is marshalled as 0x0303, unless it was parsed
	Random            [32]byte
	SessionID         []byte // the echo of the client's
	CipherSuite       uint16
	CompressionMethod uint8

	SupportedVersion uint16
	KeyShare         *KeyShare // not in a HelloRetryRequest
	SelectedGroup    uint16    // in a HelloRetryRequest alone
	Cookie           []byte    // in a HelloRetryRequest alone
	SelectedPSK      *uint16

	Other      []Extension
	Extensions []ExtensionType

	noExtensions bool
}

// IsHelloRetryRequest reports what the message is.
func (m *ServerHello) IsHelloRetryRequest() bool { return m.Random == RetryRandom }

// Has reports whether the extension came with the message.
func (m *ServerHello) Has(t ExtensionType) bool { return slices.Contains(m.Extensions, t) }

// ParseServerHello parses a whole message.
func ParseServerHello(raw []byte) (*ServerHello, error) {
	s, err := body(raw, ServerHelloType)
	if err != nil {
		return nil, err
	}
	m := &ServerHello{Raw: raw}
	var random, session cryptobyte.String
	if !s.ReadUint16(&m.LegacyVersion) || !s.ReadBytes((*[]byte)(&random), len(m.Random)) ||
		!s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		!s.ReadUint16(&m.CipherSuite) || !s.ReadUint8(&m.CompressionMethod) {
		return nil, errDecode(ServerHelloType)
	}
	copy(m.Random[:], random)
	m.SessionID = session
	if s.Empty() {
		m.noExtensions = true
		return m, nil
	}
	if m.Extensions, err = readExtensions(&s, ServerHelloType, m.parseExtension); err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, errDecode(ServerHelloType)
	}
	return m, nil
}

func (m *ServerHello) parseExtension(t ExtensionType, s cryptobyte.String) (bool, error) {
	switch t {
	case ExtSupportedVersions:
		return s.ReadUint16(&m.SupportedVersion) && s.Empty(), nil
	case ExtKeyShare:
		if m.IsHelloRetryRequest() {
			return s.ReadUint16(&m.SelectedGroup) && s.Empty(), nil
		}
		m.KeyShare = new(KeyShare)
		return readKeyShare(&s, m.KeyShare) && s.Empty(), nil
	case ExtCookie:
		return readCookie(s, &m.Cookie), nil
	case ExtPreSharedKey:
		m.SelectedPSK = new(uint16)
		return s.ReadUint16(m.SelectedPSK) && s.Empty(), nil
	}
	m.Other = append(m.Other, Extension{t, s})
	return true, nil
}

// Marshal returns the whole message; nil where its lengths have no room for it.
func (m *ServerHello) Marshal() []byte {
	order := m.Extensions
	if order == nil {
		order = append(order, ExtSupportedVersions)
		if m.KeyShare != nil || m.SelectedGroup != 0 {
			order = append(order, ExtKeyShare)
		}
		if m.SelectedPSK != nil {
			order = append(order, ExtPreSharedKey)
		}
		if m.Cookie != nil {
			order = append(order, ExtCookie)
		}
		order = otherTypes(order, m.Other)
	}
	version := m.LegacyVersion
	if version == 0 && m.Raw == nil {
		version = legacyVersion
	}
	return marshal(ServerHelloType, func(b *builder) {
		b.AddUint16(version)
		b.AddBytes(m.Random[:])
		addUint8s(b, m.SessionID)
		b.AddUint16(m.CipherSuite)
		b.AddUint8(m.CompressionMethod)
		if !m.noExtensions {
			addExtensions(b, order, m.putExtension)
		}
	})
}

func (m *ServerHello) putExtension(b *builder, t ExtensionType) {
	switch t {
	case ExtSupportedVersions:
		b.AddUint16(m.SupportedVersion)
	case ExtKeyShare:
		if m.KeyShare != nil {
			addKeyShare(b, *m.KeyShare)
		} else {
			b.AddUint16(m.SelectedGroup)
		}
	case ExtCookie:
		addOpaque(b, m.Cookie)
	case ExtPreSharedKey:
		b.AddUint16(*m.SelectedPSK)
	default:
		putOther(b, m.Other, t)
	}
}
