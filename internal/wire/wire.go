// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package wire is the syntax of the handshake messages (RFC 9846, Section 4 and
// Appendix B): one file per message, parse and marshal together, and the
// Assembler, which puts messages together from records.
//
// It must not know policy or cryptography: whether a message or an extension is
// welcome is judged above. What does not follow the syntax is a decode_error; what
// does, and is wrong whoever asks, such as an extension that comes twice, is an
// illegal_parameter (RFC 9846, Section 6.2).
//
// What is parsed points into the message that it was parsed from, which must not
// change as long as it is in use. A message that parses is marshalled to the same
// bytes: Extensions keeps the order of its extensions, Other the bodies of those
// that are not known here.
package wire

import (
	"bytes"
	"strconv"
	"sync"

	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// A MessageType is a HandshakeType of RFC 9846, Section 4.
type MessageType uint8

// The types of messages.
const (
	ClientHelloType           MessageType = 1
	ServerHelloType           MessageType = 2
	NewSessionTicketType      MessageType = 4
	EndOfEarlyDataType        MessageType = 5
	EncryptedExtensionsType   MessageType = 8
	CertificateType           MessageType = 11
	CertificateRequestType    MessageType = 13
	CertificateVerifyType     MessageType = 15
	FinishedType              MessageType = 20
	KeyUpdateType             MessageType = 24
	CompressedCertificateType MessageType = 25 // RFC 8879
	MessageHashType           MessageType = 254
)

// String returns the RFC's name.
func (t MessageType) String() string {
	switch t {
	case ClientHelloType:
		return "client_hello"
	case ServerHelloType:
		return "server_hello"
	case NewSessionTicketType:
		return "new_session_ticket"
	case EndOfEarlyDataType:
		return "end_of_early_data"
	case EncryptedExtensionsType:
		return "encrypted_extensions"
	case CertificateType:
		return "certificate"
	case CertificateRequestType:
		return "certificate_request"
	case CertificateVerifyType:
		return "certificate_verify"
	case FinishedType:
		return "finished"
	case KeyUpdateType:
		return "key_update"
	case CompressedCertificateType:
		return "compressed_certificate"
	case MessageHashType:
		return "message_hash"
	}
	return "handshake message " + strconv.Itoa(int(t))
}

// headerLen is the length of a message's type and length.
const headerLen = 4

// A Message is one handshake message, whole and not yet parsed.
type Message struct {
	Type MessageType
	Raw  []byte // with its header
}

// Body returns the message without its header.
func (m Message) Body() []byte { return m.Raw[headerLen:] }

// errDecode is the one error of syntax (RFC 9846, Section 6.2).
func errDecode(t MessageType) error {
	return alert.New(alert.DecodeError, "a malformed "+t.String()+" message")
}

// body checks a message's header and returns what follows it.
func body(raw []byte, t MessageType) (cryptobyte.String, error) {
	s := cryptobyte.String(raw)
	var got uint8
	var content cryptobyte.String
	if !s.ReadUint8(&got) || MessageType(got) != t || !s.ReadUint24LengthPrefixed(&content) || !s.Empty() {
		return nil, errDecode(t)
	}
	return content, nil
}

// marshal builds a message. It is nil where a part of it is longer than its length
// can tell. What we send is ours to bound, but for what we echo: the cookie of a
// HelloRetryRequest fits where it came from, and perhaps not beside our extensions.
func marshal(t MessageType, f func(b *builder)) []byte {
	b := builders.Get().(*builder)
	b.AddUint8(uint8(t))
	b.AddUint24LengthPrefixed(f)
	message := bytes.Clone(b.bytes())
	if cap(b.b) <= maxKept {
		b.reset()
		builders.Put(b)
	}
	return message
}

// builders are those that are not in use, and maxKept the most room that one of them has.
var builders = sync.Pool{New: func() any { return &builder{b: make([]byte, 0, 2<<10)} }}

const maxKept = 16 << 10
