// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/callback"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/resumption"
	"github.com/mayfly-tls/mayfly/internal/trust"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// tickets is what a client knows of its connection for the tickets to come.
type tickets struct {
	settings *settings
	name     string            // that sessions are stored under
	memory   *resumption.State // of the handshake, without what belongs to a ticket
	putting  callback.Calls
}

// newTicketTaker returns nil for those who want no tickets.
func (i *introduction) newTicketTaker() *tickets {
	if i.settings.server || i.settings.Sessions == nil {
		return nil
	}
	memory := *i.known.memory
	memory.ServerName = trust.CanonicalName(i.settings.ServerName)
	return &tickets{settings: i.settings, name: i.sessionName(), memory: &memory}
}

// pinOfCredential is the pin of a key of ours.
func pinOfCredential(c *credential.Credential) [32]byte {
	if c.Leaf != nil {
		return PinOfCertificate(c.Leaf)
	}
	if c.Type == credential.RawPublicKey && len(c.Entries) == 1 {
		return sha256.Sum256(c.Entries[0]) // the SubjectPublicKeyInfo
	}
	peer, err := credential.ParsePeer(c.Type, c.Entries)
	if err != nil {
		return [32]byte{1} // of nobody
	}
	return peer.Pin()
}

// takeTicket stores a ticket that the server sent (RFC 9846, Section 4.7.1). c.in.mu is
// held: a store that may be slow is not waited for.
func (c *Conn) takeTicket(ticket *wire.NewSessionTicket) {
	t := c.tickets
	if t == nil || ticket.Lifetime == 0 || len(ticket.Ticket) > handshake.MaxTicket {
		return
	}
	psk := c.keys.ticketPSK(ticket.Nonce)
	if psk == nil {
		return
	}
	state := *t.memory
	state.Secret = psk
	state.Issued = t.settings.now()
	state.Lifetime = min(time.Duration(ticket.Lifetime)*time.Second, resumption.MaxLifetime)
	state.AgeAdd, state.MaxEarlyData = ticket.AgeAdd, ticket.MaxEarlyData
	state.Ticket = bytes.Clone(ticket.Ticket)
	store, s := t.settings.Sessions, &Session{&state}
	if cache, ok := store.(*SessionCache); ok {
		_ = cache.Put(context.Background(), t.name, s) // it has no errors
		return
	}
	tell, remote := c.tell(), c.inner.RemoteAddr()
	log := &t.settings.calls.Log
	lost := func(err error) {
		s.Wipe()
		tell.sessionError(SessionErrorInfo{RemoteAddr: remote, Action: "put", Err: err})
	}
	if !t.putting.Begin(maxPuts) {
		lost(callback.ErrSlow)
		return
	}
	go func() {
		defer t.putting.End()
		ctx, cancel := context.WithTimeout(context.Background(), callback.StoreTimeout)
		defer cancel()
		err := errors.New("mayfly: the SessionStore panicked")
		callback.Isolate(log, func() { err = store.Put(ctx, t.name, s) })
		if err != nil {
			callback.Isolate(log, func() { lost(err) })
		}
	}()
}
