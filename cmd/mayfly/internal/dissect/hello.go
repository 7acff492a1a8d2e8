// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package dissect

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/mayfly-tls/mayfly/internal/wire"
)

// isRetry reports whether a ServerHello is a HelloRetryRequest.
func isRetry(body []byte) bool {
	return len(body) >= 34 && bytes.Equal(body[2:34], wire.RetryRandom[:])
}

func clientHello(c *cursor) {
	c.uint("legacy_version", 2, version)
	c.bytes("random", 32)
	sessionID(c, "legacy_session_id")
	c.numbers("cipher_suites", 2, 2, "cipher suite", suite)
	c.numbers("legacy_compression_methods", 1, 1, "method", func(v uint64) string {
		return named(v, 1, map[uint64]string{0: "null"})
	})
	extensions(c, inClientHello)
}

func serverHello(c *cursor) {
	where := inServerHello
	if isRetry(c.b) {
		where = inRetry
	}
	c.uint("legacy_version", 2, version)
	random := c.bytes("random", 32)
	if where == inRetry {
		random.Value = "SHA-256 of \"HelloRetryRequest\": this is one"
	}
	sessionID(c, "legacy_session_id_echo")
	c.uint("cipher_suite", 2, suite)
	c.uint("legacy_compression_method", 1, number)
	extensions(c, where)
}

func sessionID(c *cursor, name string) {
	f := c.opaque(name, 1)
	if f.Len > 1 && f.Wrong == "" {
		f.Value = "has no meaning in TLS 1.3, and is there for middleboxes (RFC 9846, Appendix E.4)"
	}
}

// certificate explains a Certificate. Whether an entry holds a certificate or a raw
// public key is seen by what it parses as.
func certificate(c *cursor) {
	c.opaque("certificate_request_context", 1)
	c.vector("certificate_list", "", 3, func(c *cursor) {
		c.each(func(c *cursor) {
			outer := c.group("certificate entry", "")
			defer c.endGroup(outer)
			var said string
			var kind *shape
			f := c.vector("cert_data", "", 3, func(c *cursor) {
				said, kind = describeCredential(c.b)
				der(c, kind, 0)
			})
			if f.Value = said; kind != nil {
				f.Ref = "RFC 5280, Section 4.1"
			}
			extensions(c, inCertificate)
		})
	})
}

// describeCredential says what a credential is, as far as it can be read.
func describeCredential(b []byte) (string, *shape) {
	if cert, err := x509.ParseCertificate(b); err == nil {
		return fmt.Sprintf("X.509 certificate of %s, by %s", quote([]byte(Name(cert.Subject))), quote([]byte(Name(cert.Issuer)))), certificateShape()
	}
	if _, err := x509.ParsePKIXPublicKey(b); err == nil {
		return "raw public key (RFC 7250)", publicKeyShape("SubjectPublicKeyInfo")
	}
	return "", nil
}

// keyShare explains one KeyShareEntry.
func keyShare(c *cursor, from Sender) {
	outer := c.group("key share", "")
	group := c.uint("group", 2, groupName)
	c.vector("key_exchange", "", 2, func(c *cursor) { keyExchange(c, tls.CurveID(group), from) })
	f := c.endGroup(outer)
	if !c.over() {
		f.Value = groupName(group)
	}
}

// keyExchange explains what a side adds to a key exchange.
func keyExchange(c *cursor, group tls.CurveID, from Sender) {
	point := map[tls.CurveID]int{tls.CurveP256: 32, tls.CurveP384: 48, tls.CurveP521: 66}[group]
	kem, what := 1184, "ML-KEM-768 encapsulation key"
	if from == Server {
		kem, what = 1088, "ML-KEM-768 ciphertext"
	}
	switch {
	case group == tls.X25519MLKEM768 && c.left() == kem+32:
		c.bytes(what, kem)
		c.bytes("X25519 public key", 32).Ref = "RFC 9846, Section 7.4.2"
	case point > 0 && c.left() == 1+2*point:
		outer := c.group("point", "RFC 9846, Section 4.3.8.2")
		c.uint("legacy_form", 1, number)
		c.bytes("X", point)
		c.bytes("Y", point)
		c.endGroup(outer)
	default:
		c.rest("public value")
	}
}
