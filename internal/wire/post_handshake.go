// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// A NewSessionTicket is that of RFC 9846, Section 4.7.1.
type NewSessionTicket struct {
	Lifetime, AgeAdd uint32
	Nonce, Ticket    []byte
	MaxEarlyData     uint32

	Other      []Extension
	Extensions []ExtensionType
}

// Has reports whether the extension came with the message.
func (m *NewSessionTicket) Has(t ExtensionType) bool { return has(m.Extensions, t) }

// ParseNewSessionTicket parses a whole message.
func ParseNewSessionTicket(raw []byte) (*NewSessionTicket, error) {
	s, err := body(raw, NewSessionTicketType)
	if err != nil {
		return nil, err
	}
	m := new(NewSessionTicket)
	if !s.ReadUint32(&m.Lifetime) || !s.ReadUint32(&m.AgeAdd) ||
		!s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.Nonce)) ||
		!s.ReadUint16LengthPrefixed((*cryptobyte.String)(&m.Ticket)) || len(m.Ticket) == 0 {
		return nil, errDecode(NewSessionTicketType)
	}
	m.Extensions, err = readExtensions(&s, NewSessionTicketType, func(t ExtensionType, s cryptobyte.String) (bool, error) {
		if t == ExtEarlyData {
			return s.ReadUint32(&m.MaxEarlyData) && s.Empty(), nil
		}
		m.Other = append(m.Other, Extension{t, s})
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, errDecode(NewSessionTicketType)
	}
	return m, nil
}

// Marshal returns the whole message.
func (m *NewSessionTicket) Marshal() []byte {
	order := m.Extensions
	if order == nil {
		if m.MaxEarlyData != 0 {
			order = append(order, ExtEarlyData)
		}
		order = otherTypes(order, m.Other)
	}
	return marshal(NewSessionTicketType, func(b *cryptobyte.Builder) {
		b.AddUint32(m.Lifetime)
		b.AddUint32(m.AgeAdd)
		addUint8s(b, m.Nonce)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.Ticket) })
		addExtensions(b, order, func(b *cryptobyte.Builder, t ExtensionType) {
			if t == ExtEarlyData {
				b.AddUint32(m.MaxEarlyData)
				return
			}
			putOther(b, m.Other, t)
		})
	})
}

// A KeyUpdate is that of RFC 9846, Section 4.7.3.
type KeyUpdate struct{ Requested bool }

// ParseKeyUpdate parses a whole message.
func ParseKeyUpdate(raw []byte) (*KeyUpdate, error) {
	s, err := body(raw, KeyUpdateType)
	if err != nil {
		return nil, err
	}
	var request uint8
	if !s.ReadUint8(&request) || !s.Empty() {
		return nil, errDecode(KeyUpdateType)
	}
	if request > 1 {
		return nil, alert.New(alert.IllegalParameter, "a key_update message that asks for nothing known")
	}
	return &KeyUpdate{Requested: request == 1}, nil
}

// Marshal returns the whole message.
func (m *KeyUpdate) Marshal() []byte {
	return marshal(KeyUpdateType, func(b *cryptobyte.Builder) {
		if m.Requested {
			b.AddUint8(1)
		} else {
			b.AddUint8(0)
		}
	})
}

// An EndOfEarlyData is that of RFC 9846, Section 4.6.
type EndOfEarlyData struct{}

// ParseEndOfEarlyData parses a whole message.
func ParseEndOfEarlyData(raw []byte) (*EndOfEarlyData, error) {
	s, err := body(raw, EndOfEarlyDataType)
	if err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, errDecode(EndOfEarlyDataType)
	}
	return new(EndOfEarlyData), nil
}

// Marshal returns the whole message.
func (*EndOfEarlyData) Marshal() []byte {
	return marshal(EndOfEarlyDataType, func(*cryptobyte.Builder) {})
}
