// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/transcript"
)

// A cookieState is all that a server keeps of a first ClientHello, in its cookie.
type cookieState struct {
	suite *suite.Suite
	group kex.Group
	asked bool // for a share of the group
	early bool // early data was announced
	psk   bool // a pre-shared key must be offered again
	print [sha256.Size]byte
	hash  []byte // of the ClientHello
}

// The flags of a cookieState.
const (
	cookieAsked = 1 << iota
	cookieEarly
	cookiePSK
)

const cookieFixed = 5 + sha256.Size

func (c *cookieState) marshal() []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(c.suite.ID))
	b = binary.BigEndian.AppendUint16(b, uint16(c.group))
	var flags byte
	for i, set := range []bool{c.asked, c.early, c.psk} {
		if set {
			flags |= 1 << i
		}
	}
	return slices.Concat(b, []byte{flags}, c.print[:], c.hash)
}

func parseCookieState(b []byte) (*cookieState, bool) {
	if len(b) < cookieFixed {
		return nil, false
	}
	c := &cookieState{
		suite: suite.ByID(suite.ID(binary.BigEndian.Uint16(b))), group: kex.Group(binary.BigEndian.Uint16(b[2:])),
		asked: b[4]&cookieAsked != 0, early: b[4]&cookieEarly != 0, psk: b[4]&cookiePSK != 0,
		hash: b[cookieFixed:],
	}
	copy(c.print[:], b[5:])
	return c, c.suite != nil && len(c.hash) == c.suite.HashLen
}

// fingerprint is a hash of what must be the same in a second ClientHello: the shares,
// too, where none was asked for.
func fingerprint(hello *wire.ClientHello, asked bool) ([sha256.Size]byte, error) {
	same := unchanging(hello)
	if !asked {
		same.KeyShares = hello.KeyShares
	}
	b := same.Marshal()
	if b == nil {
		return [sha256.Size]byte{}, alert.New(alert.InternalError, "a ClientHello that cannot be remembered")
	}
	return sha256.Sum256(b), nil
}

// sendCookie asks a client for its ClientHello once more, with a cookie (RFC 9846,
// Sections 4.2.4 and 4.3.2), and forgets it.
func (m *Machine) sendCookie(hello *wire.ClientHello) (state, error) {
	s := new(selection)
	for _, choose := range []func(*selection, *wire.ClientHello) error{m.selectSuite, m.selectGroup, m.selectProtocol} {
		if err := choose(s, hello); err != nil {
			return nil, err
		}
	}
	if hello.PSK != nil && m.cfg.FindPSK != nil { // the suite cannot be changed later, and is to go with the first key
		s.suite = m.suiteOfLength(len(hello.PSK.Binders[0]), hello, s.suite)
	}
	m.suite = s.suite
	m.summary.EarlyOffered = hello.EarlyData
	m.transcript.Add(hello.Raw)
	m.transcript.Select(m.suite.NewHash)
	kept := &cookieState{
		suite: s.suite, group: s.group, asked: s.share == nil, early: hello.Has(wire.ExtEarlyData),
		psk: m.asksPSKsAlone(hello), hash: bytes.Clone(m.transcript.Sum()),
	}
	var err error
	if kept.print, err = fingerprint(hello, kept.asked); err != nil {
		return nil, err
	}
	cookie, err := m.cfg.Cookie.Seal(kept.marshal())
	if err != nil {
		return nil, withAlert(err, alert.InternalError, "no cookie could be made")
	}
	if len(cookie) == 0 || len(cookie) > maxCookie {
		return nil, alert.New(alert.InternalError, "a cookie is empty or too long")
	}
	m.askAgain(hello, kept.request(hello, cookie))
	m.transcript.Wipe()
	return &serverAwaitsRetry{}, nil
}

// request is the HelloRetryRequest, which is the same when it was sent and when it is
// remembered.
func (c *cookieState) request(hello *wire.ClientHello, cookie []byte) *wire.ServerHello {
	group := c.group
	if !c.asked {
		group = 0 // RFC 9846, Section 4.3.8: not one whose share was sent
	}
	return retryRequest(hello, c.suite, group, cookie)
}

// returnedCookie handles a second ClientHello by what its cookie says of the first. That
// it offers no other pre-shared keys than the first is not known then: their binders
// prove them, over both.
func (m *Machine) returnedCookie(hello *wire.ClientHello) (state, error) {
	sealed, ok := m.cfg.Cookie.Open(hello.Cookie)
	kept, whole := parseCookieState(sealed)
	if !hello.Has(wire.ExtCookie) || !ok || !whole {
		return nil, alert.New(alert.IllegalParameter, "the client did not return the cookie")
	}
	print, err := fingerprint(hello, kept.asked)
	if err != nil {
		return nil, err
	}
	share := slices.IndexFunc(hello.KeyShares, func(k wire.KeyShare) bool { return k.Group == uint16(kept.group) })
	switch {
	case hello.Has(wire.ExtEarlyData):
		return nil, alert.New(alert.IllegalParameter, "early data after a HelloRetryRequest")
	case share < 0 || kept.asked && len(hello.KeyShares) != 1:
		return nil, alert.New(alert.IllegalParameter, "the second ClientHello has not the one share that was asked for")
	case print != kept.print:
		return nil, alert.New(alert.IllegalParameter, "the second ClientHello differs from the first")
	case kept.psk && hello.PSK == nil:
		return nil, alert.New(alert.MissingExtension, "a second ClientHello without pre_shared_key")
	}
	s := &selection{suite: kept.suite, group: kept.group, share: hello.KeyShares[share].Data}
	if err := m.selectProtocol(s, hello); err != nil {
		return nil, err
	}
	m.suite, m.summary.Suite, m.summary.Group, m.summary.ALPN = s.suite, s.suite.ID, s.group, s.alpn
	m.transcript = transcript.Retried(m.suite.NewHash, kept.hash)
	m.transcript.Add(kept.request(hello, hello.Cookie).Marshal())
	if kept.early {
		m.emit(SkipEarlyData{}) // all of it came before this ClientHello
	}
	return m.answerRetried(s, hello)
}
