// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/callback"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/resumption"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/trust"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A session is one that is being resumed, while the handshake runs.
type session struct {
	state    *resumption.State // its secret is the machine's
	expected time.Time         // by the client's account of the ticket's age, on a server
	skew     time.Duration     // how much older that account makes the ticket
	hello    *wire.ClientHello // of the client that offers it, on a server
}

// times returns when the session's ticket was made, and when, by the client's account
// of the ticket's age, its ClientHello was to arrive (RFC 9846, Section 8.3).
func (s *session) times() (issued, expected time.Time) { return s.state.Issued, s.expected }

// resumed returns the session that a handshake resumes; nil if it is a full one.
func resumed(m handshake.Summary) *session {
	if m.PSK == nil {
		return nil
	}
	s, _ := m.PSK.Origin.(*session)
	return s
}

// ticketPurpose is what tickets are sealed for.
const ticketPurpose = "ticket"

// sessionName is what a client's sessions are stored under: the server's name, or its
// address where it has none, and who the client is. A server that is told another name,
// or shown another key, is never offered them.
func (i *introduction) sessionName() string {
	name := trust.CanonicalName(i.settings.ServerName)
	if name == "" {
		name = "address"
		if i.remote != nil {
			name += " " + i.remote.Network() + " " + i.remote.String()
		}
	}
	if len(i.settings.own) == 0 {
		return name
	}
	h := sha256.New()
	for _, pin := range i.settings.own {
		h.Write(pin[:])
	}
	return name + " " + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// offerSession returns what a client offers to resume, nil if there is nothing. What
// the present Peers would refuse is thrown away.
func (i *introduction) offerSession() *handshake.PSK {
	s := i.settings
	if s.Sessions == nil || s.GetClientCertificate != nil {
		return nil
	}
	for range maxStaleSessions {
		taken, err := i.takeSession()
		if err != nil {
			i.sessionError("take", err)
		}
		if taken == nil || taken.state == nil {
			return nil
		}
		state := taken.state
		if i.mayOffer(state) {
			age := uint32(s.now().Sub(state.Issued).Milliseconds())
			psk := &handshake.PSK{
				Identity: state.Ticket, ObfuscatedAge: age + state.AgeAdd,
				Kind: schedule.ResumptionBinder, Suite: state.Suite, Secret: state.Secret,
				MaxEarlyData: state.MaxEarlyData, ALPN: state.ALPN, Origin: &session{state: state},
			}
			state.Secret = nil
			return psk
		}
		state.Wipe()
	}
	return nil
}

// takeSession asks the store, which may be slow or panic in its own goroutine alone.
func (i *introduction) takeSession() (*Session, error) {
	name, store := i.sessionName(), i.settings.Sessions
	if cache, ok := store.(*SessionCache); ok {
		return cache.Take(i.ctx, name)
	}
	return callback.Ask(i.ctx, i.settings.calls, func(ctx context.Context) (*Session, error) { return store.Take(ctx, name) },
		func(late *Session) { late.Wipe() })
}

// mayOffer reports whether a session is still good, and its server one that the
// present Peers accept.
func (i *introduction) mayOffer(state *resumption.State) bool {
	s := i.settings
	if state.Expired(s.now()) || i.tooOld(state) || len(state.Ticket) == 0 || len(state.Ticket) > handshake.MaxTicket || state.Secret.Len() == 0 || state.ServerName != trust.CanonicalName(s.ServerName) {
		return false
	}
	if state.Own != ([32]byte{}) && !i.isOwn(state.Own) {
		return false
	}
	peer, err := state.Peer()
	if err != nil || peer == nil || !s.takesProof(peer) {
		return false
	}
	_, err = s.peers.judge(i.ctx, i.facts(nil, true), peer)
	return err == nil
}

func (i *introduction) isOwn(pin [32]byte) bool { return slices.Contains(i.settings.own, Pin(pin)) }

// tooOld reports whether it is too long ago that the peer proved its key.
func (i *introduction) tooOld(state *resumption.State) bool {
	age := i.settings.now().Sub(state.Authenticated)
	return age < -time.Hour || age >= i.settings.tickets.MaxAge
}

// findSession opens a ticket that a client has offered; nil if it is none of ours, or
// not to be used any more. Whatever is wrong with it, a full handshake follows.
func (i *introduction) findSession(offer handshake.Offer) (*handshake.PSK, error) {
	for _, key := range i.ticketSealers() {
		if !key.held().Mine(offer.Identity) {
			continue
		}
		text, err := key.held().Open(offer.Identity, ticketPurpose, i.settings.ticketService())
		if err != nil {
			return nil, nil
		}
		state, err := resumption.Parse(text.Bytes())
		text.Wipe()
		if err != nil {
			return nil, nil
		}
		i.ticketEarly = max(i.ticketEarly, int(min(state.MaxEarlyData, maxEarlyData)))
		if state.Expired(i.settings.now()) || i.tooOld(state) || state.ServerName != trust.CanonicalName(offer.Hello.ServerName) {
			state.Wipe()
			return nil, nil
		}
		age := time.Duration(offer.ObfuscatedAge-state.AgeAdd) * time.Millisecond
		expected := state.Issued.Add(age)
		psk := &handshake.PSK{
			Identity: bytes.Clone(offer.Identity), Kind: schedule.ResumptionBinder, Suite: state.Suite, Secret: state.Secret,
			MaxEarlyData: min(state.MaxEarlyData, uint32(i.settings.MaxEarlyData)), ALPN: state.ALPN, Origin: &session{state, expected, expected.Sub(i.settings.now()), offer.Hello},
		}
		state.Secret = nil
		return psk, nil
	}
	return nil, nil
}

// ticketSealers are a server's present keys, which are asked for once in a handshake;
// none if it gives no tickets, or the keys do not come.
func (i *introduction) ticketSealers() []*SealingKey {
	s := i.settings
	if s.ticketKeys == nil || s.tickets.Count == 0 {
		return nil
	}
	if !i.askedSealers {
		i.askedSealers = true
		var err error
		switch ring := s.ticketKeys.(type) {
		case *rotatingKeys, *TicketRing: // these are in memory
			i.sealers, err = ring.Keys(i.ctx)
		default:
			i.sealers, err = callback.Ask(i.ctx, s.calls, ring.Keys, func([]*SealingKey) {})
		}
		if err != nil {
			i.sealers = nil
			i.sessionError("keys", err)
		}
	}
	return i.sealers
}

// judgeSession asks the present Peers about the peer of a session. On a server,
// whatever speaks against it leads to a full handshake.
func (i *introduction) judgeSession(s *session, ticket []byte) (bool, error) {
	peer, err := s.state.Peer()
	server := i.settings.server
	switch {
	case err != nil:
	case server && (!i.settings.takesProof(peer) || !i.sameServer(s)):
		return false, nil
	default:
		err = i.judge(peer, nil, true)
	}
	if !server {
		return err == nil, err
	}
	if err == nil && i.firstUse(s, ticket) {
		return true, nil
	}
	i.peer = Peer{}
	return false, nil
}

// takesProof reports whether a peer could prove its key now as it did in the connection
// that is being resumed: by a credential of that kind, with no more certificates than
// may be, and in that scheme.
func (s *settings) takesProof(p *credential.Peer) bool {
	if p == nil || p.PSKIdentity != nil {
		return true
	}
	return len(p.Entries) <= cmp.Or(s.MaxCertificates, credential.DefaultCertificates) &&
		(s.peerTypes == nil || slices.Contains(s.peerTypes, p.Type)) &&
		(s.schemes == nil || slices.Contains(s.schemes, p.Scheme))
}

// sameServer reports whether a server would show the key now that the session's client
// has seen. GetCertificate may make several servers of one Config, which a client must not
// be led from one to the other of: what it shows now is asked at each resumption. A peer
// that was known by a pre-shared key knows the server by that key, too.
func (i *introduction) sameServer(s *session) bool {
	if i.settings.GetCertificate == nil || s.state.PSKIdentity != nil {
		return true
	}
	c, err := i.m.WouldShow(s.hello)
	return err == nil && s.state.Own == pinOfCredential(c)
}

// firstUse reports whether a ticket may be used, for all that TicketPolicy.Once says.
func (i *introduction) firstUse(s *session, ticket []byte) bool {
	guard := i.settings.tickets.Once
	if guard == nil {
		return true
	}
	// Early data has another token, so that both can go by one guard.
	use := EarlyUse{
		Token:  sha256.Sum256(append([]byte("once "), ticket...)),
		Issued: s.state.Issued, Now: i.settings.now(), Until: s.state.Issued.Add(s.state.Lifetime),
	}
	first, err := callback.Ask(i.ctx, i.settings.calls, func(ctx context.Context) (bool, error) { return guard.Admit(ctx, use) }, func(bool) {})
	if err != nil {
		i.sessionError("once", err)
	}
	return err == nil && first
}

// wantedTickets is how many tickets a client gets that asks for some, or does not say:
// then it gets one where it has just used one.
func (i *introduction) wantedTickets(request *wire.TicketRequest, resumed bool) int {
	count := i.settings.tickets.Count
	switch {
	case count == 0:
	case request == nil && resumed:
		count = 1
	case request != nil && resumed:
		count = int(request.Resumption)
	case request != nil:
		count = int(request.New)
	}
	return min(count, maxTicketsGiven)
}

// ticketRequest is what a client asks for (RFC 9149); nil: nothing. One that waits for the
// server's first record always asks.
func (i *introduction) ticketRequest() *wire.TicketRequest {
	if n := uint8(min(i.settings.Tickets.Count, math.MaxUint8)); n > 0 {
		return &wire.TicketRequest{New: n, Resumption: n}
	} else if i.confirm {
		return &wire.TicketRequest{New: defaultTickets, Resumption: 1}
	}
	return nil
}

// newTickets makes the NewSessionTicket messages of a server (RFC 9846, Section 4.7.1), and
// wipes secret. If there are none, a client that has asked for some gets one with a lifetime
// of zero, which it discards: it may wait for an answer.
func (i *introduction) newTickets(secret *schedule.Resumption) {
	defer secret.Wipe()
	i.learn()
	m := i.known
	if !m.PSKModes {
		return
	}
	if keys := i.ticketSealers(); secret != nil && len(keys) > 0 && keys[0] != nil {
		for n := range i.wantedTickets(m.Tickets, m.resumed) {
			message, err := i.newTicket(secret, keys[0], []byte{byte(n)})
			if err != nil {
				i.sessionError("seal", err)
				break
			}
			i.tickets = append(i.tickets, message...)
		}
	}
	if len(i.tickets) == 0 && m.Tickets != nil && *m.Tickets != (wire.TicketRequest{}) {
		i.tickets = (&wire.NewSessionTicket{Ticket: []byte{0}}).Marshal()
	}
}

func (i *introduction) newTicket(secret *schedule.Resumption, key *SealingKey, nonce []byte) ([]byte, error) {
	s, state := i.settings, *i.known.memory
	state.Issued = s.now()
	if s.GetCertificate == nil {
		state.Own = [32]byte{}
	}
	state.ServerName = trust.CanonicalName(i.known.ServerName)
	state.Lifetime = min(s.tickets.Lifetime, state.Authenticated.Add(s.tickets.MaxAge).Sub(s.now())).Truncate(time.Second)
	if state.Lifetime <= 0 {
		return nil, nil // the peer has to prove its key again soon
	}
	var add [4]byte
	if _, err := io.ReadFull(i.random(), add[:]); err != nil {
		return nil, err
	}
	state.AgeAdd = binary.BigEndian.Uint32(add[:])
	if s.replay != nil {
		state.MaxEarlyData = uint32(s.MaxEarlyData)
	}
	state.Secret = secret.PSK(nonce)
	defer state.Wipe()
	text := state.Marshal()
	defer text.Wipe()
	if text.Len() == 0 || text.Len()+resumption.Overhead > maxTicketLen {
		return nil, errors.New("mayfly: the peer's certificates are too large for a ticket")
	}
	sealed, err := key.held().Seal(i.random(), text.Bytes(), ticketPurpose, s.ticketService())
	if err != nil {
		return nil, fmt.Errorf("mayfly: a ticket cannot be sealed: %w", err)
	}
	message := &wire.NewSessionTicket{
		Lifetime: uint32(state.Lifetime / time.Second), AgeAdd: state.AgeAdd, Nonce: nonce, Ticket: sealed, MaxEarlyData: state.MaxEarlyData,
	}
	if s.GREASE {
		message.Other = []wire.Extension{{Type: wire.ExtensionType(uint16(add[0]&0xf0|0x0a) * 0x0101)}} // RFC 8701, Section 4.1
	}
	return message.Marshal(), nil
}

// remember is what both sides keep of a handshake that is done, but for what belongs
// to one ticket.
func (i *introduction) remember(m handshake.Summary) *resumption.State {
	state := &resumption.State{Suite: m.Suite, ALPN: m.ALPN, ServerName: m.ServerName, Authenticated: i.settings.now()}
	if !i.settings.server {
		state.ServerName = i.settings.ServerName // an address may be one, which is not sent
	}
	if c := m.OwnCredential; c != nil {
		state.Own = pinOfCredential(c)
	}
	switch before := resumed(m); {
	case before != nil:
		state.Authenticated = before.state.Authenticated
		state.PeerType, state.PeerEntries, state.PSKIdentity = before.state.PeerType, before.state.PeerEntries, before.state.PSKIdentity
		state.PeerScheme, state.OCSPResponse, state.SCTs = before.state.PeerScheme, before.state.OCSPResponse, before.state.SCTs
		state.PSKMark, state.Own = before.state.PSKMark, before.state.Own
	case m.PSK != nil:
		if used, ok := m.PSK.Origin.(*usedKey); ok {
			state.PSKIdentity, state.PSKMark = used.identity, used.held().mark
		}
	case m.Peer != nil && m.Peer.Type == credential.X509:
		state.PeerType, state.PeerEntries = credential.X509, m.Peer.Entries
	case m.Peer != nil:
		state.PeerType, state.PeerEntries = m.Peer.Type, [][]byte{m.Peer.SPKI}
	}
	if p := m.Peer; p != nil {
		state.PeerScheme, state.OCSPResponse, state.SCTs = p.Scheme, p.OCSPResponse, p.SCTs
	}
	return state
}

func (i *introduction) random() io.Reader {
	if i.settings.Rand != nil {
		return i.settings.Rand
	}
	return rand.Reader
}

// sessionError traces that something of sessions has failed, which costs no more than
// a full handshake.
func (i *introduction) sessionError(what string, err error) {
	teller{i.settings.Trace, i.ctx, &i.settings.calls.Log}.sessionError(SessionErrorInfo{RemoteAddr: i.remote, Action: what, Err: err})
}
