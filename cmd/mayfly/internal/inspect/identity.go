// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
)

// An Identity is who the server is, as far as it has proved that.
type Identity struct {
	Kind     string
	Pin      string
	Key      string
	Scheme   string
	Verdict  string // accepted, by whom; or not
	Reason   string // why it was not
	Certs    []*Cert
	OCSP     int // bytes of a response that was stapled
	SCTs     int
	Accepted bool
}

// A Cert is one certificate that the server has shown.
type Cert struct {
	Subject, Issuer     string
	Names               []string
	NotBefore, NotAfter time.Time
	Key, Signature      string
	Serial              string
	SHA256              string
	CA                  bool
}

// wantedPeers returns those whom a Config would accept: for a client that says nothing,
// the system's roots.
func wantedPeers(config *mayfly.Config) (mayfly.Peers, error) {
	if config.Peers != nil {
		return config.Peers, nil
	}
	pool, err := rootsOf(config)
	if err != nil {
		return nil, err
	}
	return mayfly.Roots(pool), nil
}

func rootsOf(config *mayfly.Config) (*x509.CertPool, error) {
	if config.RootCAs != nil {
		return config.RootCAs, nil
	}
	return x509.SystemCertPool()
}

// identify says who the server is.
func (s *session) identify(conn *mayfly.Conn, accepted bool) *Identity {
	peer, state := conn.Peer(), conn.ConnectionState()
	id := &Identity{
		Kind: peer.Kind.String(), Pin: peer.Pin.String(), Key: describeKey(peer.PublicKey), Scheme: dissect.Scheme(uint16(peer.Scheme)),
		OCSP: len(state.OCSPResponse), SCTs: len(state.SignedCertificateTimestamps), Accepted: accepted,
	}
	for _, c := range peer.Certificates {
		id.Certs = append(id.Certs, describeCert(c))
	}
	switch {
	case accepted && len(peer.Chains) > 0:
		chain := peer.Chains[0]
		id.Verdict = fmt.Sprintf("verified: its certificate is for %s, and a chain of %d leads to the root %s", dissect.Quote(s.name), len(chain), dissect.Quote(dissect.Name(chain[len(chain)-1].Subject)))
	case accepted && peer.Name != "":
		id.Verdict = "verified: its key is the one known for " + dissect.Quote(peer.Name)
	case accepted:
		id.Verdict = "verified: its pin is one that was given"
	default:
		id.Verdict, id.Reason = "NOT VERIFIED", s.objection(peer)
	}
	return id
}

// objection says why a server was not accepted, as far as can be told from outside.
func (s *session) objection(peer mayfly.Peer) string {
	if peer.Kind == mayfly.RawKey {
		if s.judged.Peers == nil {
			return "it shows a raw public key, and no pin was given to hold it against"
		}
		return "its key is not one of those that were given"
	}
	if s.judged.Peers != nil && s.options.Roots == nil {
		return "its key is not one of those that were given"
	}
	pool, err := s.options.Roots, error(nil)
	if pool == nil {
		pool, err = rootsOf(s.judged)
	}
	if err != nil || len(peer.Certificates) == 0 {
		return "there is nothing to verify it by"
	}
	between := x509.NewCertPool()
	for _, c := range peer.Certificates[1:] {
		between.AddCert(c)
	}
	now := time.Now
	if s.judged.Time != nil {
		now = s.judged.Time
	}
	_, err = peer.Certificates[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, CurrentTime: now(), DNSName: bracketed(s.name)})
	if err != nil {
		return plain(err)
	}
	return "the rules of this connection refuse it, though its chain is valid"
}

// bracketed is a name as x509 wants it: an address in brackets is one for sure.
func bracketed(name string) string {
	if net.ParseIP(name) != nil {
		return "[" + name + "]"
	}
	return name
}

func describeCert(c *x509.Certificate) *Cert {
	d := &Cert{
		Subject: dissect.Quote(dissect.Name(c.Subject)), Issuer: dissect.Quote(dissect.Name(c.Issuer)),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Key: describeKey(c.PublicKey), Signature: c.SignatureAlgorithm.String(),
		Serial: fmt.Sprintf("%x", c.SerialNumber), SHA256: fmt.Sprintf("%x", sha256.Sum256(c.Raw)), CA: c.IsCA && c.BasicConstraintsValid,
	}
	for _, name := range c.DNSNames[:min(len(c.DNSNames), 100)] {
		d.Names = append(d.Names, dissect.Quote(name))
	}
	for _, address := range c.EmailAddresses[:min(len(c.EmailAddresses), 100)] {
		d.Names = append(d.Names, dissect.Quote(address))
	}
	for _, ip := range c.IPAddresses[:min(len(c.IPAddresses), 100)] {
		d.Names = append(d.Names, ip.String())
	}
	return d
}

// describeKey says what kind of key one is.
func describeKey(key any) string {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return "Ed25519"
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA, %d bits", key.N.BitLen())
	}
	return "of an unknown kind"
}
