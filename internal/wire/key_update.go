// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import "github.com/mayfly-tls/mayfly/internal/alert"

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
	return marshal(KeyUpdateType, func(b *builder) {
		if m.Requested {
			b.AddUint8(1)
		} else {
			b.AddUint8(0)
		}
	})
}
