// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// The most that a message may take, with its header: room for the largest ticket, or the
// largest block of extensions, of 65,535 bytes, and for what stands around it.
const (
	maxMessage     = 68 << 10
	maxCertificate = 128 << 10 // Certificate and CompressedCertificate
)

// An Assembler puts handshake messages together from the contents of records. A
// zero Assembler is ready for use.
type Assembler struct {
	buf  []byte // what has come and is not yet a message
	read int    // how much of buf was handed out
}

// Aligned proves that a message ended where its record did, and that nothing
// waits behind it: keys may change now (RFC 9846, Section 5.1). Only an
// Assembler makes one that is valid.
type Aligned struct{ ok bool }

// Valid reports whether an Assembler made it.
func (a Aligned) Valid() bool { return a.ok }

// Write takes the content of one record. It copies it.
func (a *Assembler) Write(fragment []byte) error {
	if a.read > 0 {
		rest := copy(a.buf, a.buf[a.read:])
		clear(a.buf[rest:])
		a.buf, a.read = a.buf[:rest], 0
	}
	if len(a.buf)+len(fragment) > maxCertificate+maxMessage {
		return errTooLong()
	}
	a.buf = append(a.buf, fragment...)
	return nil
}

// Next returns the next whole message; ok is false while there is none. Its Raw is
// a copy of its own.
func (a *Assembler) Next() (msg Message, ok bool, err error) {
	b := a.buf[a.read:]
	if len(b) < headerLen {
		return Message{}, false, nil
	}
	msg.Type = MessageType(b[0])
	n := headerLen + (int(b[1])<<16 | int(b[2])<<8 | int(b[3]))
	limit := maxMessage
	if msg.Type == CertificateType || msg.Type == CompressedCertificateType {
		limit = maxCertificate
	}
	if n > limit {
		return Message{}, false, errTooLong()
	}
	if len(b) < n {
		return Message{}, false, nil
	}
	msg.Raw = append(make([]byte, 0, n), b[:n]...)
	a.read += n
	if a.read == len(a.buf) {
		a.Wipe()
	}
	return msg, true, nil
}

// Rest lends what was written and is not handed out.
func (a *Assembler) Rest() []byte { return a.buf[a.read:] }

// Pending reports whether something was written that is not handed out.
func (a *Assembler) Pending() bool { return a.read < len(a.buf) }

// Aligned returns a proof that nothing is pending, where that is so.
func (a *Assembler) Aligned() (Aligned, bool) {
	ok := !a.Pending()
	return Aligned{ok}, ok
}

// Wipe forgets everything. It may be called again.
func (a *Assembler) Wipe() {
	volatile.Wipe(a.buf)
	a.buf, a.read = nil, 0
}

// errTooLong is an illegal_parameter: the length is one that the syntax allows (RFC
// 9846, Section 6.2).
func errTooLong() error {
	return alert.New(alert.IllegalParameter, "a handshake message that is too long")
}
