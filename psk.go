// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import "github.com/mayfly-tls/mayfly/handshake"

// A PresharedKey is a random key that two sides share.
type PresharedKey struct{}

// offerPSKs returns the external keys that a client offers.
func (i *introduction) offerPSKs() []*handshake.PSK { return nil }

// findPSK looks up an external key that a client has offered; nil if it is unknown.
func (i *introduction) findPSK(handshake.Offer) (*handshake.PSK, error) { return nil, nil }

// judgePresharedKey asks Peers about a peer that has proved to hold the key.
func (i *introduction) judgePresharedKey(*PresharedKey) error { return nil }
