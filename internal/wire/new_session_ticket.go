// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
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
func (m *NewSessionTicket) Has(t ExtensionType) bool { return slices.Contains(m.Extensions, t) }

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

// Marshal returns the whole message; nil where its lengths have no room for it.
func (m *NewSessionTicket) Marshal() []byte {
	order := m.Extensions
	if order == nil {
		if m.MaxEarlyData != 0 {
			order = append(order, ExtEarlyData)
		}
		order = otherTypes(order, m.Other)
	}
	return marshal(NewSessionTicketType, func(b *builder) {
		b.AddUint32(m.Lifetime)
		b.AddUint32(m.AgeAdd)
		addUint8s(b, m.Nonce)
		addOpaque(b, m.Ticket)
		addExtensions(b, order, func(b *builder, t ExtensionType) {
			if t == ExtEarlyData {
				b.AddUint32(m.MaxEarlyData)
				return
			}
			putOther(b, m.Other, t)
		})
	})
}
