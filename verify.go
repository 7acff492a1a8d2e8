// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"reflect"
	"slices"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/resumption"
	"github.com/mayfly-tls/mayfly/internal/trust"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// An introduction is how the two sides of one handshake get to know each other:
// it answers what the machine asks of the application. It knows nothing of the
// Conn.
type introduction struct {
	settings      *settings
	ctx           context.Context // of the call that runs the handshake
	local, remote net.Addr
	sealers       []*SealingKey // a server's, once they were asked for
	tickets       []byte        // a server's messages that are not sealed yet
	askedSealers  bool
	early         int             // how many bytes of early data a client would like to send
	ticketEarly   int             // how many bytes of early data the client's tickets allow, as far as a server knows
	wantsEarly    bool            // somebody will read early data on a server
	earlyRefusal  EarlyDataReason // of a server that was asked
	earlyReason   EarlyDataReason // once the handshake is done
	confirm       bool            // a client waits for the server's first record
	cookies       *cookieJar      // of a server that keeps nothing of a first ClientHello; nil: it does

	m        *handshake.Machine
	known    known // once the handshake is done
	selected []Pin // of the key that a callback chose to show
	peer     Peer
}

// known is what a handshake has settled.
type known struct {
	handshake.Summary
	memory  *resumption.State // who the peer is, and how long ago it proved that
	resumed bool
	skew    time.Duration // of the client's account of the ticket's age, on a server
}

// machine makes the machine of this handshake.
func (i *introduction) machine() (*handshake.Machine, error) {
	config := i.config()
	var err error
	if i.settings.server {
		config.Choose = i.choose
		i.m, err = handshake.NewServer(config)
	} else {
		i.m, err = handshake.NewClient(config)
	}
	return i.m, err
}

// config is what the settings mean to the machine.
func (i *introduction) config() *handshake.Config {
	s := i.settings
	config := &handshake.Config{
		Rand:            s.Rand,
		Suites:          s.suites,
		Groups:          s.groups,
		KeyShares:       s.shares,
		PeerSchemes:     s.schemes,
		MaxCertificates: s.MaxCertificates,
		Compressions:    s.compressions,
		ALPN:            s.NextProtos,
		RecordSizeLimit: uint16(s.RecordSizeLimit),
		Credentials:     s.credentials,
		OwnTypes:        s.ownTypes,
		NeverAnonymous:  s.NeverAnonymous,
		Verify:          i.verify,
	}
	if s.CipherSuites == nil {
		config.Suites = nil // so that a server heeds what the client has hardware for
	}
	if s.RecordSizeLimit != 0 {
		config.RecordSizeLimit++ // the limit counts the content type, RFC 8449, Section 4
	}
	if s.peers != nil {
		config.RequestPeer, config.RequirePeer, config.PeerTypes = s.peers.requirement(s.server)
		config.PeerTypes = s.wantedTypes(config.PeerTypes)
		names := s.Authorities
		if s.server && names == nil {
			names = s.peers.authorities()
		}
		if len(names) > 0 { // the extension cannot be empty: RFC 9846, Section 4.3.4
			config.Authorities = names
		}
	}
	config.JudgePSK = i.judgePSK
	if s.server {
		config.FindPSK = i.findOffer
		config.Resume = s.ticketKeys != nil && s.tickets.Count > 0
		if config.Resume {
			config.AnswerTickets = func(request wire.TicketRequest, resumed bool) uint8 {
				return uint8(i.wantedTickets(&request, resumed))
			}
		}
		config.AcceptEarlyData = i.acceptEarly
		if i.cookies != nil {
			config.Cookie = i.cookies
			i.ticketEarly = maxEarlyData // no ticket is opened before the cookie is back
		}
		config.MaxSkippedEarlyData = i.skippedEarlyData
	} else {
		config.PSKs = i.offerPSKs()
		if session := i.offerSession(); session != nil {
			config.PSKs = append([]*handshake.PSK{session}, config.PSKs...)
			config.EarlyData = i.early > 0 && uint64(i.early) <= uint64(session.MaxEarlyData)
		}
		config.ServerName, config.GREASE = s.sni(), s.GREASE
		config.RequestOCSP, config.RequestSCT = !s.NoStaples, !s.NoStaples
		config.Resume = s.Sessions != nil
		config.OfferTickets = i.confirm || config.Resume
		config.TicketRequest = i.ticketRequest()
	}
	if s.keyLog != nil {
		config.KeyLog = s.keyLog.line
	}
	if s.server && s.GetCertificate != nil || !s.server && s.GetClientCertificate != nil {
		config.Select = i.selectCredential
	}
	return config
}

// choose settles, on a server, which Config serves a client's hello.
func (i *introduction) choose(hello *wire.ClientHello) (*handshake.Config, error) {
	before := i.settings
	if get := before.GetConfig; get != nil {
		config, err := get(i.ctx, i.hello(hello))
		if err != nil {
			return nil, alert.Wrap(alert.HandshakeFailure, "GetConfig refused the handshake", err)
		}
		if config != nil {
			config = config.Clone()
			config.GetConfig = nil
			s, err := config.settle(true, "")
			if err != nil {
				return nil, alert.Wrap(alert.InternalError, "GetConfig returned a Config that cannot work", err)
			}
			s.inherit(i.settings)
			if i.settings.keyLog != nil && sameWriter(s.KeyLogWriter, i.settings.KeyLogWriter) {
				s.keyLog = i.settings.keyLog
			}
			i.settings = s
		} else if i.settings.peers == nil {
			return nil, alert.Wrap(alert.InternalError, "the Config cannot work",
				configError("GetConfig kept a Config that has no Peers"))
		}
	}
	if !i.settings.servesName(hello.ServerName) {
		return nil, alert.New(alert.UnrecognizedName, "the client asked for a name that is not served here")
	}
	if i.settings == before && (hello.ServerName == "" || len(before.credentials) < 2) {
		return nil, nil // the machine has it
	}
	config := i.config()
	config.Credentials = byName(config.Credentials, hello.ServerName)
	return config, nil
}

// sameWriter reports whether two writers are one, as far as that can be told.
func sameWriter(a, b io.Writer) bool {
	return a != nil && reflect.ValueOf(a).Comparable() && a == b // the value: a struct may hold a slice in an any
}

// byName puts certificates for name before the others, and leaves all else in
// its order.
func byName(credentials []*credential.Credential, name string) []*credential.Credential {
	if name == "" || len(credentials) < 2 {
		return credentials
	}
	sorted := make([]*credential.Credential, 0, len(credentials))
	fits := func(c *credential.Credential) bool { return c.Leaf == nil || c.Leaf.VerifyHostname(name) == nil }
	for _, c := range credentials {
		if fits(c) {
			sorted = append(sorted, c)
		}
	}
	for _, c := range credentials {
		if !fits(c) {
			sorted = append(sorted, c)
		}
	}
	return sorted
}

func (i *introduction) hello(h *wire.ClientHello) *ClientHello {
	hello := &ClientHello{
		ServerName: trust.CanonicalName(h.ServerName), NextProtos: h.ALPN, CipherSuites: h.CipherSuites,
		LocalAddr: i.local, RemoteAddr: i.remote,
	}
	for _, g := range h.SupportedGroups {
		hello.Groups = append(hello.Groups, tls.CurveID(g))
	}
	for _, s := range h.SignatureAlgorithms {
		hello.Schemes = append(hello.Schemes, tls.SignatureScheme(s))
	}
	for _, t := range h.ServerCertTypes {
		hello.RawPublicKey = hello.RawPublicKey || credential.Type(t) == credential.RawPublicKey
	}
	return hello
}

// selectCredential asks GetCertificate or GetClientCertificate.
func (i *introduction) selectCredential(r *handshake.Request) (*credential.Credential, error) {
	var cert *tls.Certificate
	var err error
	if i.settings.server {
		cert, err = i.settings.GetCertificate(i.ctx, i.hello(r.Hello))
	} else {
		request := &CertificateRequest{ServerName: i.settings.ServerName, Authorities: r.Authorities}
		for _, s := range r.Schemes {
			request.Schemes = append(request.Schemes, tls.SignatureScheme(s))
		}
		cert, err = i.settings.GetClientCertificate(i.ctx, request)
	}
	if err != nil {
		return nil, alert.Wrap(alert.HandshakeFailure, "there is no certificate for this handshake", err)
	}
	if cert == nil || len(cert.Certificate) == 0 {
		return nil, nil
	}
	c, err := certificateCredential(cert)
	if err != nil {
		return nil, err
	}
	pin := PinOfCertificate(c.Leaf)
	if !i.settings.AllowSelf && i.peer.Kind != Anonymous && i.peer.Pin.is(pin) {
		return nil, refuse(bySelf, "it shows this side's own key (AllowSelf accepts it)", nil)
	}
	i.selected = []Pin{pin}
	return c, nil
}

// findOffer looks up an identity: a ticket of ours, or the name of a key.
func (i *introduction) findOffer(offer handshake.Offer) (*handshake.PSK, error) {
	if psk, err := i.findSession(offer); psk != nil || err != nil {
		return psk, err
	}
	return i.findPSK(offer)
}

// judgePSK judges a peer that has proved to hold a pre-shared key. A session
// that may not be resumed is no error on a server: a full handshake follows.
func (i *introduction) judgePSK(psk *handshake.PSK) (bool, error) {
	switch origin := psk.Origin.(type) {
	case *session:
		return i.judgeSession(origin, psk.Identity)
	case *usedKey:
		return true, i.judgePresharedKey(origin)
	}
	return false, nil
}

// verify judges the peer, whose CertificateVerify was checked before. A nil peer
// is a client that showed nothing.
func (i *introduction) verify(p *credential.Peer) error { return i.judge(p, nil, false) }

// facts are what Peers need to know. key is that of a peer who is known by an external
// pre-shared key.
func (i *introduction) facts(key *usedKey, resumed bool) judgeFacts {
	s := i.settings
	return judgeFacts{
		Server: s.server, ServerName: s.ServerName, Now: s.now, AllowSelf: s.AllowSelf,
		Own: slices.Concat(s.own, i.selected), Key: key, Resumed: resumed,
	}
}

// judge asks Peers and VerifyConnection about a peer. key is that of one who is known
// by an external pre-shared key.
func (i *introduction) judge(p *credential.Peer, key *usedKey, resumed bool) error {
	s := i.settings
	peer, err := s.peers.judge(i.ctx, i.facts(key, resumed), p)
	if err != nil {
		return err
	}
	if s.VerifyConnection != nil && p.Flaw() != nil {
		return p.Flaw() // it may go by PeerCertificates
	}
	peer.Resumed = resumed
	i.peer = peer
	if s.VerifyConnection != nil {
		if err := s.VerifyConnection(i.describe(false)); err != nil {
			return alert.Wrap(alert.BadCertificate, "VerifyConnection refused the peer", err)
		}
	}
	return nil
}

// learn takes over what the handshake has settled so far.
func (i *introduction) learn() {
	m := i.m.Summary()
	i.known = known{Summary: m, memory: i.remember(m)}
	if session := resumed(m); session != nil {
		i.known.resumed, i.known.skew = true, session.skew
	}
}

// seal ends the introduction: what was learned does not change any more.
func (i *introduction) seal() {
	i.earlyReason = i.earlyDataReason()
	i.m, i.ctx, i.sealers = nil, nil, nil
	i.known.Peer, i.known.PSK, i.known.OwnCredential = nil, nil, nil // memory has what is needed
}

// describe puts what is known into the standard library's type.
func (i *introduction) describe(complete bool) tls.ConnectionState {
	if i.m != nil {
		i.learn()
	}
	m := i.known
	state := tls.ConnectionState{
		Version:            tls.VersionTLS13,
		HandshakeComplete:  complete,
		CipherSuite:        uint16(m.Suite),
		CurveID:            tls.CurveID(m.Group),
		NegotiatedProtocol: m.ALPN,
		ServerName:         trust.CanonicalName(m.ServerName),
		HelloRetryRequest:  m.HelloRetry,
		DidResume:          m.resumed,

		OCSPResponse:                m.memory.OCSPResponse,
		SignedCertificateTimestamps: m.memory.SCTs,
		VerifiedChains:              i.peer.Chains,
		PeerCertificates:            i.peer.Certificates,
	}
	return state
}

// line writes one secret in the SSLKEYLOGFILE format.
func (k *keyLog) line(label string, clientRandom, secret []byte) {
	b := make([]byte, 0, len(label)+2*(len(clientRandom)+len(secret))+3)
	b = append(append(b, label...), ' ')
	b = append(hex.AppendEncode(b, clientRandom), ' ')
	b = append(hex.AppendEncode(b, secret), '\n')
	defer volatile.Wipe(b)
	k.mu.Lock()
	defer k.mu.Unlock()
	_, _ = k.w.Write(b) // a debugging aid that fails does not fail the connection
}
