// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// statusOCSP is the one CertificateStatusType.
const statusOCSP = 1

// plainStatusRequest asks for any OCSP response, as everybody does.
const plainStatusRequest = "\x01\x00\x00\x00\x00"

// parseStatusRequest reads the CertificateStatusRequest of RFC 6066, Section 8. A
// request of a type that is not known is kept and asks for nothing.
func (m *ClientHello) parseStatusRequest(s cryptobyte.String) bool {
	if string(s) != plainStatusRequest {
		m.Other = append(m.Other, Extension{ExtStatusRequest, s})
	}
	var kind uint8
	if !s.ReadUint8(&kind) {
		return false
	}
	if kind != statusOCSP {
		return true
	}
	m.StatusRequest = true
	var responders, extensions cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&responders) || !s.ReadUint16LengthPrefixed(&extensions) || !s.Empty() {
		return false
	}
	for !responders.Empty() {
		var id cryptobyte.String
		if !responders.ReadUint16LengthPrefixed(&id) || id.Empty() {
			return false
		}
	}
	return true
}

func (m *ClientHello) putStatusRequest(b *builder) {
	if slices.ContainsFunc(m.Other, func(e Extension) bool { return e.Type == ExtStatusRequest }) {
		putOther(b, m.Other, ExtStatusRequest)
		return
	}
	b.AddBytes([]byte(plainStatusRequest))
}

// parseStatus reads the CertificateStatus that answers it (RFC 9846, Section
// 4.5.1.1).
func (e *CertificateEntry) parseStatus(s cryptobyte.String) bool {
	var kind uint8
	return s.ReadUint8(&kind) && kind == statusOCSP &&
		s.ReadUint24LengthPrefixed((*cryptobyte.String)(&e.OCSPResponse)) && len(e.OCSPResponse) > 0 && s.Empty()
}

func (e *CertificateEntry) putStatus(b *builder) {
	b.AddUint8(statusOCSP)
	b.AddUint24LengthPrefixed(func(b *builder) { b.AddBytes(e.OCSPResponse) })
}
