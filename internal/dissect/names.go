// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package dissect

import (
	"crypto/tls"
	"fmt"
	"strconv"
)

// quote is text of the peer's in printable ASCII, and no more of it than a line.
func quote(b []byte) string {
	const longest = 256
	if len(b) > longest {
		return strconv.QuoteToASCII(string(b[:longest])) + " and more"
	}
	return strconv.QuoteToASCII(string(b))
}

func number(v uint64) string { return strconv.FormatUint(v, 10) }

func hexadecimal(n int) func(uint64) string {
	return func(v uint64) string { return fmt.Sprintf("%#0*x", 2*n, v) }
}

// named is the name of a number of n bytes, and the number.
func named(v uint64, n int, names map[uint64]string) string {
	if name, ok := names[v]; ok {
		return name + " (" + hexadecimal(n)(v) + ")"
	}
	if n == 2 && isGREASE(v) {
		return "GREASE, which means nothing (RFC 8701; " + hexadecimal(n)(v) + ")"
	}
	return "unknown (" + hexadecimal(n)(v) + ")"
}

// isGREASE reports whether v is one of the values of RFC 8701, Section 2.
func isGREASE(v uint64) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// known names what the standard library has a name for; others it prints as prefix.
func known(v uint64, name, prefix string) string {
	if len(name) >= len(prefix) && name[:len(prefix)] == prefix {
		return named(v, 2, nil)
	}
	return name + " (" + hexadecimal(2)(v) + ")"
}

func contentType(v uint64) string {
	return named(v, 1, map[uint64]string{20: "change_cipher_spec", 21: "alert", 22: "handshake", 23: "application_data"})
}

func version(v uint64) string {
	return named(v, 2, map[uint64]string{0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"})
}

func suite(v uint64) string {
	if v == 0x00ff {
		return named(v, 2, map[uint64]string{v: "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"})
	}
	return known(v, tls.CipherSuiteName(uint16(v)), "0x")
}

func groupName(v uint64) string {
	if v == 0x0202 {
		return named(v, 2, map[uint64]string{v: "MLKEM1024"})
	}
	return known(v, tls.CurveID(v).String(), "CurveID(")
}

func scheme(v uint64) string {
	return known(v, tls.SignatureScheme(v).String(), "SignatureScheme(")
}

func compression(v uint64) string {
	return named(v, 2, map[uint64]string{1: "zlib", 2: "brotli", 3: "zstd"})
}

func certificateType(v uint64) string {
	return named(v, 1, map[uint64]string{0: "X509", 1: "OpenPGP", 2: "RawPublicKey"})
}

// extensionName is the name of an extension, and where it is described.
func extensionName(v uint64) (name, ref string) {
	switch v {
	case 0:
		return "server_name", "RFC 6066, Section 3"
	case 1:
		return "max_fragment_length", "RFC 6066, Section 4"
	case 5:
		return "status_request", "RFC 6066, Section 8"
	case 10:
		return "supported_groups", "RFC 9846, Section 4.3.7"
	case 11:
		return "ec_point_formats", "RFC 8422, Section 5.1.2"
	case 13:
		return "signature_algorithms", "RFC 9846, Section 4.3.3"
	case 16:
		return "application_layer_protocol_negotiation", "RFC 7301, Section 3.1"
	case 18:
		return "signed_certificate_timestamp", "RFC 6962, Section 3.3"
	case 19:
		return "client_certificate_type", "RFC 7250, Section 3"
	case 20:
		return "server_certificate_type", "RFC 7250, Section 3"
	case 21:
		return "padding", "RFC 7685"
	case 22:
		return "encrypt_then_mac", "RFC 7366"
	case 23:
		return "extended_master_secret", "RFC 7627"
	case 27:
		return "compress_certificate", "RFC 8879, Section 3"
	case 28:
		return "record_size_limit", "RFC 8449, Section 4"
	case 35:
		return "session_ticket", "RFC 5077"
	case 41:
		return "pre_shared_key", "RFC 9846, Section 4.3.11"
	case 42:
		return "early_data", "RFC 9846, Section 4.3.10"
	case 43:
		return "supported_versions", "RFC 9846, Section 4.3.1"
	case 44:
		return "cookie", "RFC 9846, Section 4.3.2"
	case 45:
		return "psk_key_exchange_modes", "RFC 9846, Section 4.3.9"
	case 47:
		return "certificate_authorities", "RFC 9846, Section 4.3.4"
	case 48:
		return "oid_filters", "RFC 9846, Section 4.3.5"
	case 49:
		return "post_handshake_auth", "RFC 9846, Section 4.3.6"
	case 50:
		return "signature_algorithms_cert", "RFC 9846, Section 4.3.3"
	case 51:
		return "key_share", "RFC 9846, Section 4.3.8"
	case 58:
		return "ticket_request", "RFC 9149, Section 2"
	case 0xfe0d:
		return "encrypted_client_hello", "RFC 9849, Section 5"
	case 0xff01:
		return "renegotiation_info", "RFC 5746, Section 3.2"
	}
	if isGREASE(v) {
		return "GREASE", "RFC 8701"
	}
	return "extension " + number(v), "RFC 9846, Section 4.3"
}
