// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// greaseValue is one of the sixteen values of RFC 8701, Section 2, for 16 bits.
func greaseValue(random byte) uint16 { return uint16(random&0xf0|0x0a) * 0x0101 }

// isGREASE reports whether a value is one that nobody may choose.
func isGREASE[T ~uint16](value T) bool {
	return value&0x0f0f == 0x0a0a && value>>8 == value&0xff
}

// grease adds values that mean nothing to a first ClientHello (RFC 8701, Section 3.1).
// They stand first, where a server that chokes on them cannot miss them.
func (m *Machine) grease(hello *wire.ClientHello) error {
	if !m.cfg.GREASE {
		return nil
	}
	var random [6]byte
	if err := m.random(random[:]); err != nil {
		return err
	}
	group := greaseValue(random[0])
	hello.SupportedGroups = slices.Insert(hello.SupportedGroups, 0, group)
	if len(hello.KeyShares) > 0 {
		hello.KeyShares = slices.Insert(hello.KeyShares, 0, wire.KeyShare{Group: group, Data: []byte{0}})
	}
	hello.CipherSuites = slices.Insert(hello.CipherSuites, 0, greaseValue(random[1]))
	hello.SupportedVersions = slices.Insert(hello.SupportedVersions, 0, greaseValue(random[2]))
	hello.SignatureAlgorithms = slices.Insert(hello.SignatureAlgorithms, 0, greaseValue(random[3]))
	first := greaseValue(random[4])
	second := greaseValue(random[5])
	if second == first {
		second ^= 0x1010
	}
	ech, err := m.greaseECH()
	if err != nil {
		return err
	}
	hello.Other = append(hello.Other,
		wire.Extension{Type: wire.ExtensionType(first)},
		wire.Extension{Type: wire.ExtEncryptedClientHello, Data: ech},
		wire.Extension{Type: wire.ExtensionType(second), Data: []byte{0}},
	)
	return nil
}

// What an ECHClientHello of the outer kind is made of (RFC 9849, Section 5).
const (
	hkdfSHA256    = 0x0001
	aes128GCM     = 0x0001
	chacha20      = 0x0003
	echPayload    = 128 + 16 // of a short inner ClientHello, sealed
	echPayloadMax = echPayload + 3*32
)

// greaseECH makes what cannot be told from the extension of a client that encrypts its
// ClientHello (RFC 9849, Section 6.2).
func (m *Machine) greaseECH() ([]byte, error) {
	enc, err := kex.Generate(kex.X25519, m.cfg.Rand)
	if err != nil {
		return nil, withAlert(err, alert.InternalError, "no key could be generated")
	}
	defer enc.Wipe()
	random := make([]byte, 2+echPayloadMax)
	if err := m.random(random); err != nil {
		return nil, err
	}
	aead := uint16(aes128GCM)
	if m.cfg.suites()[0] == suite.ChaCha20Poly1305 {
		aead = chacha20
	}
	return (&wire.ECHOuter{
		KDF: hkdfSHA256, AEAD: aead, ConfigID: random[0], Enc: enc.Share(), Payload: random[2 : 2+echPayload+32*int(random[1]%4)],
	}).Marshal(), nil
}

// checkRetryConfigs looks at the answer to what was no Encrypted ClientHello: it must
// be a list of ECHConfigs, and is not used (RFC 9849, Section 6.2).
func checkRetryConfigs(others []wire.Extension) error {
	for _, ext := range others {
		if ext.Type == wire.ExtEncryptedClientHello {
			return wire.CheckECHConfigList(ext.Data)
		}
	}
	return nil
}
