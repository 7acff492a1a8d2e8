// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package dissect

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// A place is the message in which extensions stand.
type place uint8

const (
	inClientHello place = iota
	inServerHello
	inRetry
	inEncryptedExtensions
	inCertificateRequest
	inCertificate
	inTicket
)

// extensions explains a list of extensions.
func extensions(c *cursor, in place) {
	c.vector("extensions", "RFC 9846, Section 4.3", 2, func(c *cursor) {
		c.each(func(c *cursor) {
			outer := c.group("extension", "")
			t := c.uint("extension_type", 2, func(v uint64) string {
				name, _ := extensionName(v)
				return fmt.Sprintf("%s (%d)", name, v)
			})
			if !c.over() {
				c.into.Name, c.into.Ref = extensionName(t)
			}
			c.vector("extension_data", "", 2, func(c *cursor) {
				if c.left() > 0 {
					extension(c, t, in)
				}
			})
			c.endGroup(outer)
		})
	})
}

// extension explains the data of one extension, of which there are some.
func extension(c *cursor, t uint64, in place) {
	hello := in == inClientHello
	asked := hello || in == inCertificateRequest
	switch {
	case t == 0 && hello:
		serverNames(c)
	case t == 5 && asked:
		c.uint("status_type", 1, statusType)
		c.opaque("responder_id_list", 2)
		c.opaque("request_extensions", 2)
	case t == 5 && in == inCertificate:
		c.uint("status_type", 1, statusType)
		c.opaque("OCSP response", 3)
	case t == 10:
		c.numbers("named_group_list", 2, 2, "group", groupName)
	case t == 11 && hello:
		c.numbers("ec_point_format_list", 1, 1, "format", number)
	case t == 13, t == 50:
		c.numbers("supported_signature_algorithms", 2, 2, "scheme", scheme)
	case t == 16:
		c.vector("protocol_name_list", "", 2, func(c *cursor) {
			c.each(func(c *cursor) { c.text("protocol", 1) })
		})
	case t == 18 && in == inCertificate:
		c.vector("SignedCertificateTimestampList", "", 2, func(c *cursor) {
			c.each(func(c *cursor) { c.opaque("timestamp", 2) })
		})
	case (t == 19 || t == 20) && hello:
		c.numbers("certificate_types", 1, 1, "type", certificateType)
	case t == 19 || t == 20:
		c.uint("certificate_type", 1, certificateType)
	case t == 27:
		c.numbers("algorithms", 1, 2, "algorithm", compression)
	case t == 28:
		c.uint("record_size_limit", 2, func(v uint64) string { return fmt.Sprintf("%d bytes, the content type among them", v) })
	case t == 58 && hello:
		c.uint("new_session_count", 1, number)
		c.uint("resumption_count", 1, number)
	case t == 58:
		c.uint("expected_count", 1, number)
	default:
		extensionOf13(c, t, in)
	}
}

// extensionOf13 is extension for those that came with TLS 1.3.
func extensionOf13(c *cursor, t uint64, in place) {
	hello := in == inClientHello
	switch {
	case t == 41 && hello:
		preSharedKeys(c)
	case t == 41:
		c.uint("selected_identity", 2, number)
	case t == 42 && in == inTicket:
		c.uint("max_early_data_size", 4, func(v uint64) string { return fmt.Sprintf("%d bytes", v) })
	case t == 43 && hello:
		c.numbers("versions", 1, 2, "version", version)
	case t == 43:
		c.uint("selected_version", 2, version)
	case t == 44:
		c.opaque("cookie", 2)
	case t == 45:
		c.numbers("ke_modes", 1, 1, "mode", func(v uint64) string {
			return named(v, 1, map[uint64]string{0: "psk_ke", 1: "psk_dhe_ke"})
		})
	case t == 47:
		c.vector("authorities", "", 2, func(c *cursor) { c.each(authority) })
	case t == 51 && hello:
		c.vector("client_shares", "", 2, func(c *cursor) {
			c.each(func(c *cursor) { keyShare(c, Client) })
		})
	case t == 51 && in == inRetry:
		c.uint("selected_group", 2, groupName)
	case t == 51:
		keyShare(c, Server)
	case t == 0xfe0d && hello:
		encryptedHello(c)
	default:
		c.rest("data")
	}
}

func statusType(v uint64) string { return named(v, 1, map[uint64]string{1: "ocsp"}) }

func serverNames(c *cursor) {
	c.vector("server_name_list", "", 2, func(c *cursor) {
		c.each(func(c *cursor) {
			c.uint("name_type", 1, func(v uint64) string { return named(v, 1, map[uint64]string{0: "host_name"}) })
			c.text("host_name", 2)
		})
	})
}

func preSharedKeys(c *cursor) {
	c.vector("identities", "", 2, func(c *cursor) {
		c.each(func(c *cursor) {
			outer := c.group("PSK identity", "")
			c.opaque("identity", 2)
			c.uint("obfuscated_ticket_age", 4, hexadecimal(4))
			c.endGroup(outer)
		})
	})
	c.vector("binders", "RFC 9846, Section 4.3.11.2", 2, func(c *cursor) {
		c.each(func(c *cursor) { c.opaque("binder", 1) })
	})
}

// authority explains a distinguished name.
func authority(c *cursor) {
	said := ""
	f := c.vector("distinguished name", "", 2, func(c *cursor) {
		var rdn pkix.RDNSequence
		if rest, err := asn1.Unmarshal(c.b, &rdn); err == nil && len(rest) == 0 {
			said = quote([]byte(rdn.String()))
		}
		der(c, nameShape("Name"), 0)
	})
	f.Value = said
}

// encryptedHello explains the client's encrypted_client_hello.
func encryptedHello(c *cursor) {
	kind := c.uint("type", 1, func(v uint64) string { return named(v, 1, map[uint64]string{0: "outer", 1: "inner"}) })
	if kind != 0 {
		return
	}
	c.uint("kdf_id", 2, hexadecimal(2))
	c.uint("aead_id", 2, hexadecimal(2))
	c.uint("config_id", 1, number)
	c.opaque("enc", 2)
	c.opaque("payload", 2)
}
