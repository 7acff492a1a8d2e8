// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import "time"

// Every oddity that is tolerated has a budget, and it stands here. The limits on
// the sizes of messages are internal/wire's, those on records are record's.
const (
	// defaultHandshakeTimeout is the time a handshake may take, as in DESIGN.md.
	defaultHandshakeTimeout = 10 * time.Second

	// maxProtocols is what the names in Config.NextProtos may take in a message, which
	// other things have to fit into too.
	maxProtocols = 4096

	// closeTimeout bounds how long Close waits for a peer that does not read
	// to take the close_notify; crypto/tls waits as long.
	closeTimeout = 5 * time.Second

	// interruptTimeout is closeTimeout where a Write is under way in another
	// goroutine: it may have been stuck for long.
	interruptTimeout = 100 * time.Millisecond

	// minFirstRecordWait is the least that a client which has read nothing waits,
	// when it is closed, for the server's first record; else it waits twice the
	// time that its handshake took.
	minFirstRecordWait = 20 * time.Millisecond

	// alertTimeout bounds the sending of a fatal alert, and the search for the
	// peer's own alert after a failed Write.
	alertTimeout = time.Second

	// maxEmptyRecords is how many records without content may come in a row
	// (BoringSSL's kMaxEmptyRecords).
	maxEmptyRecords = 32

	// maxWarnings is how many user_canceled alerts may come in a row
	// (BoringSSL's kMaxWarningAlerts).
	maxWarnings = 4

	// maxKeyUpdates is how many KeyUpdates may come in a row with no
	// application data between (BoringSSL's kMaxKeyUpdates).
	maxKeyUpdates = 32

	// keyUpdateRecovery is the time after which one more KeyUpdate may come. An answer
	// to Rekey is not counted.
	keyUpdateRecovery = 10 * time.Second

	// maxTickets is how many NewSessionTickets may come in a row with no
	// application data between.
	maxTickets = 32

	// maxCCS is how many dummy change_cipher_spec records may come during a
	// handshake; RFC 9846, Appendix E.4 lets a peer send one or two.
	maxCCS = 32

	// maxHandshakeBytes is how much a peer may send before its handshake is done.
	maxHandshakeBytes = 512 << 10

	// maxPuts is how many calls of a SessionStore's Put a connection may have in progress.
	maxPuts = 8

	// maxStaleSessions is how many sessions that are good for nothing are taken from a
	// store for one handshake.
	maxStaleSessions = 8

	// The defaults of TicketPolicy and NewSessionCache, and what the limits of the
	// syntax leave for a ticket.
	defaultTickets        = 2
	defaultTicketLifetime = 24 * time.Hour
	defaultSessionAge     = 7 * 24 * time.Hour
	defaultSessions       = 64
	maxTicketsGiven       = 8
	maxTicketLen          = 32 << 10

	// ticketRotation is how long a Listener's own key seals tickets, maxTicketKeys how
	// many older ones it keeps, for a clock that runs wild.
	ticketRotation = 12 * time.Hour
	maxTicketKeys  = 32

	// maxEarlyData bounds Config.MaxEarlyData: what is accepted is kept in memory.
	maxEarlyData = 64 << 10

	// sealedOverhead is what a sealed record has beyond its content: the content type and
	// the tag (RFC 9846, Section 5.2).
	sealedOverhead = 1 + 16

	// freshness is by how much a client's account of its ticket's age may differ
	// from ours for early data (RFC 9846, Section 8.3 speaks of ten seconds).
	freshness = 10 * time.Second
)
