// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package resumption is what outlives a connection so that a later one can resume it
// (RFC 9846, Section 2.2): the state of a session, how that is written, and the keys
// under which it is sealed into tickets and files.
//
// It must not know who may resume what, nor clocks and stores.
package resumption

import (
	"errors"
	"math"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A State is what one side remembers of a connection. It owns its Secret.
type State struct {
	Suite  suite.ID
	Secret *volatile.Secret // the PSK of one ticket

	ServerName string // that the client asked for
	ALPN       string

	// Who the other side is: the entries of its Certificate message, the identity
	// of an external pre-shared key, or, with neither, nobody.
	PeerType    credential.Type
	PeerEntries [][]byte
	PSKIdentity []byte
	PSKMark     [16]byte // of that key

	// What came with it: the scheme of its signature, and what was stapled to its leaf.
	PeerScheme   credential.Scheme
	OCSPResponse []byte
	SCTs         [][]byte

	Authenticated time.Time // when the peer proved its key itself
	Issued        time.Time // when the ticket was made or received
	Lifetime      time.Duration
	AgeAdd        uint32
	MaxEarlyData  uint32

	Ticket []byte // a client's alone

	// Own is the pin of the key that this side showed: a client, zero if it showed none,
	// and a server that has to know.
	Own [32]byte
}

// MaxLifetime is the longest life of a ticket (RFC 9846, Section 4.7.1).
const MaxLifetime = 7 * 24 * time.Hour

// version is the first byte of a State that was written.
const version = 3

// What a State may hold: all that a peer can have shown.
const (
	maxEntries = credential.MostCertificates
	maxTicket  = math.MaxUint16
	maxState   = 1 << 18
	maxTime    = 1 << 40 // in seconds
)

var errState = errors.New("resumption: a session that cannot be read")

// Expired reports whether the session may not be resumed any more.
func (s *State) Expired(now time.Time) bool {
	age := now.Sub(s.Issued)
	return age < 0 && -age > time.Hour || age >= min(s.Lifetime, MaxLifetime)
}

// Peer returns the other side as it was seen when it proved its key; nil if it
// showed none.
func (s *State) Peer() (*credential.Peer, error) {
	switch {
	case s.PSKIdentity != nil:
		return &credential.Peer{PSKIdentity: s.PSKIdentity, PSKMark: s.PSKMark}, nil
	case len(s.PeerEntries) == 0:
		return nil, nil
	}
	peer, err := credential.ParsePeer(s.PeerType, s.PeerEntries)
	if err != nil {
		return nil, err
	}
	peer.Scheme, peer.OCSPResponse, peer.SCTs = s.PeerScheme, s.OCSPResponse, s.SCTs
	return peer, nil
}

// Wipe destroys the secret. It may be called again, and on nil.
func (s *State) Wipe() {
	if s != nil {
		s.Secret.Wipe()
	}
}

// Marshal writes the state; nil where it is larger than states are.
func (s *State) Marshal() *volatile.Secret {
	n := 160 + s.Secret.Len() + len(s.ServerName) + len(s.ALPN) + len(s.PSKIdentity) + len(s.OCSPResponse) + len(s.Ticket)
	for _, entry := range slices.Concat(s.PeerEntries, s.SCTs) {
		n += 3 + len(entry)
	}
	if n > maxState || len(s.Ticket) > maxTicket {
		return nil
	}
	out := volatile.New(n)
	b := cryptobyte.NewFixedBuilder(out.Bytes()[:0]) // it never grows, and leaves no copies
	b.AddUint8(version)
	b.AddUint16(uint16(s.Suite))
	opaque8(b, s.Secret.Bytes())
	opaque8(b, []byte(s.ServerName))
	opaque8(b, []byte(s.ALPN))
	b.AddUint8(uint8(s.PeerType))
	list24(b, s.PeerEntries)
	opaque16(b, s.PSKIdentity)
	b.AddBytes(s.PSKMark[:])
	b.AddUint16(uint16(s.PeerScheme))
	list24(b, [][]byte{s.OCSPResponse})
	list24(b, s.SCTs)
	b.AddUint64(uint64(s.Authenticated.Unix()))
	b.AddUint64(uint64(s.Issued.UnixMilli()))
	b.AddUint32(uint32(s.Lifetime / time.Second))
	b.AddUint32(s.AgeAdd)
	b.AddUint32(s.MaxEarlyData)
	opaque16(b, s.Ticket)
	b.AddBytes(s.Own[:])
	written, err := b.Bytes()
	if err != nil {
		out.Wipe()
		return nil
	}
	return volatile.Take(written)
}

func opaque8(b *cryptobyte.Builder, v []byte) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v) })
}

func opaque16(b *cryptobyte.Builder, v []byte) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v) })
}

func list24(b *cryptobyte.Builder, list [][]byte) {
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, entry := range list {
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(entry) })
		}
	})
}

// readList24 reads what list24 has written.
func readList24(s *cryptobyte.String) (list [][]byte, ok bool) {
	var entries cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&entries) {
		return nil, false
	}
	for !entries.Empty() {
		var entry cryptobyte.String
		if !entries.ReadUint24LengthPrefixed(&entry) {
			return nil, false
		}
		list = append(list, append([]byte(nil), entry...))
	}
	return list, true
}

// Parse reads a state that Marshal has written, and keeps nothing of text.
func Parse(text []byte) (*State, error) {
	s := cryptobyte.String(text)
	var v, peerType uint8
	var id, scheme uint16
	var secret, name, alpn, pskIdentity, ticket, own cryptobyte.String
	var authenticated, issued uint64
	var lifetime uint32
	var ok, okStaple, okSCTs bool
	var staple [][]byte
	state := new(State)
	if len(text) > maxState || !s.ReadUint8(&v) || v != version || !s.ReadUint16(&id) || !s.ReadUint8LengthPrefixed(&secret) ||
		!s.ReadUint8LengthPrefixed(&name) || !s.ReadUint8LengthPrefixed(&alpn) || !s.ReadUint8(&peerType) {
		return nil, errState
	}
	state.PeerEntries, ok = readList24(&s)
	if !ok || len(state.PeerEntries) > maxEntries || !s.ReadUint16LengthPrefixed(&pskIdentity) || !s.CopyBytes(state.PSKMark[:]) || !s.ReadUint16(&scheme) {
		return nil, errState
	}
	staple, okStaple = readList24(&s)
	state.SCTs, okSCTs = readList24(&s)
	if !okStaple || len(staple) != 1 || !okSCTs ||
		!s.ReadUint64(&authenticated) || !s.ReadUint64(&issued) || !s.ReadUint32(&lifetime) ||
		!s.ReadUint32(&state.AgeAdd) || !s.ReadUint32(&state.MaxEarlyData) ||
		!s.ReadUint16LengthPrefixed(&ticket) || !s.ReadBytes((*[]byte)(&own), len(state.Own)) || !s.Empty() {
		return nil, errState
	}
	known := suite.ByID(suite.ID(id))
	if known == nil || len(secret) != known.HashLen || authenticated > maxTime || issued > 1000*maxTime {
		return nil, errState
	}
	state.PeerScheme, state.OCSPResponse = credential.Scheme(scheme), staple[0]
	state.Suite, state.ServerName, state.ALPN = suite.ID(id), string(name), string(alpn)
	state.PeerType, state.PSKIdentity = credential.Type(peerType), append([]byte(nil), pskIdentity...)
	state.Authenticated, state.Issued = time.Unix(int64(authenticated), 0), time.UnixMilli(int64(issued))
	state.Lifetime = time.Duration(lifetime) * time.Second
	state.Ticket = append([]byte(nil), ticket...)
	copy(state.Own[:], own)
	state.Secret = volatile.New(len(secret))
	copy(state.Secret.Bytes(), secret)
	return state, nil
}
