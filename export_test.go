// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"time"

	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// AlterTicket alters a session's ticket.
func AlterTicket(s *Session, f func([]byte) []byte) { s.state.Ticket = f(s.state.Ticket) }

// CopySession copies a session, which nobody else can.
func CopySession(s *Session) *Session {
	state := *s.state
	state.Secret = state.Secret.Clone()
	return &Session{&state}
}

// SessionWiped reports whether nothing is left of a session's secret.
func SessionWiped(s *Session) bool { return s.state.Secret.Len() == 0 }

// RingSize is how many ticket keys a Listener holds of its own.
func RingSize(l *Listener) int {
	l.ring.mu.Lock()
	defer l.ring.mu.Unlock()
	return len(l.ring.keys)
}

// SendTickets has a server send tickets, that are good for nothing, in one record each.
func SendTickets(c *Conn, n int) error {
	for range n {
		ticket := &wire.NewSessionTicket{Lifetime: 3600, Nonce: []byte{9}, Ticket: []byte("nothing")}
		c.out.mu.Lock()
		err := c.queue(record.Handshake, ticket.Marshal())
		if err == nil {
			err = c.flush()
		}
		c.unlockOut()
		if err != nil {
			return err
		}
	}
	return nil
}

// TicketOf is a session's ticket.
func TicketOf(s *Session) []byte { return s.state.Ticket }

// SecretOf is a session's secret.
func SecretOf(s *Session) []byte { return s.state.Secret.Bytes() }

// RenameSession has a session be with another server.
func RenameSession(s *Session, name string) { s.state.ServerName = name }

// AgeSession has a client believe that its ticket is so much older.
func AgeSession(s *Session, d time.Duration) { s.state.Issued = s.state.Issued.Add(-d) }

// AllowEarly has a client believe that its ticket allows so much early data.
func AllowEarly(s *Session, n uint32) { s.state.MaxEarlyData = n }

// FailWriting has a connection believe that its transport takes nothing any more.
func FailWriting(c *Conn, err error) {
	c.out.mu.Lock()
	defer c.unlockOut()
	c.wipeOut(err)
}
