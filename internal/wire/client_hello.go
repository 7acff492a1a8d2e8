// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"cmp"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// legacyVersion is what ClientHello and ServerHello say of the version.
const legacyVersion = 0x0303

// A ClientHello is that of RFC 9846, Section 4.2.2.
//
// The syntax has room for 131,400 bytes of it: 65,534 of cipher suites and 65,535
// of extensions are the most. An Assembler takes 68 KiB. Of the extensions, the
// shares, the identities and the binders of PSKs, the names of authorities and of
// protocols and the cookie may each fill what is left; a key share of
// X25519MLKEM768 takes 1,220 bytes, a host name 253.
type ClientHello struct {
	Raw                []byte // the message as it was parsed
	LegacyVersion      uint16 // 0 is marshalled as 0x0303, unless it was parsed
	Random             [32]byte
	SessionID          []byte
	CipherSuites       []uint16
	CompressionMethods []byte // nil is marshalled as the null method

	ServerName              string // a host name; empty where the client sent none, or what is no host name
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

	// Other are the extensions that are not known here, and a status_request
	// that is more than a plain request for OCSP.
	Other []Extension

	// Extensions is the order in which the extensions came. Marshal follows it,
	// and where it is nil an order of its own with pre_shared_key last.
	Extensions []ExtensionType

	ignoredServerName string // what the client sent as its server_name, where that is no host name

	noExtensions bool // the message ended before the vector, as before TLS 1.3
}

// A TicketRequest is that of RFC 9149, Section 3.
type TicketRequest struct{ New, Resumption uint8 }

// Has reports whether the extension came with the message.
func (m *ClientHello) Has(t ExtensionType) bool { return slices.Contains(m.Extensions, t) }

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
		return readShortUint16s(s, &m.SupportedVersions), nil
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
		return readOpaques(s, &m.CertificateAuthorities), nil
	case ExtRecordSizeLimit:
		return readRecordSizeLimit(s, &m.RecordSizeLimit)
	case ExtStatusRequest:
		return m.parseStatusRequest(s), nil
	case ExtSCT:
		m.SCT = true
		return s.Empty(), nil
	case ExtCompressCertificate:
		return readShortUint16s(s, &m.CompressCertificate), nil
	case ExtTicketRequest:
		m.TicketRequest = new(TicketRequest)
		return s.ReadUint8(&m.TicketRequest.New) && s.ReadUint8(&m.TicketRequest.Resumption) && s.Empty(), nil
	}
	m.Other = append(m.Other, Extension{t, s})
	return true, nil
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
	order := make([]ExtensionType, 0, len(clientHelloOrder)+len(m.Other)+1)
	for _, t := range clientHelloOrder {
		if m.holds(t) {
			order = append(order, t)
		}
	}
	order = otherTypes(order, m.Other)
	if m.PSK != nil {
		order = append(order, ExtPreSharedKey)
	}
	return order
}

// holds reports whether there is something to write in an extension of clientHelloOrder.
func (m *ClientHello) holds(t ExtensionType) bool {
	switch t {
	case ExtServerName:
		return m.ServerName != "" || m.ignoredServerName != ""
	case ExtSupportedVersions:
		return m.SupportedVersions != nil
	case ExtSupportedGroups:
		return m.SupportedGroups != nil
	case ExtKeyShare:
		return m.KeyShares != nil
	case ExtSignatureAlgorithms:
		return m.SignatureAlgorithms != nil
	case ExtSignatureAlgorithmsCert:
		return m.SignatureAlgorithmsCert != nil
	case ExtALPN:
		return m.ALPN != nil
	case ExtClientCertificateType:
		return m.ClientCertTypes != nil
	case ExtServerCertificateType:
		return m.ServerCertTypes != nil
	case ExtCertificateAuthorities:
		return m.CertificateAuthorities != nil
	case ExtStatusRequest:
		return m.StatusRequest
	case ExtSCT:
		return m.SCT
	case ExtCompressCertificate:
		return m.CompressCertificate != nil
	case ExtRecordSizeLimit:
		return m.RecordSizeLimit != 0
	case ExtTicketRequest:
		return m.TicketRequest != nil
	case ExtPSKKeyExchangeModes:
		return m.PSKModes != nil
	case ExtEarlyData:
		return m.EarlyData
	case ExtCookie:
		return m.Cookie != nil
	}
	return false
}

// Marshal returns the whole message; nil where its lengths have no room for it.
func (m *ClientHello) Marshal() []byte {
	version, compression := m.LegacyVersion, m.CompressionMethods
	if version == 0 && m.Raw == nil {
		version = legacyVersion
	}
	if compression == nil {
		compression = []byte{0}
	}
	return marshal(ClientHelloType, func(b *builder) {
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

func (m *ClientHello) putExtension(b *builder, t ExtensionType) {
	switch t {
	case ExtServerName:
		putServerName(b, cmp.Or(m.ServerName, m.ignoredServerName))
	case ExtALPN:
		addProtocols(b, m.ALPN)
	case ExtSupportedGroups:
		addUint16s(b, m.SupportedGroups)
	case ExtKeyShare:
		putKeyShares(b, m.KeyShares)
	case ExtSignatureAlgorithms:
		addUint16s(b, m.SignatureAlgorithms)
	case ExtSignatureAlgorithmsCert:
		addUint16s(b, m.SignatureAlgorithmsCert)
	case ExtSupportedVersions:
		addShortUint16s(b, m.SupportedVersions)
	case ExtPSKKeyExchangeModes:
		addUint8s(b, m.PSKModes)
	case ExtPreSharedKey:
		m.putPSK(b)
	case ExtEarlyData, ExtSCT:
	case ExtCookie:
		addOpaque(b, m.Cookie)
	case ExtClientCertificateType:
		addUint8s(b, m.ClientCertTypes)
	case ExtServerCertificateType:
		addUint8s(b, m.ServerCertTypes)
	case ExtCertificateAuthorities:
		addOpaques(b, m.CertificateAuthorities)
	case ExtRecordSizeLimit:
		b.AddUint16(m.RecordSizeLimit)
	case ExtStatusRequest:
		m.putStatusRequest(b)
	case ExtCompressCertificate:
		addShortUint16s(b, m.CompressCertificate)
	case ExtTicketRequest:
		b.AddUint8(m.TicketRequest.New)
		b.AddUint8(m.TicketRequest.Resumption)
	default:
		putOther(b, m.Other, t)
	}
}
