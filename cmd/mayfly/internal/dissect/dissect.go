// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package dissect explains the bytes of TLS 1.3 to people: what a record or a message
// is made of, field by field, with where the RFC describes it. It takes whatever bytes
// there are, and says what is wrong with them instead of refusing them: judging is the
// business of internal/wire.
//
// It must not know connections, keys, or what becomes of what it explains. It only
// reads.
package dissect

import (
	"fmt"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A Field is a range of bytes and what it means. The Parts of a Field, where it has
// any, cover each of its bytes once, in order.
type Field struct {
	Name  string
	Value string // in words and in printable ASCII, whatever the peer sent; often empty
	Ref   string // where it is described, empty where that is where its parent is
	Wrong string // what is wrong with it, if something is
	Off   int    // from the start of what was dissected
	Len   int
	Parts []*Field
}

// A Sender is the side that has sent something: some extensions look different.
type Sender uint8

// The two sides.
const (
	Client Sender = iota
	Server
)

// String returns "client" or "server".
func (s Sender) String() string {
	if s == Server {
		return "server"
	}
	return "client"
}

// An Inside is what a protected record has turned out to hold. The ciphers of TLS 1.3
// encrypt byte by byte: what lies where in the plaintext lies there in the record.
type Inside struct {
	Type    uint8
	Content int // its length in bytes
}

// Sizes of the record layer, in bytes.
const (
	recordHeader = 5
	tagLen       = 16
)

// Record explains one record with its header. in is nil for one that is not protected,
// or was not opened.
func Record(b []byte, in *Inside) *Field {
	root, c := begin("record", "RFC 9846, Section 5.1", b)
	outer := c.uint("type", 1, contentType)
	c.uint("legacy_record_version", 2, version)
	length := c.uint("length", 2, number)
	switch {
	case c.over():
	case int(length) != len(c.b):
		c.rest("fragment").Wrong = "its length is not that of the header"
	case outer != 23:
		c.rest("fragment")
	default:
		protected(c, in)
	}
	c.end()
	return root
}

// protected explains the fragment of a protected record.
func protected(c *cursor, in *Inside) {
	into := c.group("encrypted_record", "RFC 9846, Section 5.2")
	defer c.endGroup(into)
	hidden := len(c.b) - tagLen
	if hidden < 0 {
		c.rest("too short").Wrong = "there is no room for an authentication tag"
		return
	}
	if in == nil || in.Content < 0 || in.Content >= hidden {
		c.bytes("ciphertext", hidden).Value = "not opened"
	} else {
		if in.Content > 0 {
			c.bytes("content", in.Content).Value = "encrypted " + contentType(uint64(in.Type))
		}
		c.bytes("content type", 1).Value = "encrypted: " + contentType(uint64(in.Type))
		if c.left() > tagLen {
			f := c.bytes("zeros", c.left()-tagLen)
			f.Value, f.Ref = "encrypted padding", "RFC 9846, Section 5.4"
		}
	}
	c.bytes("authentication tag", tagLen)
}

// Alert explains the content of an alert record.
func Alert(b []byte) *Field {
	root, c := begin("alert", "RFC 9846, Section 6", b)
	c.uint("level", 1, func(v uint64) string {
		return named(v, 1, map[uint64]string{1: "warning", 2: "fatal"})
	})
	c.uint("description", 1, func(v uint64) string {
		return fmt.Sprintf("%v (%d)", alert.Code(v), v)
	})
	c.end()
	return root
}

// ChangeCipherSpec explains the content of a change_cipher_spec record.
func ChangeCipherSpec(b []byte) *Field {
	root, c := begin("change_cipher_spec", "RFC 9846, Section 5", b)
	c.uint("type", 1, func(v uint64) string {
		if v == 1 {
			return "1: has no meaning in TLS 1.3, and is there for middleboxes (RFC 9846, Appendix E.4)"
		}
		return number(v)
	})
	c.end()
	return root
}

// Handshake explains one whole handshake message with its header.
func Handshake(b []byte, from Sender) *Field {
	root, c := begin("handshake message", "RFC 9846, Section 4", b)
	t := wire.MessageType(c.uint("msg_type", 1, func(v uint64) string {
		return fmt.Sprintf("%v (%d)", wire.MessageType(v), v)
	}))
	length := c.uint("length", 3, number)
	if c.over() {
		c.end()
		return root
	}
	root.Name, root.Ref = messageKind(t, c.b)
	if int(length) != len(c.b) {
		c.rest("body").Wrong = "its length is not that of the header"
		return root
	}
	body(c, t, from)
	c.end()
	return root
}

// messageKind is the name of a message, and where it is described.
func messageKind(t wire.MessageType, body []byte) (name, ref string) {
	switch t {
	case wire.ClientHelloType:
		return "ClientHello", "RFC 9846, Section 4.2.2"
	case wire.ServerHelloType:
		if isRetry(body) {
			return "HelloRetryRequest", "RFC 9846, Section 4.2.4"
		}
		return "ServerHello", "RFC 9846, Section 4.2.3"
	case wire.NewSessionTicketType:
		return "NewSessionTicket", "RFC 9846, Section 4.7.1"
	case wire.EndOfEarlyDataType:
		return "EndOfEarlyData", "RFC 9846, Section 4.6"
	case wire.EncryptedExtensionsType:
		return "EncryptedExtensions", "RFC 9846, Section 4.4.1"
	case wire.CertificateType:
		return "Certificate", "RFC 9846, Section 4.5.1"
	case wire.CertificateRequestType:
		return "CertificateRequest", "RFC 9846, Section 4.4.2"
	case wire.CertificateVerifyType:
		return "CertificateVerify", "RFC 9846, Section 4.5.2"
	case wire.FinishedType:
		return "Finished", "RFC 9846, Section 4.5.3"
	case wire.KeyUpdateType:
		return "KeyUpdate", "RFC 9846, Section 4.7.3"
	case wire.CompressedCertificateType:
		return "CompressedCertificate", "RFC 8879, Section 4"
	}
	return fmt.Sprintf("handshake message %d", uint8(t)), "RFC 9846, Section 4"
}

// body explains what follows the header of a message.
func body(c *cursor, t wire.MessageType, from Sender) {
	switch t {
	case wire.ClientHelloType:
		clientHello(c)
	case wire.ServerHelloType:
		serverHello(c)
	case wire.EncryptedExtensionsType:
		extensions(c, inEncryptedExtensions)
	case wire.CertificateRequestType:
		c.opaque("certificate_request_context", 1)
		extensions(c, inCertificateRequest)
	case wire.CertificateType:
		certificate(c)
	case wire.CompressedCertificateType:
		c.uint("algorithm", 2, compression)
		c.uint("uncompressed_length", 3, number)
		c.opaque("compressed_certificate_message", 3)
	case wire.CertificateVerifyType:
		c.uint("algorithm", 2, scheme)
		c.opaque("signature", 2)
	case wire.FinishedType:
		c.rest("verify_data").Value = "an HMAC over all messages before, under a key of the " + from.String() + "'s handshake traffic secret"
	case wire.NewSessionTicketType:
		newSessionTicket(c)
	case wire.KeyUpdateType:
		c.uint("request_update", 1, func(v uint64) string {
			return named(v, 1, map[uint64]string{0: "update_not_requested", 1: "update_requested"})
		})
	case wire.EndOfEarlyDataType:
	default:
		c.rest("body")
	}
}

func newSessionTicket(c *cursor) {
	c.uint("ticket_lifetime", 4, func(v uint64) string { return fmt.Sprintf("%d seconds", v) })
	c.uint("ticket_age_add", 4, hexadecimal(4))
	c.opaque("ticket_nonce", 1)
	c.opaque("ticket", 2)
	extensions(c, inTicket)
}
