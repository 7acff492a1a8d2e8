// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// PreSharedKeys is OfferedPsks of RFC 9846, Section 4.3.11.
type PreSharedKeys struct {
	Identities []PSKIdentity
	Binders    [][]byte
}

// A PSKIdentity is that of RFC 9846, Section 4.3.11.
type PSKIdentity struct {
	Identity      []byte
	ObfuscatedAge uint32
}

// BinderPrefix is the message up to the binders, which they authenticate (RFC
// 9846, Section 4.3.11.2); nil where no PSK was offered, or the message was not
// parsed.
func (m *ClientHello) BinderPrefix() []byte {
	if m.PSK == nil || m.Raw == nil {
		return nil
	}
	n := 2
	for _, b := range m.PSK.Binders {
		n += 1 + len(b)
	}
	return m.Raw[:len(m.Raw)-n]
}

// parsePSK reads the offered PSKs (RFC 9846, Section 4.3.11).
func (m *ClientHello) parsePSK(s cryptobyte.String) (bool, error) {
	m.PSK = new(PreSharedKeys)
	var identities, binders cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&identities) || identities.Empty() ||
		!s.ReadUint16LengthPrefixed(&binders) || binders.Empty() || !s.Empty() {
		return false, nil
	}
	for !identities.Empty() {
		var id PSKIdentity
		if !identities.ReadUint16LengthPrefixed((*cryptobyte.String)(&id.Identity)) || len(id.Identity) == 0 ||
			!identities.ReadUint32(&id.ObfuscatedAge) {
			return false, nil
		}
		m.PSK.Identities = append(m.PSK.Identities, id)
	}
	for !binders.Empty() {
		var binder cryptobyte.String
		if !binders.ReadUint8LengthPrefixed(&binder) || len(binder) < 32 {
			return false, nil
		}
		m.PSK.Binders = append(m.PSK.Binders, binder)
	}
	if len(m.PSK.Binders) != len(m.PSK.Identities) {
		return false, alert.New(alert.IllegalParameter, "not as many PSK binders as identities")
	}
	return true, nil
}

func (m *ClientHello) putPSK(b *builder) {
	b.AddUint16LengthPrefixed(func(b *builder) {
		for _, id := range m.PSK.Identities {
			addOpaque(b, id.Identity)
			b.AddUint32(id.ObfuscatedAge)
		}
	})
	b.AddUint16LengthPrefixed(func(b *builder) {
		for _, binder := range m.PSK.Binders {
			addUint8s(b, binder)
		}
	})
}
