// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/wire"
)

// An edit makes another message of one that is under way. The tests edit bytes,
// so that what they send does not hang on how the messages are marshalled.
type edit func(raw []byte) []byte

func same(raw []byte) []byte   { return raw }
func longer(raw []byte) []byte { return relength(append(raw, 0)) }

func shorter(raw []byte) []byte { return relength(raw[:len(raw)-1]) }

func last(raw []byte) []byte { raw[len(raw)-1] ^= 1; return raw }

func constant(s string) edit { return func([]byte) []byte { return []byte(s) } }

func at(i int, b ...byte) edit {
	return func(raw []byte) []byte { copy(raw[i:], b); return raw }
}

func chain(edits ...edit) edit {
	return func(raw []byte) []byte {
		for _, e := range edits {
			raw = e(raw)
		}
		return raw
	}
}

// relength puts the length of a message right.
func relength(raw []byte) []byte {
	n := len(raw) - 4
	raw[1], raw[2], raw[3] = byte(n>>16), byte(n>>8), byte(n)
	return raw
}

// otherSuite selects the suite that was offered next to the selected one.
func otherSuite(raw []byte) []byte {
	const suiteLow = 4 + 2 + 32 + 1 + 32 + 1
	raw[suiteLow] = 1 + raw[suiteLow]%3
	return raw
}

// compression replaces legacy_compression_methods of a ClientHello.
func compression(methods string) edit {
	return func(raw []byte) []byte {
		i := 4 + 2 + 32
		i += 1 + int(raw[i])
		i += 2 + int(binary.BigEndian.Uint16(raw[i:]))
		return relength(slices.Concat(raw[:i:i], []byte(methods), raw[i+1+int(raw[i]):]))
	}
}

// psk appends a pre_shared_key extension.
func psk(identities, binders int) edit {
	ids := bytes.Repeat([]byte("\x00\x01i\x00\x00\x00\x00"), identities)
	bs := bytes.Repeat(append([]byte{32}, make([]byte, 32)...), binders)
	b := binary.BigEndian.AppendUint16(nil, uint16(len(ids)))
	b = binary.BigEndian.AppendUint16(append(b, ids...), uint16(len(bs)))
	return with(wire.ExtPreSharedKey, string(append(b, bs...)))
}

// staple gives the first entry of a Certificate an OCSP response.
func staple(raw []byte) []byte {
	i := 4 + 1
	body := raw[i+3:]
	n := int(body[0])<<16 + int(body[1])<<8 + int(body[2])
	rest := body[3+n+2:]
	entry := slices.Concat(body[:3+n:3+n], []byte("\x00\x09\x00\x05\x00\x05\x01\x00\x00\x01x"), rest)
	list := []byte{byte(len(entry) >> 16), byte(len(entry) >> 8), byte(len(entry))}
	return relength(slices.Concat(raw[:i:i], list, entry))
}

// An extension is one of a message, in bytes.
type extension struct {
	t    wire.ExtensionType
	data string
}

// with appends an extension, or replaces the one of its type where it stands.
func with(t wire.ExtensionType, data string) edit {
	return editExtensions(func(all []extension) []extension {
		if i := slices.IndexFunc(all, func(e extension) bool { return e.t == t }); i >= 0 {
			all[i].data = data
			return all
		}
		return append(all, extension{t, data})
	})
}

func lacking(t wire.ExtensionType) edit {
	return editExtensions(func(all []extension) []extension {
		return slices.DeleteFunc(all, func(e extension) bool { return e.t == t })
	})
}

func double(t wire.ExtensionType) edit {
	return editExtensions(func(all []extension) []extension {
		i := slices.IndexFunc(all, func(e extension) bool { return e.t == t })
		return append(all, all[i])
	})
}

// editExtensions edits the extensions of a hello, EncryptedExtensions or
// CertificateRequest.
func editExtensions(f func([]extension) []extension) edit {
	return func(raw []byte) []byte {
		i := 4
		switch wire.MessageType(raw[0]) {
		case wire.ClientHelloType:
			i += 2 + 32
			i += 1 + int(raw[i])
			i += 2 + int(binary.BigEndian.Uint16(raw[i:]))
			i += 1 + int(raw[i])
		case wire.ServerHelloType:
			i += 2 + 32
			i += 1 + int(raw[i]) + 2 + 1
		case wire.CertificateRequestType:
			i += 1 + int(raw[i])
		}
		var all []extension
		for b := raw[i+2:]; len(b) > 0; {
			n := int(binary.BigEndian.Uint16(b[2:]))
			all = append(all, extension{wire.ExtensionType(binary.BigEndian.Uint16(b)), string(b[4 : 4+n])})
			b = b[4+n:]
		}
		var block []byte
		for _, e := range f(all) {
			block = binary.BigEndian.AppendUint16(block, uint16(e.t))
			block = binary.BigEndian.AppendUint16(block, uint16(len(e.data)))
			block = append(block, e.data...)
		}
		out := binary.BigEndian.AppendUint16(raw[:i:i], uint16(len(block)))
		return relength(append(out, block...))
	}
}
