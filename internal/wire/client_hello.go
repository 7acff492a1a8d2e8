// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// legacyVersion is what ClientHello and ServerHello say of the version.
const legacyVersion = 0x0303

// A ClientHello is that of RFC 9846, Section 4.2.2. What is parsed points into
// the message.
type ClientHello struct {
	Raw                []byte // the message as it was parsed
	LegacyVersion      uint16 // 0 is marshalled as 0x0303
	Random             [32]byte
	SessionID          []byte
	CipherSuites       []uint16
	CompressionMethods []byte // nil is marshalled as the null method

	ServerName              string
	ALPN                    []string
	SupportedGroups         []uint16
	KeyShares               []KeyShare
	SignatureAlgorithms     []uint16
	SignatureAlgorithmsCert []uint16
	SupportedVersions       []uint16
	PSKModes                []uint8
	PSK                     *PreSharedKeys
	EarlyData               bool
	Cookie                  []byte
	ClientCertTypes         []uint8
	ServerCertTypes         []uint8
	CertificateAuthorities  [][]byte
	RecordSizeLimit         uint16
	StatusRequest           bool
	SCT                     bool
	CompressCertificate     []uint16
	TicketRequest           *TicketRequest

	// Other are the extensions that are not known here, or whose known form
	// holds more than the fields above.
	Other []Extension

	// Extensions is the order in which the extensions came. Marshal follows it,
	// and where it is nil an order of its own with pre_shared_key last.
	Extensions []ExtensionType

	noExtensions bool // the message ended before the vector, as before TLS 1.3
}

// A KeyShare is a KeyShareEntry of RFC 9846, Section 4.3.8.
type KeyShare struct {
	Group uint16
	Data  []byte
}

// PreSharedKeys is OfferedPsks of RFC 9846, Section 4.3.11.
type PreSharedKeys struct {
	Identities []PSKIdentity
	Binders    [][]byte
}

// A PSKIdentity is that of RFC 9846, Section 4.3.11.
type PSKIdentity struct {
	Identity      []byte
	ObfuscatedAge uint32
}

// A TicketRequest is that of RFC 9149, Section 3.
type TicketRequest struct{ New, Resumption uint8 }

// Has reports whether the extension came with the message.
func (m *ClientHello) Has(t ExtensionType) bool { return has(m.Extensions, t) }

// ParseClientHello parses a whole message.
func ParseClientHello(raw []byte) (*ClientHello, error) {
	s, err := body(raw, ClientHelloType)
	if err != nil {
		return nil, err
	}
	m := &ClientHello{Raw: raw}
	var random, session, suites, compression cryptobyte.String
	if !s.ReadUint16(&m.LegacyVersion) || !s.ReadBytes((*[]byte)(&random), len(m.Random)) ||
		!s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		!s.ReadUint16LengthPrefixed(&suites) || !uint16s(suites, &m.CipherSuites) ||
		!s.ReadUint8LengthPrefixed(&compression) || len(compression) == 0 {
		return nil, errDecode(ClientHelloType)
	}
	copy(m.Random[:], random)
	m.SessionID, m.CompressionMethods = session, compression
	if s.Empty() {
		m.noExtensions = true
		return m, nil
	}
	if m.Extensions, err = readExtensions(&s, ClientHelloType, m.parseExtension); err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, errDecode(ClientHelloType)
	}
	if n := len(m.Extensions); m.PSK != nil && m.Extensions[n-1] != ExtPreSharedKey {
		return nil, alert.New(alert.IllegalParameter, "pre_shared_key is not the last extension")
	}
	return m, nil
}

func (m *ClientHello) parseExtension(t ExtensionType, s cryptobyte.String) (bool, error) {
	switch t {
	case ExtServerName:
		return m.parseServerName(s), nil
	case ExtALPN:
		return readProtocols(s, &m.ALPN), nil
	case ExtSupportedGroups:
		return readUint16s(s, &m.SupportedGroups), nil
	case ExtKeyShare:
		return m.parseKeyShares(s), nil
	case ExtSignatureAlgorithms:
		return readUint16s(s, &m.SignatureAlgorithms), nil
	case ExtSignatureAlgorithmsCert:
		return readUint16s(s, &m.SignatureAlgorithmsCert), nil
	case ExtSupportedVersions:
		var list cryptobyte.String
		return s.ReadUint8LengthPrefixed(&list) && s.Empty() && uint16s(list, &m.SupportedVersions), nil
	case ExtPSKKeyExchangeModes:
		return readUint8s(s, &m.PSKModes), nil
	case ExtPreSharedKey:
		return m.parsePSK(s)
	case ExtEarlyData:
		m.EarlyData = true
		return s.Empty(), nil
	case ExtCookie:
		return readCookie(s, &m.Cookie), nil
	case ExtClientCertificateType:
		return readUint8s(s, &m.ClientCertTypes), nil
	case ExtServerCertificateType:
		return readUint8s(s, &m.ServerCertTypes), nil
	case ExtCertificateAuthorities:
		return readNames(s, &m.CertificateAuthorities), nil
	case ExtRecordSizeLimit:
		return readRecordSizeLimit(s, &m.RecordSizeLimit)
	case ExtStatusRequest:
		// A request of another type or with fields that are not empty is kept
		// as it is; it is a request for a response all the same.
		m.StatusRequest = true
		if string(s) != "\x01\x00\x00\x00\x00" {
			m.Other = append(m.Other, Extension{t, s})
		}
		return len(s) > 0, nil
	case ExtSCT:
		m.SCT = true
		return s.Empty(), nil
	case ExtCompressCertificate:
		var list cryptobyte.String
		return s.ReadUint8LengthPrefixed(&list) && s.Empty() && uint16s(list, &m.CompressCertificate), nil
	case ExtTicketRequest:
		m.TicketRequest = new(TicketRequest)
		return s.ReadUint8(&m.TicketRequest.New) && s.ReadUint8(&m.TicketRequest.Resumption) && s.Empty(), nil
	}
	m.Other = append(m.Other, Extension{t, s})
	return true, nil
}

// parseServerName reads the one host name of RFC 6066, Section 3.
func (m *ClientHello) parseServerName(s cryptobyte.String) bool {
	var list, name cryptobyte.String
	var kind uint8
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() ||
		!list.ReadUint8(&kind) || kind != 0 || !list.ReadUint16LengthPrefixed(&name) || !list.Empty() {
		return false
	}
	if len(name) == 0 || len(name) > 255 {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	m.ServerName = string(name)
	return true
}

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

// parsePSK reads the offered PSKs (RFC 9846, Section 4.3.11).
func (m *ClientHello) parsePSK(s cryptobyte.String) (bool, error) {
	m.PSK = new(PreSharedKeys)
	var identities, binders cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&identities) || identities.Empty() ||
		!s.ReadUint16LengthPrefixed(&binders) || binders.Empty() || !s.Empty() {
		return false, nil
	}
	for !identities.Empty() {
		var id PSKIdentity
		if !identities.ReadUint16LengthPrefixed((*cryptobyte.String)(&id.Identity)) || len(id.Identity) == 0 ||
			!identities.ReadUint32(&id.ObfuscatedAge) {
			return false, nil
		}
		m.PSK.Identities = append(m.PSK.Identities, id)
	}
	for !binders.Empty() {
		var binder cryptobyte.String
		if !binders.ReadUint8LengthPrefixed(&binder) || len(binder) < 32 {
			return false, nil
		}
		m.PSK.Binders = append(m.PSK.Binders, binder)
	}
	if len(m.PSK.Binders) != len(m.PSK.Identities) {
		return false, alert.New(alert.IllegalParameter, "not as many PSK binders as identities")
	}
	return true, nil
}

// BinderPrefix is the message up to the binders, which they authenticate (RFC
// 9846, Section 4.3.11.2); nil where no PSK was offered.
func (m *ClientHello) BinderPrefix() []byte {
	if m.PSK == nil {
		return nil
	}
	n := 2
	for _, b := range m.PSK.Binders {
		n += 1 + len(b)
	}
	return m.Raw[:len(m.Raw)-n]
}

// clientHelloOrder is the order in which Marshal writes extensions by itself.
var clientHelloOrder = []ExtensionType{
	ExtServerName, ExtSupportedVersions, ExtSupportedGroups, ExtKeyShare, ExtSignatureAlgorithms,
	ExtSignatureAlgorithmsCert, ExtALPN, ExtClientCertificateType, ExtServerCertificateType,
	ExtCertificateAuthorities, ExtStatusRequest, ExtSCT, ExtCompressCertificate, ExtRecordSizeLimit,
	ExtTicketRequest, ExtPSKKeyExchangeModes, ExtEarlyData, ExtCookie,
}

// order is the order in which the extensions are to be written.
func (m *ClientHello) order() []ExtensionType {
	if m.Extensions != nil {
		return m.Extensions
	}
	present := map[ExtensionType]bool{
		ExtServerName:              m.ServerName != "",
		ExtSupportedVersions:       m.SupportedVersions != nil,
		ExtSupportedGroups:         m.SupportedGroups != nil,
		ExtKeyShare:                m.KeyShares != nil,
		ExtSignatureAlgorithms:     m.SignatureAlgorithms != nil,
		ExtSignatureAlgorithmsCert: m.SignatureAlgorithmsCert != nil,
		ExtALPN:                    m.ALPN != nil,
		ExtClientCertificateType:   m.ClientCertTypes != nil,
		ExtServerCertificateType:   m.ServerCertTypes != nil,
		ExtCertificateAuthorities:  m.CertificateAuthorities != nil,
		ExtStatusRequest:           m.StatusRequest,
		ExtSCT:                     m.SCT,
		ExtCompressCertificate:     m.CompressCertificate != nil,
		ExtRecordSizeLimit:         m.RecordSizeLimit != 0,
		ExtTicketRequest:           m.TicketRequest != nil,
		ExtPSKKeyExchangeModes:     m.PSKModes != nil,
		ExtEarlyData:               m.EarlyData,
		ExtCookie:                  m.Cookie != nil,
	}
	var order []ExtensionType
	for _, t := range clientHelloOrder {
		if present[t] {
			order = append(order, t)
		}
	}
	order = otherTypes(order, m.Other)
	if m.PSK != nil {
		order = append(order, ExtPreSharedKey)
	}
	return order
}

// Marshal returns the whole message.
func (m *ClientHello) Marshal() []byte {
	version, compression := m.LegacyVersion, m.CompressionMethods
	if version == 0 {
		version = legacyVersion
	}
	if compression == nil {
		compression = []byte{0}
	}
	return marshal(ClientHelloType, func(b *cryptobyte.Builder) {
		b.AddUint16(version)
		b.AddBytes(m.Random[:])
		addUint8s(b, m.SessionID)
		addUint16s(b, m.CipherSuites)
		addUint8s(b, compression)
		if !m.noExtensions {
			addExtensions(b, m.order(), m.putExtension)
		}
	})
}

func (m *ClientHello) putExtension(b *cryptobyte.Builder, t ExtensionType) {
	switch t {
	case ExtServerName:
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(0)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(m.ServerName)) })
		})
	case ExtALPN:
		addProtocols(b, m.ALPN)
	case ExtSupportedGroups:
		addUint16s(b, m.SupportedGroups)
	case ExtKeyShare:
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, k := range m.KeyShares {
				addKeyShare(b, k)
			}
		})
	case ExtSignatureAlgorithms:
		addUint16s(b, m.SignatureAlgorithms)
	case ExtSignatureAlgorithmsCert:
		addUint16s(b, m.SignatureAlgorithmsCert)
	case ExtSupportedVersions:
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, v := range m.SupportedVersions {
				b.AddUint16(v)
			}
		})
	case ExtPSKKeyExchangeModes:
		addUint8s(b, m.PSKModes)
	case ExtPreSharedKey:
		m.putPSK(b)
	case ExtEarlyData, ExtSCT:
	case ExtCookie:
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.Cookie) })
	case ExtClientCertificateType:
		addUint8s(b, m.ClientCertTypes)
	case ExtServerCertificateType:
		addUint8s(b, m.ServerCertTypes)
	case ExtCertificateAuthorities:
		addNames(b, m.CertificateAuthorities)
	case ExtRecordSizeLimit:
		b.AddUint16(m.RecordSizeLimit)
	case ExtStatusRequest:
		for _, e := range m.Other {
			if e.Type == t {
				b.AddBytes(e.Data)
				return
			}
		}
		b.AddBytes([]byte{1, 0, 0, 0, 0})
	case ExtCompressCertificate:
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, a := range m.CompressCertificate {
				b.AddUint16(a)
			}
		})
	case ExtTicketRequest:
		b.AddUint8(m.TicketRequest.New)
		b.AddUint8(m.TicketRequest.Resumption)
	default:
		putOther(b, m.Other, t)
	}
}

func addKeyShare(b *cryptobyte.Builder, k KeyShare) {
	b.AddUint16(k.Group)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.Data) })
}

func (m *ClientHello) putPSK(b *cryptobyte.Builder) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, id := range m.PSK.Identities {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(id.Identity) })
			b.AddUint32(id.ObfuscatedAge)
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, binder := range m.PSK.Binders {
			addUint8s(b, binder)
		}
	})
}

// readProtocols reads the protocol names of ALPN (RFC 7301, Section 3.1).
func readProtocols(s cryptobyte.String, out *[]string) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || list.Empty() || !s.Empty() {
		return false
	}
	for !list.Empty() {
		var name cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&name) || len(name) == 0 {
			return false
		}
		*out = append(*out, string(name))
	}
	return true
}

func addProtocols(b *cryptobyte.Builder, protocols []string) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, p := range protocols {
			addUint8s(b, []byte(p))
		}
	})
}

func readCookie(s cryptobyte.String, out *[]byte) bool {
	return s.ReadUint16LengthPrefixed((*cryptobyte.String)(out)) && len(*out) > 0 && s.Empty()
}
