// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"errors"
	"io"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/policy"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A Config is what one handshake works with. The machine keeps it and changes
// nothing in it. With GODEBUG=fips140=on, the machine passes over the Suites, Groups and
// PeerSchemes that FIPS 140-3 does not approve.
type Config struct {
	// Rand is the source of randomness; nil means crypto/rand.
	Rand io.Reader

	// Suites are the cipher suites by preference. Nil means all: AES first where
	// both sides seem to have hardware for it.
	Suites []suite.ID

	// Groups are the key exchange groups by preference. Nil means all.
	Groups []kex.Group

	// KeyShares are the groups for which a client sends a share with its first
	// ClientHello. Nil means the first of Groups and, if that is post-quantum, the
	// first that is not. Empty means none, which asks the server to choose.
	KeyShares []kex.Group

	// ServerName is what a client sends as server_name; empty: not sent.
	ServerName string

	// ALPN are the application protocols by preference; empty: not negotiated.
	ALPN []string

	// OwnTypes and PeerTypes are the certificate types (RFC 7250) that this side
	// can show and that it accepts, by preference. Nil OwnTypes are those of
	// Credentials; nil PeerTypes mean X.509.
	OwnTypes, PeerTypes []credential.Type

	// Credentials are the candidates to show, by preference.
	Credentials []*credential.Credential

	// GREASE makes a client send values that mean nothing (RFC 8701), and what looks
	// like an Encrypted ClientHello.
	GREASE bool

	// NeverAnonymous makes a client that has Credentials fail where a server asks for
	// one and none suits it.
	NeverAnonymous bool

	// PeerSchemes are the signature schemes accepted in CertificateVerify; nil
	// means all that credential knows.
	PeerSchemes []credential.Scheme

	// RequestPeer makes a server ask for the client's credential, RequirePeer
	// makes it insist. A client always insists on the server's.
	RequestPeer, RequirePeer bool

	// Authorities are the DER names to send as certificate_authorities.
	Authorities [][]byte

	// RecordSizeLimit is the record_size_limit to announce; 0: not negotiated.
	RecordSizeLimit uint16

	// Cookie, where it is set, makes a server answer every first ClientHello with a
	// HelloRetryRequest, before it looks up or agrees on a key, and keep nothing of it:
	// what it has to remember goes into the cookie.
	Cookie CookieJar

	// MaxCertificates is how many certificates the peer may show, up to
	// credential.MostCertificates. Zero: credential.DefaultCertificates.
	MaxCertificates int

	// RequestOCSP and RequestSCT ask the peer for a stapled OCSP response and for
	// signed certificate timestamps.
	RequestOCSP, RequestSCT bool

	// Compressions are the algorithms for Certificate messages by preference; empty:
	// none is compressed.
	Compressions []Compression

	// PSKs are the pre-shared keys that a client offers, most wanted first. The
	// machine owns their secrets.
	PSKs []*PSK

	// FindPSK, on a server, looks up an identity that the client offers: nil if
	// it is not known. The key is the machine's. Nothing is proved at that time.
	FindPSK func(Offer) (*PSK, error)

	// JudgePSK decides about a key which the peer has proved to hold. On a
	// server, false without an error goes on as if it was not known; on a client
	// that ends the handshake.
	JudgePSK func(*PSK) (bool, error)

	// OfferTickets makes a client say that it could resume by ticket, so that the
	// server sends tickets.
	OfferTickets bool

	// TicketRequest is how many tickets a client asks for (RFC 9149); nil: not
	// sent. A server answers with what AnswerTickets returns, which is at most
	// 255.
	TicketRequest *wire.TicketRequest
	AnswerTickets func(request wire.TicketRequest, resumed bool) uint8

	// Resume makes the machine derive the secret of which the tickets' keys are
	// made: see Machine.Resumption.
	Resume bool

	// EarlyData makes a client send early data under the first of PSKs, if that
	// allows any.
	EarlyData bool

	// AcceptEarlyData is asked by a server whether it takes the early data that
	// is announced under a key which JudgePSK has accepted; nil: never. That the
	// suite, the protocol and the place in the list fit was checked before.
	AcceptEarlyData func(*PSK) bool

	// MaxSkippedEarlyData says how many bytes of refused early data a server lets
	// its owner skip. It is asked after the offered keys were looked up; nil means 16384.
	MaxSkippedEarlyData func() int

	// Choose is asked by a server at the first ClientHello for the Config of this
	// handshake; nil from it keeps the present one.
	Choose func(*wire.ClientHello) (*Config, error)

	// Select, where set, is asked once for the credential to show. It goes before
	// those of Credentials that are of the same type; nil from it means none.
	Select func(*Request) (*credential.Credential, error)

	// Verify is the application's judgement of the peer, whose possession of the
	// private key is proved by then. A server's is also asked, with nil, about a
	// client that showed nothing. It must be set, but by a server that asks for
	// nothing.
	Verify func(*credential.Peer) error

	// KeyLog, where set, is given the traffic secrets with their labels in the
	// SSLKEYLOGFILE format. It must not keep what it is given.
	KeyLog func(label string, clientRandom, secret []byte)
}

// A Request says what credential the peer wants to see.
type Request struct {
	Hello              *wire.ClientHello   // on a server, the client's
	ServerName         string              // whom the client asked for
	Types              []credential.Type   // that both sides know, by our preference
	Schemes            []credential.Scheme // accepted in CertificateVerify
	CertificateSchemes []credential.Scheme // accepted in certificates; nil: Schemes
	Authorities        [][]byte            // DER names; nil: no wish
}

// A CookieJar makes the cookies of HelloRetryRequests (RFC 9846, Section 4.3.2), which
// nobody but it can make.
type CookieJar interface {
	// Seal returns a cookie of at most 4096 bytes that holds state.
	Seal(state []byte) ([]byte, error)

	// Open returns the state that Seal has sealed in this handshake, and in no other:
	// that might go by another Config.
	Open(cookie []byte) (state []byte, ok bool)
}

// defaultSkippedEarlyData is one record's worth, more than which a client has no
// reason to expect to be taken from it without a ticket of ours.
const defaultSkippedEarlyData = 1 << 14

// The most that is sent of what is not ours to size: less than the syntax has
// room for, and more than anybody needs.
const (
	maxServerName  = 255
	maxProtocol    = 255
	maxList        = 1 << 15
	maxCookie      = 1 << 12
	maxCertificate = 1 << 17

	// maxResumingHello is the length of a ClientHello that offers a session, with its
	// header: crypto/tls and rustls read no longer one.
	maxResumingHello = 1<<16 - 1
)

// MaxTicket is the longest ticket that fits into a ClientHello beside what any other
// ClientHello holds. A longer one cannot be offered.
const MaxTicket = maxResumingHello - 256

// The bounds of record_size_limit (RFC 8449, Section 4).
const (
	minRecordLimit = 64
	maxRecordLimit = 1<<14 + 1
)

// validate finds what would make a handshake fail for certain, or succeed
// without anybody having judged the peer.
func (c *Config) validate(role Role) error {
	switch {
	case c == nil:
		return errors.New("handshake: no Config")
	case policy.Check() != nil:
		return policy.Check()
	case slices.ContainsFunc(c.Suites, func(id suite.ID) bool { return suite.ByID(id) == nil }):
		return errors.New("handshake: Config.Suites has an unknown suite")
	case slices.ContainsFunc(c.Groups, func(g kex.Group) bool { return !g.Supported() }):
		return errors.New("handshake: Config.Groups has an unknown group")
	case repeats(c.Suites) || repeats(c.Groups) || repeats(c.KeyShares) || repeats(c.PeerSchemes):
		return errors.New("handshake: Config names a suite, a group or a scheme twice") // RFC 9846, Sections 4.3.7 and 4.3.8
	case slices.ContainsFunc(c.KeyShares, func(g kex.Group) bool { return !slices.Contains(c.groups(), g) }):
		return errors.New("handshake: Config.KeyShares has a group that is not in Groups")
	case len(c.suites()) == 0 || len(c.groups()) == 0 || len(c.peerSchemes()) == 0:
		return errors.New("handshake: Config leaves no suite, no group or no scheme")
	case c.RecordSizeLimit != 0 && (c.RecordSizeLimit < minRecordLimit || c.RecordSizeLimit > maxRecordLimit):
		return errors.New("handshake: Config.RecordSizeLimit is out of range")
	case slices.ContainsFunc(c.PeerSchemes, func(s credential.Scheme) bool { return !slices.Contains(credential.Schemes(), s) }):
		return errors.New("handshake: Config.PeerSchemes has a scheme that cannot be verified")
	case len(c.ServerName) > maxServerName:
		return errors.New("handshake: Config.ServerName is too long")
	case slices.ContainsFunc(c.ALPN, func(p string) bool { return len(p) == 0 || len(p) > maxProtocol }), total(c.ALPN) > maxList:
		return errors.New("handshake: Config.ALPN has a protocol that is empty or too long")
	case slices.ContainsFunc(c.Authorities, func(name []byte) bool { return len(name) == 0 }), total(c.Authorities) > maxList:
		return errors.New("handshake: Config.Authorities are empty or too long")
	case len(c.Compressions) > maxCompressions:
		return errors.New("handshake: Config.Compressions has more than can be offered")
	case slices.ContainsFunc(c.PSKs, func(p *PSK) bool { return p.validate() != nil }), total(externalIdentities(c.PSKs)) > maxList:
		return errors.New("handshake: Config.PSKs has one that cannot work, or they are too long")
	case c.Verify == nil && (role == Client || c.requestsPeer()):
		return errors.New("handshake: Config.Verify must be set")
	}
	return nil
}

// repeats reports whether something is in a short list twice.
func repeats[T comparable](list []T) bool {
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return true
		}
	}
	return false
}

// total is the length of a list of vectors with their lengths.
func total[V string | []byte](list []V) int {
	n := 0
	for _, v := range list {
		n += 2 + len(v)
	}
	return n
}

// externalIdentities are those of the keys that must all be offered. Of sessions, the
// machine offers those that fit.
func externalIdentities(psks []*PSK) (list [][]byte) {
	for _, p := range psks {
		if p.Kind != schedule.ResumptionBinder {
			list = append(list, p.Identity)
		}
	}
	return list
}

func (c *Config) suites() []suite.ID {
	if c.Suites != nil {
		return policy.Suites(c.Suites)
	}
	return policy.Suites(suite.Preferred())
}

func (c *Config) groups() []kex.Group {
	if c.Groups != nil {
		return policy.Groups(c.Groups)
	}
	return policy.Groups(kex.Default())
}

// keyShares are the groups of a first ClientHello's shares, in the order of
// supported_groups (RFC 9846, Section 4.3.8).
func (c *Config) keyShares() []kex.Group {
	groups := c.groups()
	chosen := c.KeyShares
	if chosen == nil && len(groups) > 0 {
		chosen = groups[:1]
		isClassical := func(g kex.Group) bool { return !g.PostQuantum() }
		if i := slices.IndexFunc(groups, isClassical); i > 0 {
			chosen = []kex.Group{groups[0], groups[i]}
		}
	}
	var shares []kex.Group
	for _, g := range groups {
		if slices.Contains(chosen, g) {
			shares = append(shares, g)
		}
	}
	return shares
}

func (c *Config) ownTypes() []credential.Type {
	if c.OwnTypes != nil {
		return c.OwnTypes
	}
	var types []credential.Type
	for _, cred := range c.Credentials {
		if !slices.Contains(types, cred.Type) {
			types = append(types, cred.Type)
		}
	}
	return types
}

func (c *Config) peerTypes() []credential.Type {
	if c.PeerTypes != nil {
		return c.PeerTypes
	}
	return []credential.Type{credential.X509}
}

func (c *Config) peerSchemes() []credential.Scheme {
	if c.PeerSchemes != nil {
		return policy.Schemes(c.PeerSchemes)
	}
	return policy.Schemes(credential.Schemes())
}

func (c *Config) requestsPeer() bool { return c.RequestPeer || c.RequirePeer }

func (c *Config) maxSkippedEarlyData() int {
	if c.MaxSkippedEarlyData != nil {
		return c.MaxSkippedEarlyData()
	}
	return defaultSkippedEarlyData
}
