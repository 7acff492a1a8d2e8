// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"crypto/subtle"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A PSK is a pre-shared key that a handshake may use (RFC 9846, Section 4.3.11).
// The machine that is given one owns its Secret, and wipes it when the handshake
// has used it or has gone another way.
type PSK struct {
	// Identity is what a client sends: a ticket, or the name of an external key.
	Identity []byte

	// ObfuscatedAge is what a client sends beside a ticket; 0 for other keys.
	ObfuscatedAge uint32

	// Kind is the label of the key's binder.
	Kind schedule.BinderLabel

	// Suite has the hash that the key goes with. Early data is protected by it.
	Suite suite.ID

	Secret *volatile.Secret

	// MaxEarlyData is how many bytes of early data the key may protect; 0: none.
	MaxEarlyData uint32

	// ALPN is the protocol that early data speaks.
	ALPN string

	// Origin is what the owner of the machine knows the key by.
	Origin any
}

// An Offer is one of the identities that a client has offered.
type Offer struct {
	Hello         *wire.ClientHello
	Identity      []byte
	ObfuscatedAge uint32
	First         bool // of the list: early data would be under its key
}

func (p *PSK) wipe() {
	if p != nil {
		p.Secret.Wipe()
	}
}

func wipePSKs(psks []*PSK) {
	for _, p := range psks {
		p.wipe()
	}
}

// maxIdentities is how many of a client's identities a server looks up.
const maxIdentities = 8

var _ = subtle.ConstantTimeCompare
var _ = slices.Contains[[]int]
var _ = alert.New
