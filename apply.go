// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/callback"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/record"
)

// apply carries out the machine's events, in their order: it is their only
// interpreter. c.in.mu is held, and c.out.mu while the handshake runs; no event
// after it touches sending.
func (c *Conn) apply(events []handshake.Event) error {
	if !c.done.Load() && c.intro.settings.MaxFragment != 0 {
		c.out.sealer.SetMaxFragment(c.intro.settings.MaxFragment)
	}
	applied := 0
	defer func() { handshake.Discard(events[applied:]) }() // of an error, or a hook that panics
	for i, event := range events {
		applied = i + 1
		var err error
		switch e := event.(type) {
		case handshake.Send:
			err = c.queue(record.Handshake, e.Messages)
		case handshake.SendCCS:
			err = c.queue(record.ChangeCipherSpec, []byte{1})
		case handshake.InstallWrite:
			c.out.sealer.SetKeys(e.Keys)
			c.early.writing = e.Epoch
			c.tellKeys(&c.out.told, Sending, e.Epoch, 0, e.Keys)
		case handshake.InstallRead:
			c.in.opener.SetKeys(e.Keys)
			c.early.reading = e.Epoch
			generation := uint64(0)
			if c.done.Load() {
				generation = c.in.receiver.Generation()
			}
			c.tellKeys(&c.in.told, Receiving, e.Epoch, generation, e.Keys)
		case handshake.RecordLimit:
			c.out.sealer.SetLimit(e.Send)
			c.in.opener.SetLimit(e.Receive)
		case handshake.SkipEarlyData:
			c.in.skip = e.Max
		case handshake.EarlyData:
			if e.Exporter != nil {
				c.keys.keepEarly(e.Exporter)
			}
			if c.early.left = int(e.Max); c.server {
				peer := c.intro.peer
				c.earlyPeer.Store(&peer)
			}
		case handshake.Resumption:
			if !c.server {
				c.keys.keepResumption(e.Secret)
			} else if c.intro.newTickets(e.Secret); c.intro.known.Tickets != nil && !c.machine.Done() {
				err = c.queueTickets()
			}
		case handshake.Complete:
			// The pump asks the machine.
		case handshake.PeerUpdated:
			c.firstRecord.Fire()
			c.peerUpdated(e.Requested, e.Generation)
		case handshake.Ticket:
			c.firstRecord.Fire()
			c.takeTicket(e.NewSessionTicket)
		default:
			err = alert.New(alert.InternalError, "an event that nobody knows")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tellKeys traces that the keys of one half, those of told, are gone, and that keys are
// in their place; nil is none. The half is held.
func (c *Conn) tellKeys(told **KeyInfo, d Direction, epoch handshake.Epoch, generation uint64, keys *suite.Keys) {
	c.tellKeysGone(told)
	if t := c.tell(); keys != nil && t.trace != nil {
		*told = &KeyInfo{
			Direction: d, Early: epoch == handshake.EpochEarly, Handshake: epoch == handshake.EpochHandshake,
			Generation: generation, CipherSuite: uint16(keys.Suite.ID),
		}
		t.keysInstalled(**told)
	}
}

// tellKeysGone traces that the keys of one half are gone.
func (c *Conn) tellKeysGone(told **KeyInfo) {
	if info := *told; info != nil {
		*told = nil
		c.tell().keysDestroyed(*info)
	}
}

// tellKeysWiped is tellKeysGone at the end of a connection, which no hook may stop.
func (c *Conn) tellKeysWiped(told **KeyInfo) {
	if *told != nil {
		callback.Isolate(c.tell().log, func() { c.tellKeysGone(told) })
	}
}
