// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// expectations are what the tests say that must be found out about a connection.
type expectations struct {
	serverName, alpn, advertisedALPN          string
	noNameOverride                            bool
	noServerName                              bool
	version, cipher, cipherAES, cipherNoAES   int
	curveID                                   int
	hrr, noHRR                                bool
	extendedMasterSecret, secureRenegotiation bool

	ocspResponse, scts []byte
	verifyResult       bool
	peerCertFile       string
	noPeerCert         bool
	peerRPK            []byte
	peerCertType       *int
	clientCAList       string
	peerVerifyPrefs    []int
	selectedCredential *int
	peerScheme         int

	sessionMiss, noSession, noSessionID bool
	ticketSupportsEarlyData             bool
	acceptEarlyData, rejectEarlyData    bool
	noOfferEarlyData                    bool
	earlyDataReason                     string
	ticketAgeSkew                       int
}

// facts are what was found out about one connection whose handshake is done.
type facts struct {
	server, resume bool
	hostName       string // that a client asked for
	state          tls.ConnectionState
	peer           mayfly.Peer
	hasAES         bool

	hello    *mayfly.ClientHello        // that a server has seen
	request  *mayfly.CertificateRequest // that a client has seen
	refused  bool                       // the last judgement on the peer
	toRefuse bool                       // what it had to be
	selected int                        // the credential that signed; -1: the default one, or none

	earlyOffered, earlyAccepted bool
	earlyReason                 mayfly.EarlyDataReason
	skew                        time.Duration
	selectedALPN                string // that a server was told to select
	wantsPeer                   bool   // the peer had to show a certificate
}

// check holds what was found out against what was expected. Some is expected of
// every connection.
func (e *expectations) check(f *facts) error {
	for _, check := range []func(*facts) error{
		e.checkParameters, e.checkNames, e.checkPeer, e.checkStaples, e.checkRequest, e.checkResumption,
	} {
		if err := check(f); err != nil {
			return err
		}
	}
	return nil
}

// unexpected says what is not as it must be.
func unexpected(what string, got, want any) error {
	return fmt.Errorf("bogoshim: %s is %v, and not %v", what, got, want)
}

func (e *expectations) checkParameters(f *facts) error {
	s := f.state
	suite := int(s.CipherSuite)
	switch {
	case e.version != 0 && int(s.Version) != e.version:
		return unexpected("the version", s.Version, e.version)
	case e.cipher != 0 && suite != e.cipher:
		return unexpected("the cipher suite", suite, e.cipher)
	case f.hasAES && e.cipherAES != 0 && suite != e.cipherAES:
		return unexpected("the cipher suite of hardware with AES", suite, e.cipherAES)
	case !f.hasAES && e.cipherNoAES != 0 && suite != e.cipherNoAES:
		return unexpected("the cipher suite of hardware without AES", suite, e.cipherNoAES)
	case e.curveID != 0 && int(s.CurveID) != e.curveID:
		return unexpected("the group", s.CurveID, e.curveID)
	case e.hrr && !s.HelloRetryRequest, e.noHRR && s.HelloRetryRequest:
		return unexpected("the use of HelloRetryRequest", s.HelloRetryRequest, e.hrr)
	case e.extendedMasterSecret && s.Version < tls.VersionTLS13:
		return unexpected("the version without extended_master_secret", s.Version, tls.VersionTLS13)
	case e.noSessionID && s.Version < tls.VersionTLS13:
		return unexpected("the version whose sessions have no ID", s.Version, tls.VersionTLS13)
	case e.secureRenegotiation && s.Version < tls.VersionTLS13:
		return unexpected("the version without renegotiation_info", s.Version, tls.VersionTLS13)
	}
	return nil
}

func (e *expectations) checkNames(f *facts) error {
	want := e.alpn
	if f.server {
		want = f.selectedALPN
	}
	if got := f.state.NegotiatedProtocol; got != want {
		return unexpected("the application protocol", quoted(got), quoted(want))
	}
	if e.noNameOverride && f.state.ServerName != f.hostName {
		return unexpected("the name by which the server is judged", quoted(f.state.ServerName), quoted(f.hostName))
	}
	if e.serverName != "" && f.state.ServerName != e.serverName {
		return unexpected("the server's name", quoted(f.state.ServerName), quoted(e.serverName))
	}
	return nil
}

// checkHello judges what a client asks for, before anything is answered.
func (e *expectations) checkHello(hello *mayfly.ClientHello) error {
	switch {
	case e.noServerName && hello.ServerName != "":
		return unexpected("the server's name", quoted(hello.ServerName), "absent")
	case e.serverName != "" && hello.ServerName != e.serverName:
		return unexpected("the server's name", quoted(hello.ServerName), quoted(e.serverName))
	case e.advertisedALPN != "" && !slices.Equal(hello.NextProtos, protocols(e.advertisedALPN)):
		return unexpected("the list of application protocols", hello.NextProtos, protocols(e.advertisedALPN))
	}
	return checkSchemes(hello.Schemes, e.peerVerifyPrefs)
}

// checkCertificateRequest judges what a server asks for.
func (e *expectations) checkCertificateRequest(r *mayfly.CertificateRequest) error {
	if e.clientCAList != "" {
		var names []string
		for _, name := range r.Authorities {
			names = append(names, hex.EncodeToString(name))
		}
		if got := strings.Join(names, ","); got != e.clientCAList {
			return unexpected("the list of authorities", got, e.clientCAList)
		}
	}
	return checkSchemes(r.Schemes, e.peerVerifyPrefs)
}

func checkSchemes(got []tls.SignatureScheme, want []int) error {
	same := slices.EqualFunc(got, want, func(a tls.SignatureScheme, b int) bool { return int(a) == b })
	if want != nil && !same {
		return unexpected("the peer's list of signature schemes", got, want)
	}
	return nil
}

// checkRequest sees to it that what had to be judged was seen at all.
func (e *expectations) checkRequest(f *facts) error {
	switch {
	case f.server && f.hello == nil:
		return unexpected("the ClientHello", "unseen", "seen")
	case !f.server && e.clientCAList != "" && f.request == nil:
		return unexpected("the CertificateRequest", "unseen", "seen")
	case !f.server && e.peerVerifyPrefs != nil && f.request == nil:
		return unexpected("the CertificateRequest", "unseen", "seen")
	case e.selectedCredential != nil && f.selected != *e.selectedCredential:
		return unexpected("the number of the credential in use", f.selected, *e.selectedCredential)
	}
	return nil
}

func (e *expectations) checkPeer(f *facts) error {
	certs := f.state.PeerCertificates
	switch {
	case (e.noPeerCert || e.peerRPK != nil || f.peer.Kind == mayfly.PSK) && len(certs) > 0:
		return unexpected("the peer's certificate", "there", "absent")
	case f.wantsPeer && !e.noPeerCert && e.peerRPK == nil && f.peer.Kind != mayfly.PSK && len(certs) == 0:
		return unexpected("the peer's certificate", "absent", "there")
	case e.peerScheme != 0 && int(f.peer.Scheme) != e.peerScheme:
		return unexpected("the scheme of the peer's signature", f.peer.Scheme, tls.SignatureScheme(e.peerScheme))
	case e.verifyResult && f.refused != f.toRefuse:
		return unexpected("the refusal of the peer", f.refused, f.toRefuse)
	}
	if e.peerRPK != nil {
		der, err := x509.MarshalPKIXPublicKey(f.peer.PublicKey)
		if err != nil {
			return unexpected("the peer's raw key", "absent", "there")
		}
		if hash := sha256.Sum256(der); f.peer.Kind != mayfly.RawKey || !bytes.Equal(hash[:], e.peerRPK) {
			return unexpected("the hash of the peer's raw key", hex.EncodeToString(hash[:]), hex.EncodeToString(e.peerRPK))
		}
	}
	if want := e.peerCertType; want != nil {
		if got := certificateType(f.peer.Kind); got != *want {
			return unexpected("the type of the peer's certificate", got, *want)
		}
	}
	if e.peerCertFile != "" {
		return checkChain(certs, e.peerCertFile)
	}
	return nil
}

// certificateType is the number of RFC 7250 for a kind of peer. What is neither has
// that of X.509, which is where the numbers begin.
func certificateType(kind mayfly.PeerKind) int {
	if kind == mayfly.RawKey {
		return 2
	}
	return 0
}

func checkChain(certs []*x509.Certificate, file string) error {
	want, err := readPEM(file, "CERTIFICATE")
	if err != nil {
		return err
	}
	if !slices.EqualFunc(certs, want, func(c *x509.Certificate, der []byte) bool { return bytes.Equal(c.Raw, der) }) {
		return unexpected("the peer's chain", len(certs), "the one that was expected")
	}
	return nil
}

func (e *expectations) checkStaples(f *facts) error {
	if e.ocspResponse != nil && !bytes.Equal(f.state.OCSPResponse, e.ocspResponse) {
		return unexpected("the OCSP response", f.state.OCSPResponse, e.ocspResponse)
	}
	if got := joinSCTs(f.state.SignedCertificateTimestamps); e.scts != nil && !bytes.Equal(got, e.scts) {
		return unexpected("the list of signed certificate timestamps", got, e.scts)
	}
	return nil
}

func (e *expectations) checkResumption(f *facts) error {
	if want := f.resume && !e.sessionMiss; f.state.DidResume != want {
		return unexpected("the use of an earlier session", f.state.DidResume, want)
	}
	switch {
	case e.earlyDataReason != "" && reasons[f.earlyReason] != e.earlyDataReason:
		return unexpected("the reason about early data", f.earlyReason, e.earlyDataReason)
	case f.resume && e.ticketAgeSkew != 0 && int(f.skew.Round(time.Second)/time.Second) != e.ticketAgeSkew:
		return unexpected("the skew of the ticket's age", f.skew, e.ticketAgeSkew)
	case e.acceptEarlyData && !f.earlyAccepted:
		return unexpected("early data", "rejected", "accepted")
	case e.rejectEarlyData && f.earlyAccepted:
		return unexpected("early data", "accepted", "rejected")
	case e.noOfferEarlyData && f.earlyOffered:
		return unexpected("early data", "sent", "held back")
	}
	return nil
}

// reasons are the words of the tests for what became of early data.
var reasons = map[mayfly.EarlyDataReason]string{
	mayfly.EarlyDataNotWanted: "disabled", mayfly.EarlyDataNoSession: "no_session_offered",
	mayfly.EarlyDataSessionRefused: "session_not_resumed", mayfly.EarlyDataNotAllowed: "unsupported_for_session",
	mayfly.EarlyDataDeclined: "peer_declined", mayfly.EarlyDataOtherProtocol: "alpn_mismatch",
	mayfly.EarlyDataRetried: "hello_retry_request", mayfly.EarlyDataTicketAge: "ticket_age_skew", mayfly.EarlyDataAccepted: "accept",
}

// checkSessions judges, at the end of a client's connection, the session that the
// server gave.
func (e *expectations) checkSessions(got *mayfly.Session, shutDown bool) error {
	if want := !e.noSession && !shutDown; (got != nil) != want {
		return unexpected("a new session", got != nil, want)
	}
	if got != nil && (got.MaxEarlyData() > 0) != e.ticketSupportsEarlyData {
		return unexpected("early data in the new session", got.MaxEarlyData(), e.ticketSupportsEarlyData)
	}
	return nil
}

// readPEM returns the blocks of one type.
func readPEM(file, blockType string) (list [][]byte, err error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return list, nil
		}
		if block.Type == blockType {
			list = append(list, block.Bytes)
		}
	}
}

// joinSCTs writes timestamps as the tests do: each behind its length, all behind
// theirs.
func joinSCTs(scts [][]byte) []byte {
	var list []byte
	for _, sct := range scts {
		list = append(binary.BigEndian.AppendUint16(list, uint16(len(sct))), sct...)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...)
}

// splitSCTs is the reverse of joinSCTs.
func splitSCTs(list []byte) (scts [][]byte, err error) {
	rest, ok := prefixed(&list)
	if !ok || len(list) > 0 || len(rest) == 0 {
		return nil, fmt.Errorf("bogoshim: a malformed list of timestamps")
	}
	for len(rest) > 0 {
		sct, ok := prefixed(&rest)
		if !ok {
			return nil, fmt.Errorf("bogoshim: a malformed list of timestamps")
		}
		scts = append(scts, sct)
	}
	return scts, nil
}

// prefixed takes what stands behind its length of two bytes.
func prefixed(b *[]byte) ([]byte, bool) {
	if len(*b) < 2 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(*b))
	if len(*b)-2 < n {
		return nil, false
	}
	v := (*b)[2 : 2+n]
	*b = (*b)[2+n:]
	return v, true
}

// protocols reads a list of ALPN, each behind one byte that is its length.
func protocols(list string) (names []string) {
	for len(list) > 0 {
		n := min(int(list[0]), len(list)-1)
		names = append(names, list[1:1+n])
		list = list[1+n:]
	}
	return names
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }
