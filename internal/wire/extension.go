// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"slices"
	"strconv"

	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// An ExtensionType is that of RFC 9846, Section 4.3.
type ExtensionType uint16

// The extensions that are known here.
const (
	ExtServerName              ExtensionType = 0      // RFC 6066
	ExtMaxFragmentLength       ExtensionType = 1      // RFC 6066
	ExtStatusRequest           ExtensionType = 5      // RFC 6066
	ExtSupportedGroups         ExtensionType = 10     // RFC 9846, Section 4.3.7
	ExtSignatureAlgorithms     ExtensionType = 13     // RFC 9846, Section 4.3.3
	ExtUseSRTP                 ExtensionType = 14     // RFC 5764
	ExtHeartbeat               ExtensionType = 15     // RFC 6520
	ExtALPN                    ExtensionType = 16     // RFC 7301
	ExtSCT                     ExtensionType = 18     // RFC 6962
	ExtClientCertificateType   ExtensionType = 19     // RFC 7250
	ExtServerCertificateType   ExtensionType = 20     // RFC 7250
	ExtPadding                 ExtensionType = 21     // RFC 7685
	ExtCompressCertificate     ExtensionType = 27     // RFC 8879
	ExtRecordSizeLimit         ExtensionType = 28     // RFC 8449
	ExtPreSharedKey            ExtensionType = 41     // RFC 9846, Section 4.3.11
	ExtEarlyData               ExtensionType = 42     // RFC 9846, Section 4.3.10
	ExtSupportedVersions       ExtensionType = 43     // RFC 9846, Section 4.3.1
	ExtCookie                  ExtensionType = 44     // RFC 9846, Section 4.3.2
	ExtPSKKeyExchangeModes     ExtensionType = 45     // RFC 9846, Section 4.3.9
	ExtCertificateAuthorities  ExtensionType = 47     // RFC 9846, Section 4.3.4
	ExtOIDFilters              ExtensionType = 48     // RFC 9846, Section 4.3.5
	ExtPostHandshakeAuth       ExtensionType = 49     // RFC 9846, Section 4.3.6
	ExtSignatureAlgorithmsCert ExtensionType = 50     // RFC 9846, Section 4.3.3
	ExtKeyShare                ExtensionType = 51     // RFC 9846, Section 4.3.8
	ExtTicketRequest           ExtensionType = 58     // RFC 9149
	ExtEncryptedClientHello    ExtensionType = 0xfe0d // RFC 9849
)

// String returns the number: names are for people who read the RFCs.
func (t ExtensionType) String() string { return "extension " + strconv.Itoa(int(t)) }

// An Extension is one whose body is not known here.
type Extension struct {
	Type ExtensionType
	Data []byte
}

// readExtensions reads a vector of extensions of a message of type t and calls
// parse with each; parse returns false where the body is malformed. The order in
// which they came is never nil.
func readExtensions(s *cryptobyte.String, t MessageType, parse func(ExtensionType, cryptobyte.String) (bool, error)) ([]ExtensionType, error) {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return nil, errDecode(t)
	}
	order, ok := extensionTypes(list)
	if !ok {
		return nil, errDecode(t)
	}
	if repeats(order) {
		return nil, alert.New(alert.IllegalParameter, "an extension twice in a "+t.String()+" message")
	}
	for _, ext := range order {
		var data cryptobyte.String
		if !list.Skip(2) || !list.ReadUint16LengthPrefixed(&data) {
			return nil, errDecode(t)
		}
		ok, err := parse(ext, data)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errDecode(t)
		}
	}
	return order, nil
}

// extensionTypes are the types in a vector of extensions, in their order.
func extensionTypes(list cryptobyte.String) ([]ExtensionType, bool) {
	order := make([]ExtensionType, 0, min(len(list)/4, 24))
	for !list.Empty() {
		var t uint16
		var data cryptobyte.String
		if !list.ReadUint16(&t) || !list.ReadUint16LengthPrefixed(&data) {
			return nil, false
		}
		order = append(order, ExtensionType(t))
	}
	return order, true
}

// repeats reports whether a type comes twice. A message has room for 16,000
// extensions, so they are not compared each with each.
func repeats(order []ExtensionType) bool {
	var room [32]ExtensionType
	sorted := append(room[:0], order...)
	slices.Sort(sorted)
	return len(slices.Compact(sorted)) != len(order)
}

// addExtensions writes a vector of extensions in this order; put writes a body.
func addExtensions(b *builder, order []ExtensionType, put func(*builder, ExtensionType)) {
	b.AddUint16LengthPrefixed(func(b *builder) {
		for _, t := range order {
			b.AddUint16(uint16(t))
			b.AddUint16LengthPrefixed(func(b *builder) { put(b, t) })
		}
	})
}

// putOther writes the body of an extension that is not known here.
func putOther(b *builder, others []Extension, t ExtensionType) {
	for _, e := range others {
		if e.Type == t {
			b.AddBytes(e.Data)
			return
		}
	}
}

// otherTypes appends to order the types of others that are not yet in it.
func otherTypes(order []ExtensionType, others []Extension) []ExtensionType {
	known := order
	for _, e := range others {
		if !slices.Contains(known, e.Type) {
			order = append(order, e.Type)
		}
	}
	return order
}

// readUint16s reads a non-empty vector of 16-bit numbers that fills s.
func readUint16s(s cryptobyte.String, out *[]uint16) bool {
	var list cryptobyte.String
	return s.ReadUint16LengthPrefixed(&list) && s.Empty() && uint16s(list, out)
}

func uint16s(list cryptobyte.String, out *[]uint16) bool {
	if len(list) == 0 || len(list)%2 != 0 {
		return false
	}
	*out = make([]uint16, 0, len(list)/2)
	for !list.Empty() {
		var n uint16
		if !list.ReadUint16(&n) {
			return false
		}
		*out = append(*out, n)
	}
	return true
}

func addUint16s(b *builder, list []uint16) {
	b.AddUint16LengthPrefixed(func(b *builder) {
		for _, n := range list {
			b.AddUint16(n)
		}
	})
}

// readUint8s reads a non-empty vector of bytes, with a length of one byte, that
// fills s.
func readUint8s(s cryptobyte.String, out *[]uint8) bool {
	var list cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&list) || len(list) == 0 || !s.Empty() {
		return false
	}
	*out = list
	return true
}

// readShortUint16s is readUint16s with a length of one byte.
func readShortUint16s(s cryptobyte.String, out *[]uint16) bool {
	var list cryptobyte.String
	return s.ReadUint8LengthPrefixed(&list) && s.Empty() && uint16s(list, out)
}

func addShortUint16s(b *builder, list []uint16) {
	b.AddUint8LengthPrefixed(func(b *builder) {
		for _, n := range list {
			b.AddUint16(n)
		}
	})
}

func addUint8s(b *builder, list []uint8) {
	b.AddUint8LengthPrefixed(func(b *builder) { b.AddBytes(list) })
}

// readOpaques reads a non-empty vector of non-empty opaque vectors that fills s: the
// distinguished names of certificate_authorities, the list of RFC 6962, Section 3.3.
func readOpaques(s cryptobyte.String, out *[][]byte) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || list.Empty() || !s.Empty() {
		return false
	}
	for !list.Empty() {
		var opaque cryptobyte.String
		if !list.ReadUint16LengthPrefixed(&opaque) || len(opaque) == 0 {
			return false
		}
		*out = append(*out, opaque)
	}
	return true
}

func addOpaques(b *builder, list [][]byte) {
	b.AddUint16LengthPrefixed(func(b *builder) {
		for _, opaque := range list {
			addOpaque(b, opaque)
		}
	})
}

func addOpaque(b *builder, opaque []byte) {
	b.AddUint16LengthPrefixed(func(b *builder) { b.AddBytes(opaque) })
}

// readProtocols reads the names of a ProtocolNameList (RFC 7301, Section 3.1).
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

func addProtocols(b *builder, protocols []string) {
	b.AddUint16LengthPrefixed(func(b *builder) {
		for _, p := range protocols {
			addUint8s(b, []byte(p))
		}
	})
}

// readCookie reads the body of cookie (RFC 9846, Section 4.3.2).
func readCookie(s cryptobyte.String, out *[]byte) bool {
	return s.ReadUint16LengthPrefixed((*cryptobyte.String)(out)) && len(*out) > 0 && s.Empty()
}

// readRecordSizeLimit reads the body of record_size_limit (RFC 8449, Section 4).
func readRecordSizeLimit(s cryptobyte.String, out *uint16) (bool, error) {
	if !s.ReadUint16(out) || !s.Empty() {
		return false, nil
	}
	if *out < 64 {
		return false, alert.New(alert.IllegalParameter, "a record_size_limit below 64")
	}
	return true, nil
}
