// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// TestMisuse shows the refusal of each Config that cannot work, and the sentence
// that says what to set.
func TestMisuse(t *testing.T) {
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	pin := mayfly.Pins(id.Pin())
	pool := x509.NewCertPool()
	for _, pins := range [][]string{nil, {""}, {"sha256//too short"}, {id.Pin().String(), "sha1//AAAA"}} {
		if peers, err := mayfly.ParsePins(pins...); err == nil || peers != nil {
			t.Errorf("ParsePins(%q) = %v, %v", pins, peers, err)
		}
	}
	always := func(context.Context, mayfly.Peer) error { return nil }
	other, _ := mayfly.GenerateIdentity()
	cert, err := id.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	key, err := mayfly.NewPresharedKey("k", []byte("32 bytes that are not any secret"), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		server bool
		config *mayfly.Config
		says   string
	}{
		{"client, identity and no peers", false, &mayfly.Config{Identity: id}, "set Peers"},
		{"client, NoClientAuth", false, &mayfly.Config{Peers: mayfly.NoClientAuth()}, "NoClientAuth"},
		{"client, AnyKey", false, &mayfly.Config{Peers: mayfly.AnyKey()}, "AnyKey"},
		{"client, AuthorizedKeys", false, &mayfly.Config{Peers: mayfly.AuthorizedKeys("x")}, "AuthorizedKeys"},
		{"client, RootCAs and Peers", false, &mayfly.Config{RootCAs: pool, Peers: pin}, "Roots(pool)"},
		{"client, KnownHosts without a name", false, &mayfly.Config{Peers: mayfly.KnownHosts("x")}, "ServerName"},
		{"client, roots without a name", false, &mayfly.Config{}, "ServerName"},
		{"client, an empty PinSet", false, &mayfly.Config{Peers: mayfly.NewPinSet()}, "pin"},
		{"client, an empty AnyOf", false, &mayfly.Config{Peers: mayfly.AnyOf()}, "AnyOf"},
		{"client, an empty AllOf", false, &mayfly.Config{Peers: mayfly.AllOf()}, "AllOf"},
		{"client, Verify alone", false, &mayfly.Config{Peers: mayfly.Verify(always)}, "Verify"},
		{"client, AnyOf with Verify", false, &mayfly.Config{Peers: mayfly.AnyOf(pin, mayfly.Verify(always))}, "Verify"},
		{"client, ServerNames", false, &mayfly.Config{Peers: pin, ServerNames: []string{"a"}}, "ServerName"},
		{"client, GetConfig", false, &mayfly.Config{Peers: pin, GetConfig: func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) { return nil, nil }}, "GetConfig"},
		{"client, GetCertificate", false, &mayfly.Config{Peers: pin, GetCertificate: func(context.Context, *mayfly.ClientHello) (*tls.Certificate, error) { return nil, nil }}, "GetClientCertificate"},
		{"client, a damaged list", false, &mayfly.Config{Peers: mayfly.KnownHosts("go.mod"), ServerName: "db.example"}, "go.mod, line 1: "},
		{"client, no host name", false, &mayfly.Config{Peers: pin, ServerName: "a name"}, "ServerName"},
		{"client, KnownHosts without a host name", false, &mayfly.Config{Peers: mayfly.KnownHosts("x"), ServerName: "a name"}, "ServerName"},
		{"client, a name with a zero byte", false, &mayfly.Config{Peers: pin, ServerName: "db\x00.example"}, "ServerName"},
		{"client, a name not in ASCII", false, &mayfly.Config{Peers: pin, ServerName: "bücher.example"}, "xn--"},
		{"client, a long label", false, &mayfly.Config{Peers: pin, ServerName: strings.Repeat("a", 64) + ".example"}, "ServerName"},
		{"client, a long name", false, &mayfly.Config{Peers: pin, ServerName: strings.Repeat("a.", 126) + "example"}, "ServerName"},
		{"client, many protocols", false, &mayfly.Config{Peers: pin, NextProtos: strings.Split(strings.Repeat("protocol,", 500), ",")[:500]}, "NextProtos"},
		{"client, a long protocol", false, &mayfly.Config{Peers: pin, NextProtos: []string{strings.Repeat("p", 256)}}, "NextProtos"},
		{"client, AllOf of two worlds", false, &mayfly.Config{Peers: mayfly.AllOf(mayfly.PSKs(key), pin)}, "put them into AnyOf"},
		{"server, nothing", true, nil, "Identity or Certificates"},
		{"server, no peers", true, &mayfly.Config{Identity: id}, "set Peers"},
		{"server, no key", true, &mayfly.Config{Peers: pin}, "Identity or Certificates"},
		{"server, InsecureAnyServer", true, &mayfly.Config{Identity: id, Peers: mayfly.InsecureAnyServer()}, "InsecureAnyServer"},
		{"server, KnownHosts", true, &mayfly.Config{Identity: id, Peers: mayfly.KnownHosts("x")}, "KnownHosts"},
		{"server, ServerName", true, &mayfly.Config{Identity: id, Peers: pin, ServerName: "a"}, "ServerNames"},
		{"server, RootCAs", true, &mayfly.Config{Identity: id, RootCAs: pool}, "Roots(pool)"},
		{"server, GetClientCertificate", true, &mayfly.Config{Identity: id, Peers: pin, GetClientCertificate: func(context.Context, *mayfly.CertificateRequest) (*tls.Certificate, error) { return nil, nil }}, "GetCertificate"},
		{"server, NoStaples", true, &mayfly.Config{Identity: id, Peers: pin, NoStaples: true}, "NoStaples"},
		{"server, KeyShares", true, &mayfly.Config{Identity: id, Peers: pin, KeyShares: []tls.CurveID{tls.X25519}}, "KeyShares"},
		{"server, no list", true, &mayfly.Config{Identity: id, Peers: mayfly.AuthorizedKeys("no such file")}, "no such file"},
		{"server, a damaged list", true, &mayfly.Config{Identity: id, Peers: mayfly.AuthorizedKeys("go.mod")}, "go.mod, line 1: "},
		{"server, RootCAs beside Peers", true, &mayfly.Config{Identity: id, RootCAs: pool, Peers: pin}, "Roots(pool)"},
		{"server, empty roots", true, &mayfly.Config{Identity: id, Peers: mayfly.Roots(pool)}, "Roots"},
		{"server, no pins", true, &mayfly.Config{Identity: id, Peers: mayfly.Pins()}, "list of pins is empty"},
		{"server, a name that is none", true, &mayfly.Config{Identity: id, Peers: pin, ServerNames: []string{"a", ""}}, "host names"},
		{"server, a name with a space", true, &mayfly.Config{Identity: id, Peers: pin, ServerNames: []string{"a name"}}, "host names"},
		{"no curve", true, &mayfly.Config{Identity: id, Peers: pin, CurvePreferences: []tls.CurveID{}}, "CurvePreferences"},
		{"a fragment of nothing", true, &mayfly.Config{Identity: id, Peers: pin, MaxFragment: 63}, "MaxFragment"},
		{"a certificate without a key", true, &mayfly.Config{Certificates: []tls.Certificate{{Certificate: cert.Certificate}}, Peers: pin}, "PrivateKey"},
		{"a certificate with another key", true, &mayfly.Config{Certificates: []tls.Certificate{{Certificate: cert.Certificate, PrivateKey: other}}, Peers: pin}, "PrivateKey"},
		{"a certificate that is none", true, &mayfly.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{{1}}, PrivateKey: id}}, Peers: pin}, "parsed"},
		{"server, an address as a name", true, &mayfly.Config{Identity: id, Peers: pin, ServerNames: []string{"127.0.0.1"}}, "host names"},
		{"TLS 1.2 suite", true, &mayfly.Config{Identity: id, Peers: pin, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}, "CipherSuites"},
		{"no suite", true, &mayfly.Config{Identity: id, Peers: pin, CipherSuites: []uint16{}}, "CipherSuites"},
		{"ffdhe2048", true, &mayfly.Config{Identity: id, Peers: pin, CurvePreferences: []tls.CurveID{0x0100}}, "CurvePreferences"},
		{"record size", true, &mayfly.Config{Identity: id, Peers: pin, RecordSizeLimit: 63}, "RecordSizeLimit"},
		{"an empty protocol", true, &mayfly.Config{Identity: id, Peers: pin, NextProtos: []string{""}}, "NextProtos"},
		{"an empty certificate", true, &mayfly.Config{Certificates: []tls.Certificate{{}}, Peers: pin}, "Certificates"},
		{"a negative lifetime", true, &mayfly.Config{Identity: id, Peers: pin, MaxLifetime: -1}, "MaxLifetime"},
	} {
		a, b := net.Pipe()
		var err error
		if test.server {
			err = mayfly.Server(a, test.config).Handshake()
			if ln, err2 := mayfly.Listen("tcp", "127.0.0.1:0", test.config); err2 == nil {
				t.Errorf("%s: Listen did not refuse", test.name)
				_ = ln.Close()
			}
		} else {
			err = mayfly.Client(a, test.config).Handshake()
		}
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "mayfly: ") || !errors.Is(err, mayfly.ErrConfig) {
			t.Errorf("%s: got %v, want a sentence with %q", test.name, err, test.says)
		}
		_ = a.Close()
		_ = b.Close()
	}
}

func TestPinsPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a malformed constant did not panic")
		}
	}()
	mayfly.MustParsePins("sha256//too short")
}

// TestDialNames shows that KnownHosts never goes by the dialled address, and that
// roots do.
func TestDialNames(t *testing.T) {
	_, err := mayfly.Dial("tcp", "127.0.0.1:1", &mayfly.Config{Peers: mayfly.KnownHosts(filepath.Join(t.TempDir(), "known"))})
	if err == nil || !strings.Contains(err.Error(), "ServerName") {
		t.Errorf("KnownHosts: %v", err)
	}
	_, err = mayfly.Dial("tcp", "127.0.0.1:1", nil)
	if err == nil || strings.Contains(err.Error(), "ServerName") {
		t.Errorf("system roots: %v", err)
	}
}

// authority makes certificates of one CA.
type authority struct {
	t    testing.TB
	pool *x509.CertPool
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	c := a.sign(tmpl, nil)
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	return a
}

// issue returns a certificate for one host name, both for servers and clients.
func (a *authority) issue(name string, change ...func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, f := range change {
		f(tmpl)
	}
	return a.sign(tmpl, a.cert)
}

func (a *authority) sign(tmpl, parent *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// shake runs a handshake between two Configs and returns both ends' errors, the
// client's with the server's verdict.
func shake(t testing.TB, cc, sc *mayfly.Config) (c, s *mayfly.Conn, clientErr, serverErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, s = mayfly.Client(a, cc), mayfly.Server(b, sc)
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("k"))
		}
		done <- err
	}()
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	return c, s, clientErr, <-done
}

// TestX509 runs the X.509 refusals, each with its alert, as seen by both ends.
func TestX509(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	good := ca.issue("db.example")
	for _, test := range []struct {
		name   string
		cert   tls.Certificate
		server string
		alert  string
	}{
		{"good", good, "db.example", ""},
		{"wrong name", good, "web.example", "bad_certificate"},
		{"unknown CA", other.issue("db.example"), "db.example", "unknown_ca"},
		{"expired", ca.issue("db.example", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "db.example", "certificate_expired"},
		{"not for servers", ca.issue("db.example", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "db.example", "unsupported_certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cc := &mayfly.Config{RootCAs: ca.pool, ServerName: test.server}
			sc := &mayfly.Config{Certificates: []tls.Certificate{test.cert}, Peers: mayfly.NoClientAuth()}
			c, _, err, serverErr := shake(t, cc, sc)
			if test.alert == "" {
				if err := errors.Join(err, serverErr); err != nil {
					t.Fatal(err)
				}
				if p := c.Peer(); p.Kind != mayfly.X509 || len(p.Chains) == 0 || p.Name != "db.example" {
					t.Errorf("peer %+v", p)
				}
				return
			}
			for i, err := range []error{err, serverErr} {
				var e *mayfly.AlertError
				if !errors.As(err, &e) || e.Remote != (i == 1) || e.Code.String() != test.alert {
					t.Errorf("side %d: %v, want %s", i, err, test.alert)
				}
				if err != nil && strings.Contains(err.Error(), "db.example") {
					t.Errorf("the error holds the peer's bytes: %v", err)
				}
			}
		})
	}
}

// TestFourWays runs raw keys and X.509 on either side, independently.
func TestFourWays(t *testing.T) {
	ca := newAuthority(t)
	cid, _ := mayfly.GenerateIdentity()
	sid, _ := mayfly.GenerateIdentity()
	for _, rawServer := range []bool{false, true} {
		for _, rawClient := range []bool{false, true} {
			cc, sc := &mayfly.Config{ServerName: "db.example"}, &mayfly.Config{}
			if rawServer {
				sc.Identity, cc.Peers = sid, mayfly.Pins(sid.Pin())
			} else {
				sc.Certificates, cc.Peers = []tls.Certificate{ca.issue("db.example")}, mayfly.Roots(ca.pool)
			}
			if rawClient {
				cc.Identity, sc.Peers = cid, mayfly.Pins(cid.Pin())
			} else {
				cc.Certificates, sc.Peers = []tls.Certificate{ca.issue("app.example")}, mayfly.Roots(ca.pool)
			}
			c, s, err, serverErr := shake(t, cc, sc)
			if err := errors.Join(err, serverErr); err != nil {
				t.Errorf("raw server %t, raw client %t: %v", rawServer, rawClient, err)
				continue
			}
			if (c.Peer().Kind == mayfly.RawKey) != rawServer || (s.Peer().Kind == mayfly.RawKey) != rawClient {
				t.Errorf("raw server %t, raw client %t: %v, %v", rawServer, rawClient, c.Peer().Kind, s.Peer().Kind)
			}
		}
	}
}

// TestServerNames shows that a server with names answers to no other.
func TestServerNames(t *testing.T) {
	cid, _ := mayfly.GenerateIdentity()
	sid, _ := mayfly.GenerateIdentity()
	sc := &mayfly.Config{Identity: sid, Peers: mayfly.Pins(cid.Pin()), ServerNames: []string{"DB.example"}}
	for name, ok := range map[string]bool{"db.example": true, "db.example.": true, "web.example": false, "": false} {
		cc := &mayfly.Config{Identity: cid, Peers: mayfly.Pins(sid.Pin()), ServerName: name}
		_, _, err, _ := shake(t, cc, sc)
		var e *mayfly.AlertError
		if ok && err != nil || !ok && (!errors.As(err, &e) || e.Code.String() != "unrecognized_name") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestAllowSelf shows that one's own key is no peer's.
func TestAllowSelf(t *testing.T) {
	id, _ := mayfly.GenerateIdentity()
	config := &mayfly.Config{Identity: id, Peers: mayfly.Pins(id.Pin())}
	if _, _, err, _ := shake(t, config, config); err == nil {
		t.Error("accepted itself")
	}
	config.AllowSelf = true
	if _, _, err, serverErr := shake(t, config, config); errors.Join(err, serverErr) != nil {
		t.Error(err, serverErr)
	}
}

// TestGetConfig changes the server's keys while it runs.
func TestGetConfig(t *testing.T) {
	cid, _ := mayfly.GenerateIdentity()
	one, _ := mayfly.GenerateIdentity()
	two, _ := mayfly.GenerateIdentity()
	sc := &mayfly.Config{GetConfig: func(_ context.Context, h *mayfly.ClientHello) (*mayfly.Config, error) {
		id := map[string]*mayfly.Identity{"one.example": one, "two.example": two}[h.ServerName]
		if id == nil {
			return nil, errors.New("no such tenant")
		}
		return &mayfly.Config{Identity: id, Peers: mayfly.Pins(cid.Pin())}, nil
	}}
	for name, id := range map[string]*mayfly.Identity{"one.example": one, "two.example": two} {
		cc := &mayfly.Config{Identity: cid, Peers: mayfly.Pins(id.Pin()), ServerName: name}
		if _, _, err, serverErr := shake(t, cc, sc); errors.Join(err, serverErr) != nil {
			t.Error(name, err, serverErr)
		}
	}
	cc := &mayfly.Config{Identity: cid, Peers: mayfly.Pins(one.Pin()), ServerName: "three.example"}
	if _, _, err, _ := shake(t, cc, sc); err == nil {
		t.Error("an unknown tenant was served")
	}
}
