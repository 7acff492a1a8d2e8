// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
)

// A session is what both sides remember of a connection that can be resumed.
type session struct{}

// times returns when the session's ticket was made, and when, by the client's account
// of the ticket's age, its ClientHello was to arrive.
func (s *session) times() (issued, expected time.Time) { return time.Time{}, time.Time{} }

// offerSession returns what a client offers to resume, nil if there is nothing.
func (i *introduction) offerSession() *handshake.PSK { return nil }

// findSession opens a ticket that a client has offered; nil if it is none of ours.
func (i *introduction) findSession(handshake.Offer) (*handshake.PSK, error) { return nil, nil }

// judgeSession asks the present Peers about the peer of a session.
func (i *introduction) judgeSession(*session) (bool, error) { return false, nil }

// sharesTickets reports whether other servers may have the keys of our tickets.
func (s *settings) sharesTickets() bool { return false }
