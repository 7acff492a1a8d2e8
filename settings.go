// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/callback"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/policy"
	"github.com/mayfly-tls/mayfly/internal/resumption"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/trust"
)

// settings are a Config that was copied, validated for one role, and turned into
// what the layers below work with. They do not change.
type settings struct {
	Config
	server       bool
	peers        peersJudge
	credentials  []*credential.Credential
	ownTypes     []credential.Type // that it can show
	peerTypes    []credential.Type // that it would have; nil: those of Peers
	own          []Pin             // of this side's own keys
	suites       []suite.ID
	groups       []kex.Group
	shares       []kex.Group // nil: as the machine thinks best
	schemes      []credential.Scheme
	compressions []handshake.Compression
	keyLog       *keyLog
	replay       ReplayGuard // nil: no early data is accepted
	tickets      TicketPolicy
	ticketKeys   TicketKeys      // nil: no tickets
	keysShared   bool            // by servers that may have other keys of their own
	calls        *callback.Calls // for TicketKeys and Sessions
}

// settle validates a Config for one role. host is the name in the address that
// was dialled, empty where there is none.
func (c *Config) settle(server bool, host string) (*settings, error) {
	if c == nil {
		c = new(Config)
	}
	if err := asConfigError(policy.Check()); err != nil {
		return nil, err
	}
	s := &settings{Config: *c.Clone(), server: server, calls: new(callback.Calls)}
	for _, step := range []func() error{s.checkRole, s.checkNumbers, s.settleSuites, s.settleGroups, s.settleSchemes, s.settleCompression, s.settleCredentials} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if err := s.settlePeers(host); err != nil {
		return nil, err
	}
	s.tickets, s.ticketKeys = s.Tickets.withDefaults(), s.TicketKeys
	s.settleReplay()
	if s.KeyLogWriter != nil {
		s.keyLog = &keyLog{w: s.KeyLogWriter}
	}
	return s, nil
}

// asConfigError makes an error of an inner package, if it is one, that of a Config.
func asConfigError(err error) error {
	if err == nil {
		return nil
	}
	return configError(err.Error())
}

// settleReplay decides who guards early data: nobody, where other servers may have
// our ticket keys and no guard is shared with them.
func (s *settings) settleReplay() {
	switch {
	case s.MaxEarlyData == 0:
	case s.Replay != nil:
		s.replay = s.Replay
	case s.TicketKeys == nil:
		s.replay = newMemoryGuard(0, time.Time{}) // the keys of its tickets are no older than it
	}
	s.settleGuard()
}

// settleGuard has a guard of ours remember for as long as a replay may pass for fresh.
func (s *settings) settleGuard() {
	if guard, ok := s.replay.(*memoryGuard); ok {
		guard.Remember(2*(s.maxTicketAgeSkew()+time.Millisecond), s.now())
	}
}

func (s *settings) maxTicketAgeSkew() time.Duration {
	if s.MaxTicketAgeSkew == 0 {
		return freshness
	}
	return s.MaxTicketAgeSkew
}

// inherit takes over, in the settings of one handshake, what must outlive it and was
// not set.
func (s *settings) inherit(outer *settings) {
	s.calls = outer.calls
	if s.TicketKeys != nil {
		return
	}
	s.ticketKeys, s.keysShared = outer.ticketKeys, true
	if s.Replay == nil && s.replay != nil {
		s.replay = outer.replay
		s.settleGuard()
	}
}

// ticketService is what tickets are sealed for. Where several Configs have come by the
// same keys without anybody saying that they are one server, the keys that they show
// tell them apart: a client that accepts one of them must not be led to another.
func (s *settings) ticketService() string {
	if !s.keysShared {
		return s.Service
	}
	service := append([]byte(s.Service), 0)
	for _, pin := range s.own {
		service = append(service, pin[:]...)
	}
	return string(service)
}

// checkRole refuses what belongs to the other role.
func (s *settings) checkRole() error {
	switch {
	case s.server && s.ServerName != "":
		return configError("ServerName is a client's: a server names itself with ServerNames")
	case s.server && s.RootCAs != nil:
		return configError("RootCAs is a client's: a server that asks for certificates sets Peers: Roots(pool)")
	case s.server && s.GetClientCertificate != nil:
		return configError("GetClientCertificate is a client's: a server sets GetCertificate")
	case !s.server && len(s.ServerNames) > 0:
		return configError("ServerNames is a server's: a client sets ServerName")
	case !s.server && s.GetCertificate != nil:
		return configError("GetCertificate is a server's: a client sets GetClientCertificate")
	case s.server && s.Sessions != nil:
		return configError("Sessions is a client's: a server gives tickets, see Tickets")
	case !s.server && (s.TicketKeys != nil || s.Service != "" || s.Tickets.Lifetime != 0):
		return configError("TicketKeys, Service and Tickets.Lifetime are a server's: a client sets Sessions")
	case s.server && (s.OwnKinds != nil || s.NeverAnonymous):
		return configError("OwnKinds and NeverAnonymous are a client's: a server shows the first of Credentials that the client can check")
	case s.server && s.NoStaples:
		return configError("NoStaples is a client's: a server asks for none")
	case s.server && s.KeyShares != nil:
		return configError("KeyShares is a client's: a server answers those that it gets")
	case !s.server && (s.Tickets.Count < 0 || s.Tickets.Count > 0 && s.Sessions == nil):
		return configError("Tickets.Count, on a client, is how many tickets it asks for: set Sessions too, or leave it zero")
	case !s.server && (s.MaxEarlyData != 0 || s.Replay != nil || s.MaxTicketAgeSkew != 0):
		return configError("MaxEarlyData, MaxTicketAgeSkew and Replay are a server's: a client calls HandshakeEarly or DialEarly")
	case !s.server && s.GetConfig != nil:
		return configError("GetConfig is a server's")
	case s.RootCAs != nil && s.Peers != nil:
		return configError("RootCAs and Peers cannot both be set: put Roots(pool) into Peers")
	}
	return nil
}

func (s *settings) checkNumbers() error {
	if s.RecordSizeLimit != 0 && (s.RecordSizeLimit < 64 || s.RecordSizeLimit > 16384) {
		return configError("RecordSizeLimit must be from 64 to 16384")
	}
	if s.MaxFragment != 0 && (s.MaxFragment < 64 || s.MaxFragment > 16384) {
		return configError("MaxFragment must be from 64 to 16384")
	}
	if s.MaxCertificates < 0 || s.MaxCertificates > credential.MostCertificates {
		return configError("MaxCertificates must be from 0, which stands for 10, to 100")
	}
	if s.MaxEarlyData < 0 || s.MaxEarlyData > maxEarlyData {
		return configError("MaxEarlyData must be from 0 to 65536")
	}
	if s.MaxTicketAgeSkew < 0 || s.MaxTicketAgeSkew > time.Minute {
		return configError("MaxTicketAgeSkew must be from zero to a minute")
	}
	if t := s.Tickets; t.Lifetime < 0 || t.Lifetime > resumption.MaxLifetime || t.MaxAge < 0 {
		return configError("Tickets: Lifetime is up to seven days, and neither it nor MaxAge is negative")
	}
	if _, ok := s.Tickets.Once.(*memoryGuard); ok {
		return configError("Tickets.Once: NewReplayGuard remembers for seconds, and tickets live for hours: set a guard that remembers until EarlyUse.Until")
	}
	if s.MaxLifetime < 0 {
		return configError("MaxLifetime cannot be negative: leave it zero for no limit")
	}
	if !fitsAuthorities(s.Authorities) {
		return configError("Authorities: DER of distinguished names, none of them empty, and 8 KiB at most in all")
	}
	return s.checkNames()
}

func (s *settings) checkNames() error {
	total := 0
	for _, p := range s.NextProtos {
		if p == "" || len(p) > 255 {
			return configError("NextProtos: a protocol's name has from 1 to 255 bytes")
		}
		total += 1 + len(p)
	}
	if total > maxProtocols {
		return configError("NextProtos: the protocols' names have up to 4096 bytes together")
	}
	for i, name := range s.ServerNames {
		if trust.HostName(name) == "" || net.ParseIP(name) != nil {
			return configError("ServerNames holds host names (others than ASCII as xn--…), not addresses")
		}
		s.ServerNames[i] = trust.CanonicalName(name)
	}
	return nil
}

func (s *settings) settleSuites() (err error) {
	known := func(id suite.ID) bool { return suite.ByID(id) != nil }
	s.suites, err = policy.Choose("CipherSuites", s.CipherSuites, suite.Preferred(), known, policy.Suites,
		"TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384 and TLS_CHACHA20_POLY1305_SHA256")
	return asConfigError(err)
}

func (s *settings) settleGroups() (err error) {
	if s.groups, err = policy.Choose("CurvePreferences", s.CurvePreferences, kex.Default(), kex.Group.Supported, policy.Groups,
		"X25519MLKEM768, X25519, CurveP256, CurveP384, CurveP521 and MLKEM1024"); err != nil || s.KeyShares == nil {
		return asConfigError(err)
	}
	if s.shares = []kex.Group{}; len(s.KeyShares) == 0 { // of no groups, it is not nil
		return nil
	}
	known := func(g kex.Group) bool {
		return s.CurvePreferences == nil && slices.Contains(kex.Default(), g) || slices.Contains(s.CurvePreferences, tls.CurveID(g))
	}
	s.shares, err = policy.Choose("KeyShares", s.KeyShares, nil, known, policy.Groups, "those of CurvePreferences, or their default")
	return asConfigError(err)
}

func (s *settings) settleSchemes() (err error) {
	if s.SignatureSchemes == nil {
		return nil
	}
	known := func(id credential.Scheme) bool { return slices.Contains(credential.Schemes(), id) }
	s.schemes, err = policy.Choose("SignatureSchemes", s.SignatureSchemes, nil, known, policy.Schemes,
		"Ed25519, ECDSAWithP256AndSHA256 and its like, and PSSWithSHA256 and its like")
	return asConfigError(err)
}

// settlePeers decides whom to accept, and by what name.
func (s *settings) settlePeers(host string) error {
	peers := s.Peers
	if peers == nil {
		switch {
		case s.server && s.GetConfig != nil:
			return nil // the Config that it returns must say
		case s.server:
			return configError("a server must say whom it accepts: set Peers (Pins, AuthorizedKeys, Roots, AnyKey, or NoClientAuth to ask for nothing)")
		case s.Identity != nil:
			return configError("a client with an Identity must say which servers it accepts: set Peers (Pins, KnownHosts, or Roots)")
		case s.RootCAs != nil:
			peers = Roots(s.RootCAs)
		default:
			peers = systemRoots()
		}
	}
	judge, ok := peers.(peersJudge)
	if !ok {
		return configError("Peers is not of this package")
	}
	if !s.server && s.ServerName == "" && !judge.explicitName() {
		s.ServerName = host
	}
	if s.ServerName != "" && trust.HostName(s.ServerName) == "" {
		return configError("ServerName is neither a host name (others than ASCII as xn--…) nor an address")
	}
	s.peers = judge
	if _, _, types := judge.requirement(s.server); s.peerTypes != nil && len(types) > 0 && len(s.wantedTypes(types)) == 0 {
		return configError("PeerKinds has none of the kinds of credential that Peers can judge")
	}
	facts := configFacts{HasIdentity: len(s.credentials) > 0 || s.GetClientCertificate != nil, ServerName: s.ServerName, Suites: s.suites}
	if err := judge.validate(s.server, facts); err != nil {
		return configCause{err} // of a file, it may be
	}
	return nil
}

// sni is the name to send.
func (s *settings) sni() string { return sentName(s.ServerName) }

// sentName is what is sent of a server's name: host names only (RFC 6066, Section 3).
func sentName(name string) string {
	name = trust.CanonicalName(name)
	if net.ParseIP(strings.Trim(name, "[]")) != nil || strings.Contains(name, "%") {
		return ""
	}
	return name
}

// servesName reports whether this server answers to name.
func (s *settings) servesName(name string) bool {
	return len(s.ServerNames) == 0 || slices.Contains(s.ServerNames, trust.CanonicalName(name))
}

func (s *settings) handshakeTimeout() time.Duration {
	if s.HandshakeTimeout == 0 {
		return defaultHandshakeTimeout
	}
	return max(s.HandshakeTimeout, 0)
}

func (s *settings) now() time.Time {
	if s.Time != nil {
		return s.Time()
	}
	return time.Now()
}

// keyLog writes the lines of KeyLogWriter, one at a time.
type keyLog struct {
	mu sync.Mutex
	w  interface{ Write([]byte) (int, error) }
}
