// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"strconv"

	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// An ExtensionType is that of RFC 9846, Section 4.3.
type ExtensionType uint16

// The extensions that are known here.
const (
	ExtServerName              ExtensionType = 0  // RFC 6066
	ExtMaxFragmentLength       ExtensionType = 1  // RFC 6066
	ExtStatusRequest           ExtensionType = 5  // RFC 6066
	ExtSupportedGroups         ExtensionType = 10 // RFC 9846, Section 4.3.7
	ExtSignatureAlgorithms     ExtensionType = 13 // RFC 9846, Section 4.3.3
	ExtUseSRTP                 ExtensionType = 14 // RFC 5764
	ExtHeartbeat               ExtensionType = 15 // RFC 6520
	ExtALPN                    ExtensionType = 16 // RFC 7301
	ExtSCT                     ExtensionType = 18 // RFC 6962
	ExtClientCertificateType   ExtensionType = 19 // RFC 7250
	ExtServerCertificateType   ExtensionType = 20 // RFC 7250
	ExtPadding                 ExtensionType = 21 // RFC 7685
	ExtCompressCertificate     ExtensionType = 27 // RFC 8879
	ExtRecordSizeLimit         ExtensionType = 28 // RFC 8449
	ExtPreSharedKey            ExtensionType = 41 // RFC 9846, Section 4.3.11
	ExtEarlyData               ExtensionType = 42 // RFC 9846, Section 4.3.10
	ExtSupportedVersions       ExtensionType = 43 // RFC 9846, Section 4.3.1
	ExtCookie                  ExtensionType = 44 // RFC 9846, Section 4.3.2
	ExtPSKKeyExchangeModes     ExtensionType = 45 // RFC 9846, Section 4.3.9
	ExtCertificateAuthorities  ExtensionType = 47 // RFC 9846, Section 4.3.4
	ExtOIDFilters              ExtensionType = 48 // RFC 9846, Section 4.3.5
	ExtPostHandshakeAuth       ExtensionType = 49 // RFC 9846, Section 4.3.6
	ExtSignatureAlgorithmsCert ExtensionType = 50 // RFC 9846, Section 4.3.3
	ExtKeyShare                ExtensionType = 51 // RFC 9846, Section 4.3.8
	ExtTicketRequest           ExtensionType = 58 // RFC 9149
)

// String returns the number: names are for people who read the RFCs.
func (t ExtensionType) String() string { return "extension " + strconv.Itoa(int(t)) }

// An Extension is one whose body is not known here.
type Extension struct {
	Type ExtensionType
	Data []byte
}

// maxExtensions bounds how many extensions a message may hold: no sender has
// half as many, and each is looked for among the others.
const maxExtensions = 256

// readExtensions reads a vector of extensions and calls parse with each; parse
// returns false where the body is malformed. order is the order in which they
// came.
func readExtensions(s *cryptobyte.String, t MessageType, parse func(ExtensionType, cryptobyte.String) (bool, error)) (order []ExtensionType, err error) {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return nil, errDecode(t)
	}
	var small [32]ExtensionType
	order = small[:0]
	for !list.Empty() {
		var typ uint16
		var data cryptobyte.String
		if !list.ReadUint16(&typ) || !list.ReadUint16LengthPrefixed(&data) || len(order) == maxExtensions {
			return nil, errDecode(t)
		}
		for _, before := range order {
			if before == ExtensionType(typ) {
				return nil, alert.New(alert.IllegalParameter, "an extension twice in a "+t.String()+" message")
			}
		}
		order = append(order, ExtensionType(typ))
		ok, err := parse(ExtensionType(typ), data)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errDecode(t)
		}
	}
	return append([]ExtensionType(nil), order...), nil
}

// addExtensions writes a vector of extensions in this order; put writes a body.
func addExtensions(b *cryptobyte.Builder, order []ExtensionType, put func(*cryptobyte.Builder, ExtensionType)) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, t := range order {
			b.AddUint16(uint16(t))
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { put(b, t) })
		}
	})
}

// putOther writes the body of an extension that is not known here.
func putOther(b *cryptobyte.Builder, others []Extension, t ExtensionType) {
	for _, e := range others {
		if e.Type == t {
			b.AddBytes(e.Data)
			return
		}
	}
}

// otherTypes are the types of others, in their order.
func otherTypes(order []ExtensionType, others []Extension) []ExtensionType {
	for _, e := range others {
		order = append(order, e.Type)
	}
	return order
}

func has(order []ExtensionType, t ExtensionType) bool {
	for _, e := range order {
		if e == t {
			return true
		}
	}
	return false
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

func addUint16s(b *cryptobyte.Builder, list []uint16) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
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

func addUint8s(b *cryptobyte.Builder, list []uint8) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(list) })
}

// readNames reads the distinguished names of certificate_authorities.
func readNames(s cryptobyte.String, out *[][]byte) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || len(list) < 3 || !s.Empty() {
		return false
	}
	for !list.Empty() {
		var name cryptobyte.String
		if !list.ReadUint16LengthPrefixed(&name) || len(name) == 0 {
			return false
		}
		*out = append(*out, name)
	}
	return true
}

func addNames(b *cryptobyte.Builder, names [][]byte) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, name := range names {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(name) })
		}
	})
}

// readSCTs reads a SignedCertificateTimestampList (RFC 6962, Section 3.3).
func readSCTs(s cryptobyte.String, out *[][]byte) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || list.Empty() || !s.Empty() {
		return false
	}
	for !list.Empty() {
		var sct cryptobyte.String
		if !list.ReadUint16LengthPrefixed(&sct) || len(sct) == 0 {
			return false
		}
		*out = append(*out, sct)
	}
	return true
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
