// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// An Epoch is the stage of the connection that keys belong to.
type Epoch uint8

// The epochs, numbered as in DTLS 1.3.
const (
	EpochEarly       Epoch = 1
	EpochHandshake   Epoch = 2
	EpochApplication Epoch = 3
)

// String returns the name of the epoch.
func (e Epoch) String() string {
	switch e {
	case EpochEarly:
		return "early data"
	case EpochHandshake:
		return "handshake"
	case EpochApplication:
		return "application"
	}
	return "unknown epoch"
}

// An Event is something that the owner of a machine must do. Events are carried
// out in the order in which they came, each before the next.
type Event interface{ event() }

// Send asks to seal whole handshake messages under the current write key.
type Send struct{ Messages []byte }

// SendCCS asks for the dummy change_cipher_spec record of RFC 9846, Appendix E.4.
// It is never encrypted.
type SendCCS struct{}

// InstallRead gives the keys for all records to come. Its receiver owns Keys.
// Aligned proves that no part of a message was left from the records before.
type InstallRead struct {
	Keys    *suite.Keys
	Aligned wire.Aligned
	Epoch   Epoch
}

// InstallWrite gives the keys for all records to be sent. Its receiver owns Keys.
type InstallWrite struct {
	Keys  *suite.Keys
	Epoch Epoch
}

// RecordLimit reports the sizes agreed on by record_size_limit (RFC 8449): the
// most bytes of content, content type and padding that an encrypted record may
// hold, in each direction.
type RecordLimit struct{ Send, Receive int }

// SkipEarlyData says that the client has sent early data which is refused: up to
// Max bytes of records that cannot be opened are to be skipped (RFC 9846, Section
// 4.3.10). The first one that can be opened, or Max of 0, ends that.
type SkipEarlyData struct{ Max int }

// EarlyData tells a client what became of its early data (RFC 9846, Section
// 4.3.10), and a server that it has accepted some: records of it, of Max bytes at
// most in all, come under the keys that were just installed, until the next are.
type EarlyData struct {
	Accepted bool
	Max      uint32
	Exporter *schedule.Exporter // of early_exporter_secret, where accepted; its receiver owns it
}

// Resumption gives the secret of which the keys of tickets are made (RFC 9846, Section
// 4.7.1); its receiver owns it. It is nil if Config.Resume is not set. A server that has
// asked for no certificate gives it with its first flight: its tickets belong right behind
// that. Everything that the server asks the application is answered by then. Otherwise the
// secret comes when the handshake is done.
type Resumption struct{ Secret *schedule.Resumption }

// Complete says that the handshake is done.
type Complete struct{}

// PeerUpdated says that the peer has changed its keys, for the Generation-th
// time, and if Requested that it asks for the same (RFC 9846, Section 4.7.3).
type PeerUpdated struct {
	Requested  bool
	Generation uint64
}

// Ticket is a ticket that the server sent.
type Ticket struct{ *wire.NewSessionTicket }

func (Send) event()          {}
func (SendCCS) event()       {}
func (InstallRead) event()   {}
func (InstallWrite) event()  {}
func (RecordLimit) event()   {}
func (SkipEarlyData) event() {}
func (EarlyData) event()     {}
func (Resumption) event()    {}
func (Complete) event()      {}
func (PeerUpdated) event()   {}
func (Ticket) event()        {}
