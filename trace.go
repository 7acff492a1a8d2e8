// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"net"
	"time"

	"github.com/mayfly-tls/mayfly/internal/callback"
)

// A Trace is a set of hooks that are told what happens on a connection, in the
// manner of net/http/httptrace. Any of them may be nil. A hook gets facts and
// never a secret; Config.KeyLogWriter alone hands those out.
//
// Hooks run synchronously on the goroutine that does the work, with locks of the
// connection held: they must return soon and must not call methods of the Conn.
// Hooks of one connection's two directions may run at the same time. A hook that panics
// ends the handshake that it is told of, as other callbacks do: see Listener. A panic of a
// hook that is told of the end of a connection is logged, and harms nothing. The context
// carries the values of the one that was given to HandshakeContext, DialContext,
// or of the Listener.
type Trace struct {
	// HandshakeStart is called before the first byte is sent or read.
	HandshakeStart func(context.Context, HandshakeStartInfo)

	// HandshakeDone is called once, when the handshake has succeeded or failed.
	HandshakeDone func(context.Context, HandshakeInfo)

	// KeysInstalled is called when the keys of one direction come into use.
	KeysInstalled func(context.Context, KeyInfo)

	// KeysDestroyed is called when the keys of one direction were wiped:
	// replaced by the next, or at the end.
	KeysDestroyed func(context.Context, KeyInfo)

	// Rekeyed is called when a new generation of application keys is in use,
	// after KeysInstalled, and says what asked for it.
	Rekeyed func(context.Context, RekeyInfo)

	// SessionError is called when something of sessions has failed, a SessionStore or
	// TicketKeys for example. The connection goes on without.
	SessionError func(context.Context, SessionErrorInfo)

	// Closed is called once after Close, when the connection's keys are gone. A
	// connection that was dropped without Close tells nothing of its end.
	Closed func(context.Context, CloseInfo)

	// AcceptError is called by a Listener whose inner listener failed to
	// accept, or that turned a connection away before its handshake.
	AcceptError func(context.Context, AcceptErrorInfo)
}

// HandshakeStartInfo is what Trace.HandshakeStart is told.
type HandshakeStartInfo struct {
	RemoteAddr net.Addr
	Server     bool // this side is the server
}

// HandshakeInfo is what Trace.HandshakeDone is told.
type HandshakeInfo struct {
	RemoteAddr  net.Addr
	Server      bool
	Peer        Peer          // who the peer is; the zero Peer after a failure
	CipherSuite uint16        // 0 after an early failure
	Group       uint16        // the key exchange's, tls.CurveID; 0 after an early failure
	Protocol    string        // by ALPN
	HelloRetry  bool          // a HelloRetryRequest was sent
	Resumed     bool          // a session was resumed
	Duration    time.Duration // from HandshakeStart
	Err         error         // nil after success
}

// A Direction is one of the two halves of a connection, seen from this side.
type Direction uint8

// The two directions.
const (
	Receiving Direction = iota
	Sending
)

// String returns "receiving" or "sending".
func (d Direction) String() string {
	if d == Sending {
		return "sending"
	}
	return "receiving"
}

// KeyInfo names the keys of one direction, not the keys themselves.
type KeyInfo struct {
	Direction   Direction
	Early       bool   // keys of early data
	Handshake   bool   // handshake keys; application keys where neither is set
	Generation  uint64 // of application keys: 0, then one more by KeyUpdate
	CipherSuite uint16
}

// A RekeyReason says why keys were changed.
type RekeyReason uint8

// The reasons.
const (
	RekeyRecords RekeyReason = iota + 1 // RekeyPolicy.Records was reached
	RekeyBytes                          // RekeyPolicy.Bytes was reached
	RekeyAge                            // RekeyPolicy.Age was reached
	RekeyLimit                          // the cipher's own limit came near
	RekeyAsked                          // Conn.Rekey was called
	RekeyOwed                           // the peer asked for it (update_requested)
	RekeyPeer                           // the peer changed its own keys
)

// String returns a word for the reason.
func (r RekeyReason) String() string {
	switch r {
	case RekeyRecords:
		return "records"
	case RekeyBytes:
		return "bytes"
	case RekeyAge:
		return "age"
	case RekeyLimit:
		return "limit"
	case RekeyAsked:
		return "asked"
	case RekeyOwed:
		return "owed"
	case RekeyPeer:
		return "peer"
	}
	return "none"
}

// RekeyInfo is what Trace.Rekeyed is told.
type RekeyInfo struct {
	Direction  Direction
	Generation uint64 // the new one
	Reason     RekeyReason
}

// SessionErrorInfo is what Trace.SessionError is told.
type SessionErrorInfo struct {
	RemoteAddr net.Addr
	Action     string // "take" or "put" a session, ask for "keys", "seal" a ticket, use it "once"
	Err        error
}

// CloseInfo is what Trace.Closed is told.
type CloseInfo struct {
	RemoteAddr net.Addr
	Err        error // why the connection ended; nil after Close
}

// AcceptErrorInfo is what Trace.AcceptError is told.
type AcceptErrorInfo struct {
	RemoteAddr net.Addr // nil when there is none
	Err        error
}

// teller calls the hooks of a Trace, which may be nil.
type teller struct {
	trace *Trace
	ctx   context.Context
	log   *callback.Log // of hooks that panic at the end of a connection
}

func (t teller) handshakeStart(info HandshakeStartInfo) {
	if t.trace != nil && t.trace.HandshakeStart != nil {
		t.trace.HandshakeStart(t.ctx, info)
	}
}

func (t teller) handshakeDone(info HandshakeInfo) {
	if t.trace != nil && t.trace.HandshakeDone != nil {
		t.trace.HandshakeDone(t.ctx, info)
	}
}

func (t teller) keysInstalled(info KeyInfo) {
	if t.trace != nil && t.trace.KeysInstalled != nil {
		t.trace.KeysInstalled(t.ctx, info)
	}
}

func (t teller) keysDestroyed(info KeyInfo) {
	if t.trace != nil && t.trace.KeysDestroyed != nil {
		t.trace.KeysDestroyed(t.ctx, info)
	}
}

func (t teller) rekeyed(info RekeyInfo) {
	if t.trace != nil && t.trace.Rekeyed != nil {
		t.trace.Rekeyed(t.ctx, info)
	}
}

func (t teller) sessionError(info SessionErrorInfo) {
	if t.trace != nil && t.trace.SessionError != nil {
		t.trace.SessionError(t.ctx, info)
	}
}

func (t teller) closed(info CloseInfo) {
	if t.trace != nil && t.trace.Closed != nil {
		t.trace.Closed(t.ctx, info)
	}
}
