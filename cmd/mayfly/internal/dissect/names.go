// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package dissect

import (
	"crypto/tls"
	"fmt"
	"strconv"
	"strings"
)

// Suite, Group, Scheme and Version name code points of TLS, and Quote makes text of a
// peer's printable ASCII: so all that a Field says looks.
func Suite(v uint16) string   { return suite(uint64(v)) }
func Group(v uint16) string   { return groupName(uint64(v)) }
func Scheme(v uint16) string  { return scheme(uint64(v)) }
func Version(v uint16) string { return version(uint64(v)) }
func Quote(s string) string   { return quote([]byte(s)) }

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
	name := tls.CipherSuiteName(uint16(v))
	if strings.HasPrefix(name, "0x") {
		return named(v, 2, nil)
	}
	return name + " (" + hexadecimal(2)(v) + ")"
}

func groupName(v uint64) string {
	return named(v, 2, map[uint64]string{
		0x0017: "secp256r1", 0x0018: "secp384r1", 0x0019: "secp521r1", 0x001d: "x25519", 0x001e: "x448",
		0x0100: "ffdhe2048", 0x0101: "ffdhe3072", 0x0102: "ffdhe4096", 0x0103: "ffdhe6144", 0x0104: "ffdhe8192",
		0x0200: "MLKEM512", 0x0201: "MLKEM768", 0x0202: "MLKEM1024",
		0x11eb: "SecP256r1MLKEM768", 0x11ec: "X25519MLKEM768", 0x11ed: "SecP384r1MLKEM1024",
	})
}

func scheme(v uint64) string {
	return named(v, 2, map[uint64]string{
		0x0201: "rsa_pkcs1_sha1", 0x0203: "ecdsa_sha1",
		0x0401: "rsa_pkcs1_sha256", 0x0501: "rsa_pkcs1_sha384", 0x0601: "rsa_pkcs1_sha512",
		0x0403: "ecdsa_secp256r1_sha256", 0x0503: "ecdsa_secp384r1_sha384", 0x0603: "ecdsa_secp521r1_sha512",
		0x0804: "rsa_pss_rsae_sha256", 0x0805: "rsa_pss_rsae_sha384", 0x0806: "rsa_pss_rsae_sha512",
		0x0807: "ed25519", 0x0808: "ed448",
		0x0809: "rsa_pss_pss_sha256", 0x080a: "rsa_pss_pss_sha384", 0x080b: "rsa_pss_pss_sha512",
		0x0904: "mldsa44", 0x0905: "mldsa65", 0x0906: "mldsa87",
	})
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
