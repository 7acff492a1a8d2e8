// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

// AlterTicket alters a session's ticket.
func AlterTicket(s *Session, f func([]byte) []byte) { s.state.Ticket = f(s.state.Ticket) }

// CopySession copies a session, which nobody else can.
func CopySession(s *Session) *Session {
	state := *s.state
	state.Secret = state.Secret.Clone()
	return &Session{&state}
}
