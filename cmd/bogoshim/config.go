// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// maxEarlyData is how much early data the tests expect a server to take.
const maxEarlyData = 14336

// errFailedOCSP is what a callback for OCSP says where it is to fail.
var errFailedOCSP = &mayfly.AlertError{Code: badCertificateStatusResponse, Reason: "the test fails the callback for OCSP"}

// errFailedCallback is what a callback for certificates says where it is to fail.
var errFailedCallback = &mayfly.AlertError{Code: internalError, Reason: "the test fails the callback for certificates"}

// config makes the Config of the connection.
func (c *connection) config() (*mayfly.Config, error) {
	f := c.flags
	if f.maxVersion != 0 && f.maxVersion < tls.VersionTLS13 {
		return nil, fmt.Errorf("%w: a version below TLS 1.3", errUnimplemented)
	}
	config := &mayfly.Config{
		AllowSelf:        true, // both sides have keys of the tests
		HandshakeTimeout: time.Minute,
		Time:             c.shim.clock.time,
		KeyLogWriter:     &c.secrets,
		VerifyConnection: c.verifyConnection,
		Trace:            &mayfly.Trace{KeysInstalled: c.keysInstalled},
	}
	psks, err := c.install(config)
	if err != nil {
		return nil, err
	}
	if err := f.groups(config); err != nil {
		return nil, err
	}
	prefs := f.verifyPrefs
	if prefs == nil {
		prefs = defaultSchemes
	}
	for _, scheme := range prefs {
		if !slices.Contains(schemesOfOld, scheme) {
			config.SignatureSchemes = append(config.SignatureSchemes, tls.SignatureScheme(scheme))
		}
	}
	if config.CertificateCompression, err = f.compressions(); err != nil {
		return nil, err
	}
	if config.PeerKinds, err = kinds(f.acceptedPeerCertTypes); err != nil {
		return nil, err
	}
	if f.acceptedPeerCertTypes == nil {
		config.PeerKinds = []mayfly.PeerKind{mayfly.X509}
	}
	config.MaxCertificates = 100 // the tests count bytes
	config.MaxFragment = f.maxSendFragment
	if f.repeatShimInitialWrite > 1 && f.enableEarlyData {
		config.MaxFragment = len(f.shimInitialWrite) // the tests want each write in a record of its own
	}
	if f.keyUpdate {
		config.Rekey.MinInterval = -1
	}
	if f.server {
		return c.serverConfig(config, psks)
	}
	return c.clientConfig(config, psks)
}

// defaultSchemes are what the tests suppose that a library accepts: those of BoringSSL.
var defaultSchemes = []int{0x0403, 0x0804, 0x0503, 0x0805, 0x0806}

// schemesOfOld are the numbers of schemes that no peer may prove its key by in TLS 1.3.
// Where the tests prefer one, they mean that nothing follows from it.
var schemesOfOld = []int{0x0201, 0x0203, 0x0401, 0x0501, 0x0601, 0x0420, 0x0520, 0x0620, 0xff01}

// kinds are the kinds of peers that have the numbers of RFC 7250.
func kinds(types []int) (list []mayfly.PeerKind, err error) {
	for _, t := range types {
		switch t {
		case 0:
			list = append(list, mayfly.X509)
		case 2:
			list = append(list, mayfly.RawKey)
		default:
			return nil, fmt.Errorf("%w: certificates of type %d", errUnimplemented, t)
		}
	}
	return list, nil
}

func (f *flags) groups(config *mayfly.Config) error {
	known := []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521, mayfly.MLKEM1024}
	for _, n := range f.curves {
		if !slices.Contains(known, tls.CurveID(n)) {
			return fmt.Errorf("%w: the group %d", errUnimplemented, n)
		}
		config.CurvePreferences = append(config.CurvePreferences, tls.CurveID(n))
	}
	return nil
}

func (c *connection) clientConfig(config *mayfly.Config, psks []*mayfly.PresharedKey) (*mayfly.Config, error) {
	f := c.flags
	config.ServerName = f.hostName
	config.NextProtos = protocols(f.advertiseALPN)
	config.Sessions = c.store.cache
	config.KeyShares = f.shares()
	config.NoStaples = !f.enableOCSPStapling && !f.enableSCT
	config.NeverAnonymous, config.GREASE = true, f.enableGREASE || f.enableECHGREASE
	var err error
	if config.OwnKinds, err = kinds(f.availableClientCertTypes); err != nil {
		return nil, err
	}
	config.Peers = mayfly.AllOf(mayfly.InsecureAnyServer(), mayfly.Verify(c.verify))
	if len(psks) > 0 {
		certified := config.Peers
		config.Peers = mayfly.PSKs(psks...)
		if f.verifyPeer {
			config.Peers = mayfly.AnyOf(config.Peers, certified)
		}
	}
	if f.useOldClientCertCallback || f.failCertCallback || f.expect.clientCAList != "" || f.expect.peerVerifyPrefs != nil {
		config.GetClientCertificate = c.clientCertificate(config.Credentials)
		if f.useOldClientCertCallback {
			config.Credentials = nil
		}
	}
	return config, nil
}

// shares are the groups that a client has shares for: the first of its own that the
// server is said to know, or what the test names.
func (f *flags) shares() []tls.CurveID {
	for _, group := range f.curves {
		if slices.Contains(f.serverGroupsHint, group) {
			return []tls.CurveID{tls.CurveID(group)}
		}
	}
	if f.noKeyShares {
		return []tls.CurveID{}
	}
	var shares []tls.CurveID
	for _, group := range f.keyShares {
		shares = append(shares, tls.CurveID(group))
	}
	if shares == nil && f.curves != nil {
		// The tests suppose one share of either kind, whichever is preferred.
		for _, isPostQuantum := range []bool{false, true} {
			for _, group := range f.curves {
				if slices.Contains(postQuantum, tls.CurveID(group)) == isPostQuantum {
					shares = append(shares, tls.CurveID(group))
					break
				}
			}
		}
	}
	return shares
}

// postQuantum are the groups that hold against a quantum computer.
var postQuantum = []tls.CurveID{tls.X25519MLKEM768, mayfly.MLKEM1024}

// clientCertificate is a callback that chooses the first of the list.
func (c *connection) clientCertificate(list []mayfly.Credential) func(context.Context, *mayfly.CertificateRequest) (*tls.Certificate, error) {
	return func(_ context.Context, r *mayfly.CertificateRequest) (*tls.Certificate, error) {
		c.request = r
		if err := c.flags.expect.checkCertificateRequest(r); err != nil {
			return nil, err
		}
		switch {
		case c.flags.failCertCallback:
			return nil, errFailedCallback
		case c.flags.useOldClientCertCallback && len(list) > 0:
			return list[0].Certificate, nil
		}
		return nil, nil
	}
}

func (c *connection) serverConfig(config *mayfly.Config, psks []*mayfly.PresharedKey) (*mayfly.Config, error) {
	f := c.flags
	config.TicketKeys = c.shim.ring
	if f.useTicketCallback {
		config.TicketKeys = &c.ticketCallback
	}
	if f.renewTicket && c.resume {
		if err := c.shim.renewKeys(); err != nil {
			return nil, err
		}
	}
	config.GREASE = true // the tests suppose it of every server
	if f.noTicket {
		config.Tickets.Count = -1
	}
	if f.enableEarlyData {
		config.MaxEarlyData, config.Replay = maxEarlyData, c.shim.replay
		config.MaxTicketAgeSkew = time.Minute // as the tests have it
	}
	config.Authorities = f.clientCAs
	anybody := mayfly.AllOf(mayfly.AnyKey(), mayfly.Verify(c.verify))
	switch {
	case f.requireAnyClientCertificate:
		config.Peers = anybody
	case f.verifyPeer:
		config.Peers = mayfly.AnyOf(anybody, mayfly.NoClientAuth())
	default:
		config.Peers = mayfly.NoClientAuth()
	}
	if len(psks) > 0 {
		config.Peers = mayfly.PSKs(psks...)
		if len(config.Credentials) > 0 {
			config.Peers = mayfly.AnyOf(config.Peers, mayfly.NoClientAuth())
		}
	}
	if f.failCertCallback {
		config.GetCertificate = func(context.Context, *mayfly.ClientHello) (*tls.Certificate, error) {
			return nil, errFailedCallback
		}
	}
	if f.useOCSPCallback && f.failOCSPCallback {
		config.GetCertificate = func(context.Context, *mayfly.ClientHello) (*tls.Certificate, error) {
			return nil, errFailedOCSP
		}
	}
	return &mayfly.Config{
		GetConfig:        c.chooseConfig(config),
		HandshakeTimeout: config.HandshakeTimeout,
		Trace:            config.Trace,
		TicketKeys:       config.TicketKeys,
	}, nil
}

// chooseConfig is what the tests call the early callback: it sees the ClientHello
// before anything is decided.
func (c *connection) chooseConfig(config *mayfly.Config) func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) {
	return func(_ context.Context, hello *mayfly.ClientHello) (*mayfly.Config, error) {
		f := c.flags
		c.hello = hello
		if err := f.expect.checkHello(hello); err != nil {
			return nil, err
		}
		if f.failEarlyCallback {
			return nil, &mayfly.AlertError{Code: handshakeFailure, Reason: "the test fails the early callback"}
		}
		switch {
		case f.declineALPN || len(hello.NextProtos) == 0:
		case f.rejectALPN:
			config.NextProtos = []string{"none of the client's"}
		case f.selectEmptyALPN:
			config.NextProtos = []string{""}
		case f.selectALPN != "":
			config.NextProtos = []string{f.selectALPN}
		}
		return config, nil
	}
}

// verify judges a peer. One that is resumed was judged before: the tests say whether
// it is to be judged again. Where they reject early data, all that follows the offer
// of the session is of what they call the retry. Who does not insist on a peer goes on
// with one that is refused. The certificate that is trusted is that of the connections
// before a retry.
func (c *connection) verify(_ context.Context, p mayfly.Peer) error {
	f := c.flags
	if c.retry != nil && (c.judged > 0 || !p.Resumed) {
		f = c.retry
	}
	c.judged++
	insists := f.verifyPeer || f.requireAnyClientCertificate || p.Kind == mayfly.RawKey
	if p.Resumed && !f.reverifyOnResume {
		return nil
	}
	c.shim.refused = f.verifyFail
	if f.verifyFail && insists {
		return f.refusal()
	}
	if f.trustCert != "" && f != c.retry && p.Kind == mayfly.X509 {
		return f.checkTrust(p.Certificates)
	}
	return nil
}

// checkTrust wants a chain to the certificate that the test trusts.
func (f *flags) checkTrust(chain []*x509.Certificate) error {
	trusted, err := readPEM(f.trustCert, "CERTIFICATE")
	if err != nil {
		return err
	}
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	for _, der := range trusted {
		root, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		roots.AddCert(root)
	}
	for _, cert := range chain[1:] {
		others.AddCert(cert)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// refusal is how the tests want a peer to be refused, by the one or the other kind of
// callback.
func (f *flags) refusal() error {
	const reason = "the test refuses the peer"
	if f.useCustomVerifyCallback {
		return &mayfly.AlertError{Code: certificateUnknown, Reason: reason}
	}
	return &mayfly.AlertError{Code: handshakeFailure, Reason: reason}
}

// The alerts that callbacks choose: RFC 9846, Section 6.
const (
	decompressionFailure         mayfly.AlertCode = 30 // of TLS 1.2: the tests want one that is not used otherwise
	handshakeFailure             mayfly.AlertCode = mayfly.AlertHandshakeFailure
	certificateUnknown           mayfly.AlertCode = mayfly.AlertCertificateUnknown
	internalError                mayfly.AlertCode = mayfly.AlertInternalError
	badCertificateStatusResponse mayfly.AlertCode = mayfly.AlertBadCertificateStatusResponse
)

// verifyConnection sees what a certificate brought along.
func (c *connection) verifyConnection(state tls.ConnectionState) error {
	if c.flags.expect.ocspResponse != nil && len(state.OCSPResponse) == 0 && !state.DidResume {
		return unexpected("the OCSP response, while the peer is judged", "absent", "there")
	}
	if !c.flags.server && c.flags.useOCSPCallback && c.flags.failOCSPCallback {
		return errFailedOCSP
	}
	return nil
}

// keysInstalled notes that early data is sent.
func (c *connection) keysInstalled(_ context.Context, info mayfly.KeyInfo) {
	if info.Early && info.Direction == mayfly.Sending {
		c.earlyOffered.Store(true)
	}
}
