// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package record is the record layer of TLS 1.3 (RFC 9846, Section 5): framing,
// the AEAD with nonces from sequence numbers, padding, fragmenting, and the limits
// on sizes and on the use of a key. A Sealer makes records, an Opener opens them.
//
// It must not know sockets, where keys come from, the time, or what a handshake
// message is.
//
// This package promises no compatibility: it is public to be read (docs/stability.md).
package record

import (
	"encoding/binary"
	"errors"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// A ContentType is that of RFC 9846, Section 5.1.
type ContentType uint8

// The content types.
const (
	ChangeCipherSpec ContentType = 20
	Alert            ContentType = 21
	Handshake        ContentType = 22
	ApplicationData  ContentType = 23
)

// The sizes of RFC 9846, Sections 5.1 and 5.2, in bytes.
const (
	HeaderLen     = 5
	MaxPlaintext  = 1 << 14            // content
	MaxCiphertext = MaxPlaintext + 256 // fragment of a protected record
	tagLen        = 16
)

// ErrLimit is returned where a key has protected as many records as it may (RFC
// 9846, Section 5.5), or the sequence numbers are at their end: nothing is sealed.
var ErrLimit = errors.New("record: the key has protected as many records as it may")

// errContent is returned for content that no record of its type may hold.
var errContent = errors.New("record: content that must not be sent")

// errGone is returned after Wipe.
var errGone = errors.New("record: the keys are gone")

// ParseHeader reads the header of a record: its outer type and the length of the
// fragment that follows. The minor part of legacy_record_version is ignored; the
// major is 3 in everything that is TLS, and tells it from other protocols. The error carries its
// alert.
func ParseHeader(b []byte) (t ContentType, n int, err error) {
	if len(b) < HeaderLen {
		return 0, 0, alert.New(alert.InternalError, "a record header that is not whole")
	}
	t = ContentType(b[0])
	if t < ChangeCipherSpec || t > ApplicationData || b[1] != 3 {
		return 0, 0, alert.New(alert.UnexpectedMessage, "this is not a TLS record: the peer speaks another protocol")
	}
	n = int(binary.BigEndian.Uint16(b[3:]))
	if n > MaxCiphertext {
		return 0, 0, alert.New(alert.RecordOverflow, "a record that is too long")
	}
	return t, n, nil
}

// Padding says how many zero bytes to add to n bytes of content (RFC 9846, Section
// 5.4). What would make the record too long is left out.
type Padding func(n int) int
