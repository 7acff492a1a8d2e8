// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package credential is the two kinds of credential that TLS 1.3 knows, X.509
// certificates and raw public keys (RFC 7250): which signature schemes fit a
// key, CertificateVerify, the reading of what a peer shows, and the check of a
// certificate's chain.
//
// It says whose key it is that the peer has shown and proved. It must not know
// whom the application accepts, and neither connections nor clocks.
package credential

import "strconv"

// A Type is a CertificateType (RFC 9846, Section 4.5.1).
type Type uint8

// The certificate types of RFC 9846, Section 4.5.1.
const (
	X509         Type = 0
	RawPublicKey Type = 2
)

// String returns the name that the RFC gives the type.
func (t Type) String() string {
	switch t {
	case X509:
		return "X509"
	case RawPublicKey:
		return "RawPublicKey"
	}
	return "CertificateType(" + strconv.Itoa(int(t)) + ")"
}
