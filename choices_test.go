// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// sharesOf are the groups of the shares in the first message of a client, read by
// crypto/tls and by hand.
func sharesOf(t *testing.T, config *mayfly.Config) (groups []tls.CurveID) {
	t.Helper()
	a, b := tcpPair(t)
	defer a.Close()
	go func() { _ = mayfly.Client(a, config).Handshake() }()
	hello := make([]byte, 1<<14)
	for n := 0; ; {
		m, err := b.Read(hello[n:])
		if err != nil {
			t.Fatal(err)
		}
		if n += m; n >= 5 && n >= 5+int(hello[3])<<8+int(hello[4]) {
			hello = hello[5:n]
			break
		}
	}
	_ = b.Close()
	rest := hello[4+2+32:]
	rest = rest[1+int(rest[0]):]                 // legacy_session_id
	rest = rest[2+int(rest[0])<<8+int(rest[1]):] // cipher_suites
	rest = rest[1+int(rest[0]):]                 // legacy_compression_methods
	for rest = rest[2:]; len(rest) > 0; {        // extensions
		n := int(rest[2])<<8 + int(rest[3])
		if rest[0] == 0 && rest[1] == 51 { // key_share
			for shares := rest[6 : 4+n]; len(shares) > 0; shares = shares[4+int(shares[2])<<8+int(shares[3]):] {
				groups = append(groups, tls.CurveID(shares[0])<<8+tls.CurveID(shares[1]))
			}
			return groups
		}
		rest = rest[4+n:]
	}
	t.Fatal("no key_share")
	return nil
}

// TestKeyShares shows for which groups a client sends shares.
func TestKeyShares(t *testing.T) {
	t.Parallel()
	ids := func(ids ...tls.CurveID) []tls.CurveID { return ids }
	for _, test := range []struct{ groups, shares, want []tls.CurveID }{
		{nil, nil, ids(tls.X25519MLKEM768, tls.X25519)},
		{ids(tls.X25519, tls.X25519MLKEM768), nil, ids(tls.X25519)},
		{ids(mayfly.MLKEM1024, tls.CurveP521, tls.X25519), nil, ids(mayfly.MLKEM1024, tls.CurveP521)},
		{ids(mayfly.MLKEM1024), nil, ids(mayfly.MLKEM1024)},
		{nil, ids(tls.CurveP384, tls.X25519), ids(tls.X25519, tls.CurveP384)}, // in the order of the groups
		{nil, []tls.CurveID{}, nil},
	} {
		got := sharesOf(t, &mayfly.Config{Peers: mayfly.InsecureAnyServer(), CurvePreferences: test.groups, KeyShares: test.shares})
		if len(got) != len(test.want) {
			t.Fatalf("%v, %v: the shares are of %v", test.groups, test.shares, got)
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("%v, %v: the shares are of %v", test.groups, test.shares, got)
			}
		}
	}
	cc, sc := mayflytest.Configs(t)
	cc.KeyShares = []tls.CurveID{}
	c, _, clientErr, serverErr := shake(t, cc, sc)
	if clientErr != nil || serverErr != nil || !c.ConnectionState().HelloRetryRequest {
		t.Errorf("without shares: %v; %v", clientErr, serverErr)
	}
	for _, config := range []*mayfly.Config{
		{Peers: mayfly.InsecureAnyServer(), KeyShares: []tls.CurveID{tls.CurveP521}},
		{Peers: mayfly.InsecureAnyServer(), KeyShares: []tls.CurveID{tls.X25519}, CurvePreferences: []tls.CurveID{tls.CurveP256}},
	} {
		if err := mayfly.Client(nowhere{}, config).Handshake(); err == nil || !strings.Contains(err.Error(), "KeyShares") {
			t.Errorf("a share of a group that is not offered: %v", err)
		}
	}
}

// TestSuiteOfClient shows that a server goes by what a client has hardware for, where
// nobody has said which suites to prefer.
func TestSuiteOfClient(t *testing.T) {
	t.Parallel()
	for _, said := range []bool{false, true} {
		cc, sc := mayflytest.Configs(t)
		cc.CipherSuites = []uint16{tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_AES_128_GCM_SHA256}
		want := tls.TLS_CHACHA20_POLY1305_SHA256
		if said {
			sc.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_CHACHA20_POLY1305_SHA256}
			want = tls.TLS_AES_128_GCM_SHA256
		}
		c, _, clientErr, serverErr := shake(t, cc, sc)
		if clientErr != nil || serverErr != nil || c.ConnectionState().CipherSuite != want {
			t.Errorf("%v: %v; %v; %x", said, clientErr, serverErr, c.ConnectionState().CipherSuite)
		}
	}
}

// TestSignatureSchemes shows that a peer signs by a scheme that was asked for, and that
// both sides know by which, in the connection and in those that resume it.
func TestSignatureSchemes(t *testing.T) {
	t.Parallel()
	cert := testCertificate(t, "db.example", time.Now().Add(time.Hour)) // of an Ed25519 key
	cert.OCSPStaple, cert.SignedCertificateTimestamps = []byte("staple"), [][]byte{[]byte("one"), []byte("two")}
	r := newRig(t)
	r.server.Identity, r.server.Certificates = nil, []tls.Certificate{cert}
	r.client.Peers = mayfly.InsecureAnyServer()
	r.server.Peers = mayfly.AnyKey()
	r.server.SignatureSchemes = []tls.SignatureScheme{tls.PSSWithSHA256, tls.Ed25519}
	for _, resumed := range []bool{false, true} {
		client, server := r.connect(t)
		mustBe(t, resumed, client, server)
		if got := client.Peer().Scheme; got != tls.Ed25519 {
			t.Errorf("the server signed with %v", got)
		}
		if got := server.Peer().Scheme; got != tls.Ed25519 {
			t.Errorf("the client signed with %v", got)
		}
		// What was stapled to the certificate is remembered with it.
		state := client.ConnectionState()
		if !bytes.Equal(state.OCSPResponse, cert.OCSPStaple) || len(state.SignedCertificateTimestamps) != 2 || string(state.SignedCertificateTimestamps[1]) != "two" {
			t.Errorf("resumed %v: %q, %q", resumed, state.OCSPResponse, state.SignedCertificateTimestamps)
		}
	}
	r.client.NoStaples, r.client.Sessions = true, nil
	client, _ := r.connect(t)
	if state := client.ConnectionState(); state.OCSPResponse != nil || state.SignedCertificateTimestamps != nil {
		t.Errorf("a client that did not ask has %q, %q", state.OCSPResponse, state.SignedCertificateTimestamps)
	}
	r.server.SignatureSchemes = []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}
	r.client.Sessions = nil
	if _, _, clientErr, serverErr := r.try(t); clientErr == nil && serverErr == nil {
		t.Error("a client signed with a scheme that was not asked for")
	}
	for _, schemes := range [][]tls.SignatureScheme{{}, {tls.PKCS1WithSHA256}, {0x0904}} {
		err := mayfly.Client(nowhere{}, &mayfly.Config{Peers: mayfly.InsecureAnyServer(), SignatureSchemes: schemes}).Handshake()
		if err == nil || !strings.Contains(err.Error(), "SignatureSchemes") {
			t.Errorf("%v: %v", schemes, err)
		}
	}
}

// TestGREASE has crypto/tls not mind values that mean nothing, in either role, and
// sessions resumed with them.
func TestGREASE(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.client.GREASE, r.server.GREASE = true, true
	for n := range 2 {
		client, server := r.connect(t)
		mustBe(t, n > 0, client, server)
	}
	cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
	a, b := tcpPair(t)
	client := mayfly.Client(a, &mayfly.Config{Peers: mayfly.InsecureAnyServer(), GREASE: true})
	theirs := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}})
	done := make(chan error, 1)
	go func() { done <- theirs.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err, <-done)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	exchangeOnce(t, client, theirs)

	a, b = tcpPair(t)
	theirs = tls.Client(a, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
	server := mayfly.Server(b, &mayfly.Config{
		Certificates: []tls.Certificate{cert}, Peers: mayfly.NoClientAuth(), GREASE: true, TicketKeys: mayfly.NewTicketRing(mayfly.GenerateSealingKey()),
	})
	go func() { done <- server.Handshake() }()
	if err := theirs.Handshake(); err != nil {
		t.Fatal(err, <-done)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	exchangeOnce(t, theirs, server)
}
