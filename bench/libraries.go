// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"

	"github.com/flynn/noise"

	"github.com/mayfly-tls/mayfly"
)

// A library makes a secure channel of a pair of connections.
type library struct {
	name string
	// pair does the handshake over two ends, and returns the secured ones.
	pair func(client, server net.Conn) (net.Conn, net.Conn, error)
}

// The suites to compare, by the number of TLS 1.3.
const (
	aes128 = tls.TLS_AES_128_GCM_SHA256
	chacha = tls.TLS_CHACHA20_POLY1305_SHA256
)

func suiteName(id uint16) string {
	if id == aes128 {
		return "AES-128-GCM"
	}
	return "ChaCha20-Poly1305"
}

// libraries are those that can do a suite. crypto/tls lets nobody choose: it takes
// AES where the processor has it; see withoutAES.
func libraries(suite uint16) []library {
	list := []library{mayflyLibrary(suite, tls.X25519), tlsLibrary(suite, tls.X25519)}
	if suite == chacha {
		list = append(list, noiseLibrary())
	}
	return list
}

// mayflyLibrary has raw keys on both sides.
func mayflyLibrary(suite uint16, group tls.CurveID) library {
	client, server := mayflyConfigs(suite, group)
	return library{"mayfly", func(c, s net.Conn) (net.Conn, net.Conn, error) {
		a, b := mayfly.Client(c, client), mayfly.Server(s, server)
		return a, b, both(a.Handshake, b.Handshake)
	}}
}

func mayflyConfigs(suite uint16, group tls.CurveID) (client, server *mayfly.Config) {
	a, b := must(mayfly.GenerateIdentity()), must(mayfly.GenerateIdentity())
	client = &mayfly.Config{Identity: a, Peers: mayfly.Pins(b.Pin())}
	server = &mayfly.Config{Identity: b, Peers: mayfly.Pins(a.Pin())}
	for _, c := range []*mayfly.Config{client, server} {
		c.CipherSuites, c.CurvePreferences = []uint16{suite}, []tls.CurveID{group}
	}
	return client, server
}

// tlsLibrary has Ed25519 certificates on both sides, which the other trusts as they are.
func tlsLibrary(suite uint16, group tls.CurveID) library {
	pool := x509.NewCertPool()
	one, two := certificate(nil), certificate(nil)
	pool.AddCert(one.Leaf)
	pool.AddCert(two.Leaf)
	return tlsLibraryWith(suite, group, pool, one, two)
}

// issuedLibrary has Ed25519 certificates that an authority has issued, and trusts the
// authority.
func issuedLibrary(suite uint16, group tls.CurveID) library {
	pool, authority := x509.NewCertPool(), certificate(nil)
	pool.AddCert(authority.Leaf)
	return tlsLibraryWith(suite, group, pool, certificate(&authority), certificate(&authority))
}

func tlsLibraryWith(suite uint16, group tls.CurveID, pool *x509.CertPool, one, two tls.Certificate) library {
	client, server := tlsConfigs(group, pool, one, two)
	return library{reference, func(c, s net.Conn) (net.Conn, net.Conn, error) {
		a, b := tls.Client(c, client), tls.Server(s, server)
		err := both(a.Handshake, b.Handshake)
		if err == nil && a.ConnectionState().CipherSuite != suite {
			err = fmt.Errorf("crypto/tls negotiated %s", tls.CipherSuiteName(a.ConnectionState().CipherSuite))
		}
		return a, b, err
	}}
}

func tlsConfigs(group tls.CurveID, pool *x509.CertPool, one, two tls.Certificate) (client, server *tls.Config) {
	client = &tls.Config{RootCAs: pool, ServerName: "bench.example", Certificates: []tls.Certificate{one}}
	server = &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{two}}
	for _, c := range []*tls.Config{client, server} {
		c.MinVersion, c.CurvePreferences = tls.VersionTLS13, []tls.CurveID{group}
	}
	return client, server
}

// certificate is issued by an authority, or self-signed, and then may be one.
func certificate(authority *tls.Certificate) tls.Certificate {
	public, private, err := ed25519.GenerateKey(nil)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{"bench.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	parent, signer := template, any(private)
	if authority != nil {
		parent, signer = authority.Leaf, authority.PrivateKey
	} else {
		template.BasicConstraintsValid, template.IsCA = true, true
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent, public, signer))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: must(x509.ParseCertificate(der))}
}

// resuming are the libraries that resume the session of their last connection.
func resuming() []library {
	client, server := mayflyConfigs(aes128, tls.X25519)
	client.Sessions, server.TicketKeys = mayfly.NewSessionCache(0), mayfly.NewTicketRing(mayfly.GenerateSealingKey())
	ours := library{"mayfly", func(c, s net.Conn) (net.Conn, net.Conn, error) {
		a, b := mayfly.Client(c, client), mayfly.Server(s, server)
		return a, b, both(a.Handshake, b.Handshake)
	}}
	pool, cert := x509.NewCertPool(), certificate(nil)
	pool.AddCert(cert.Leaf)
	tlsClient, tlsServer := tlsConfigs(tls.X25519, pool, cert, cert)
	tlsClient.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	theirs := library{reference, func(c, s net.Conn) (net.Conn, net.Conn, error) {
		a, b := tls.Client(c, tlsClient), tls.Server(s, tlsServer)
		return a, b, both(a.Handshake, b.Handshake)
	}}
	return []library{ours, theirs}
}

// noiseLibrary is Noise XX with X25519, ChaCha20-Poly1305 and SHA-256, and the usual
// framing: a length of two bytes before each message.
func noiseLibrary() library {
	suite := noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)
	a, b := must(suite.GenerateKeypair(rand.Reader)), must(suite.GenerateKeypair(rand.Reader))
	return library{"flynn/noise", func(c, s net.Conn) (net.Conn, net.Conn, error) {
		client, server := &noiseConn{Conn: c}, &noiseConn{Conn: s}
		run := func(conn *noiseConn, key noise.DHKey, initiator bool) func() error {
			return func() error { return conn.handshake(suite, key, initiator) }
		}
		return client, server, both(run(client, a, true), run(server, b, false))
	}}
}

type noiseConn struct {
	net.Conn
	sends, receives *noise.CipherState
	out, in         []byte
	plain           []byte
}

// maxNoise is the longest message less its tag.
const maxNoise = 65535 - 16

func (c *noiseConn) handshake(suite noise.CipherSuite, key noise.DHKey, initiator bool) error {
	state, err := noise.NewHandshakeState(noise.Config{CipherSuite: suite, Pattern: noise.HandshakeXX, Initiator: initiator, StaticKeypair: key})
	if err != nil {
		return err
	}
	for i := range 3 {
		var one, two *noise.CipherState
		if (i%2 == 0) == initiator {
			var msg []byte
			if msg, one, two, err = state.WriteMessage(nil, nil); err == nil {
				_, err = c.Conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
			}
		} else {
			var msg []byte
			if msg, err = c.message(); err == nil {
				_, one, two, err = state.ReadMessage(nil, msg)
			}
		}
		if err != nil {
			return err
		}
		if c.sends, c.receives = one, two; !initiator {
			c.sends, c.receives = two, one
		}
	}
	return nil
}

// message reads one message.
func (c *noiseConn) message() ([]byte, error) {
	if c.in == nil {
		c.in = make([]byte, 2+65535)
	}
	if _, err := io.ReadFull(c.Conn, c.in[:2]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(c.in))
	_, err := io.ReadFull(c.Conn, c.in[2:2+n])
	return c.in[2 : 2+n], err
}

func (c *noiseConn) Write(p []byte) (n int, err error) {
	for n < len(p) {
		chunk := p[n:min(n+maxNoise, len(p))]
		c.out = binary.BigEndian.AppendUint16(c.out[:0], uint16(len(chunk)+16))
		if c.out, err = c.sends.Encrypt(c.out, nil, chunk); err != nil {
			return n, err
		}
		if _, err := c.Conn.Write(c.out); err != nil {
			return n, err
		}
		n += len(chunk)
	}
	return n, nil
}

func (c *noiseConn) Read(p []byte) (int, error) {
	for len(c.plain) == 0 {
		msg, err := c.message()
		if err != nil {
			return 0, err
		}
		if c.plain, err = c.receives.Decrypt(msg[:0], nil, msg); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.plain)
	c.plain = c.plain[n:]
	return n, nil
}

// bare is the transport alone.
func bare() library {
	return library{"no protection", func(c, s net.Conn) (net.Conn, net.Conn, error) { return c, s, nil }}
}

// both runs the two sides of a handshake.
func both(client, server func() error) error {
	done := make(chan error, 1)
	go func() { done <- server() }()
	return errors.Join(client(), <-done)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}
