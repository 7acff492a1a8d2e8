// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// verdict is what a server made of a client.
type verdict struct {
	accepted bool
	called   bool // VerifyConnection was
	shown    int  // certificates, as VerifyConnection saw them
}

// serverVerdict runs a handshake of a client with a server, of crypto/tls or with the
// converted Config, and returns the server's verdict.
func serverVerdict(t *testing.T, config *tls.Config, converted bool, client *mayfly.Config) verdict {
	t.Helper()
	var v verdict
	config = config.Clone()
	config.VerifyConnection = func(s tls.ConnectionState) error {
		v.called, v.shown = true, len(s.PeerCertificates)
		return nil
	}
	a, b := tcpPair(t)
	c := mayfly.Client(a, client)
	defer c.Close()
	var s interface {
		net.Conn
		Handshake() error
	}
	if converted {
		sc, err := mayfly.ServerConfigFromTLS(config)
		if err != nil {
			t.Fatal(err)
		}
		s = mayfly.Server(b, sc)
	} else {
		s = tls.Server(b, config)
	}
	defer s.Close()
	go func() { _ = c.Handshake() }() // the server decides
	v.accepted = s.Handshake() == nil
	return v
}

// TestFromTLSAcceptsWhatCryptoTLSAccepts has crypto/tls and a converted Config judge the
// same clients, in every mode of ClientAuth.
func TestFromTLSAcceptsWhatCryptoTLSAccepts(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	server := ca.issue("db.example")
	id := newIdentity(t)
	selfSigned, err := id.SelfSigned("app.example")
	if err != nil {
		t.Fatal(err)
	}
	forServers := ca.issue("app.example", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	shows := func(certs ...tls.Certificate) *mayfly.Config {
		c := &mayfly.Config{Peers: mayfly.Roots(ca.pool), ServerName: "db.example"}
		for i := range certs {
			c.Credentials = append(c.Credentials, mayfly.Credential{Certificate: &certs[i], Issuers: mayfly.IgnoreIssuers})
		}
		return c
	}
	raw := shows()
	raw.Identity = id
	both := shows()
	both.Identity, both.Certificates = id, []tls.Certificate{ca.issue("app.example")}
	for client, cc := range map[string]*mayfly.Config{
		"no certificate":       shows(),
		"self-signed":          shows(selfSigned),
		"of the authority":     shows(ca.issue("app.example")),
		"of another authority": shows(newAuthority(t).issue("app.example")),
		"for servers":          shows(forServers),
		"the server's own":     shows(server),
		"raw key":              raw,
		"raw key, certificate": both,
	} {
		for mode := tls.NoClientCert; mode <= tls.RequireAndVerifyClientCert; mode++ {
			config := &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: mode, ClientCAs: ca.pool}
			want, got := serverVerdict(t, config, false, cc), serverVerdict(t, config, true, cc)
			if want.accepted != got.accepted {
				t.Errorf("%v, %s: crypto/tls %+v, converted %+v", mode, client, want, got)
			}
			if want.accepted && want != got || got.called && got.shown == 0 && want.called && want.shown > 0 {
				t.Errorf("%v, %s: VerifyConnection saw something else: crypto/tls %+v, converted %+v", mode, client, want, got)
			}
		}
	}
}

// TestFromTLSIndexedCertificate has a VerifyConnection index PeerCertificates, as those of
// crypto/tls's users do where ClientAuth requires a certificate. A client with a raw key
// must not reach it.
func TestFromTLSIndexedCertificate(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	for _, mode := range []tls.ClientAuthType{tls.RequireAnyClientCert, tls.RequireAndVerifyClientCert} {
		var called atomic.Bool
		sc, err := mayfly.ServerConfigFromTLS(&tls.Config{
			Certificates: []tls.Certificate{ca.issue("db.example")}, ClientAuth: mode, ClientCAs: ca.pool,
			VerifyConnection: func(s tls.ConnectionState) error {
				called.Store(true)
				if len(s.PeerCertificates) == 0 {
					t.Errorf("%v: VerifyConnection was called without a certificate", mode)
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		cc := &mayfly.Config{Identity: newIdentity(t), Peers: mayfly.Roots(ca.pool), ServerName: "db.example"}
		if _, _, _, serverErr := shake(t, cc, sc); serverErr == nil || called.Load() {
			t.Errorf("%v: a raw key was let in: %v", mode, serverErr)
		}
	}
}

// TestFromTLSClientTakesNoRawKey has a converted client meet a server that has only a raw
// key: crypto/tls could not connect to it.
func TestFromTLSClientTakesNoRawKey(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cc, err := mayfly.ClientConfigFromTLS(&tls.Config{RootCAs: ca.pool, ServerName: "db.example"})
	if err != nil {
		t.Fatal(err)
	}
	id := newIdentity(t)
	cc.Peers, cc.RootCAs = mayfly.Pins(id.Pin()), nil // even where its Peers would
	if _, _, clientErr, _ := shake(t, cc, &mayfly.Config{Identity: id, Peers: mayfly.NoClientAuth()}); clientErr == nil {
		t.Error("the raw key was accepted")
	}
}

// TestFromTLSSharedCertificate has both ends show one certificate, as the members of a
// cluster do.
func TestFromTLSSharedCertificate(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	config := &tls.Config{
		Certificates: []tls.Certificate{ca.issue("node.example")}, RootCAs: ca.pool, ClientCAs: ca.pool,
		ServerName: "node.example", ClientAuth: tls.RequireAndVerifyClientCert,
	}
	sc, err := mayfly.ServerConfigFromTLS(config)
	if err != nil {
		t.Fatal(err)
	}
	cc, err := mayfly.ClientConfigFromTLS(config)
	if err != nil {
		t.Fatal(err)
	}
	_, _, clientErr, serverErr := shake(t, cc, sc)
	if err := errors.Join(clientErr, serverErr); err != nil {
		t.Error(err)
	}
}

// TestFromTLSUsedConfig converts a tls.Config with which crypto/tls has done a handshake.
func TestFromTLSUsedConfig(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue("db.example")}, RootCAs: ca.pool, ServerName: "db.example"}
	a, b := tcpPair(t)
	s := tls.Server(b, config)
	go func() { _ = tls.Client(a, config).Handshake() }()
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 it is the field that crypto/tls writes into
	if config.SessionTicketKey == [32]byte{} {
		t.Fatal("crypto/tls has left SessionTicketKey alone")
	}
	sc, err := mayfly.ServerConfigFromTLS(config)
	if err != nil {
		t.Fatal(err)
	}
	_, _, clientErr, serverErr := shake(t, &mayfly.Config{Peers: mayfly.Roots(ca.pool), ServerName: "db.example"}, sc)
	if err := errors.Join(clientErr, serverErr); err != nil {
		t.Error(err)
	}
	//lint:ignore SA1019 it is the field that crypto/tls writes into
	config.SessionTicketKey = [32]byte{1}
	if _, err := mayfly.ServerConfigFromTLS(config); !errors.Is(err, mayfly.ErrConfig) {
		t.Errorf("a key that the program set: %v", err)
	}
}

// TestFromTLSSystemRoots has a child process, whose system roots are an authority of ours,
// judge clients without ClientCAs.
func TestFromTLSSystemRoots(t *testing.T) {
	t.Parallel()
	const variable = "MAYFLY_TEST_SYSTEM_ROOTS"
	if file := os.Getenv(variable); file != "" {
		cert, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			t.Fatal(err)
		}
		foreign := newAuthority(t).issue("app.example")
		for _, mode := range []tls.ClientAuthType{tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert} {
			config := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: mode}
			for _, shown := range []tls.Certificate{cert, foreign} {
				cc := &mayfly.Config{Certificates: []tls.Certificate{shown}, ServerName: "db.example", AllowSelf: true}
				want, got := serverVerdict(t, config, false, cc), serverVerdict(t, config, true, cc)
				if want != got || want.accepted != (shown.Leaf != foreign.Leaf) {
					t.Errorf("%v: crypto/tls %+v, converted %+v", mode, want, got)
				}
			}
		}
		return
	}
	ca := newAuthority(t)
	cert := ca.issue("db.example")
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pair, roots := filepath.Join(dir, "pair.pem"), filepath.Join(dir, "roots.pem")
	pem1 := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	pem1 = append(pem1, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	if err := errors.Join(os.WriteFile(pair, pem1, 0o600),
		os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), 0o600)); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestFromTLSSystemRoots$", "-test.v")
	child.Env = append(os.Environ(), variable+"="+pair, "SSL_CERT_FILE="+roots, "SSL_CERT_DIR="+dir)
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
