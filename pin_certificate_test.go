// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// oddCertificates are certificates for one key that crypto/x509 refuses, that do not
// allow their key to sign, or that have other bytes behind them.
func oddCertificates(t *testing.T) (good tls.Certificate, odd map[string]tls.Certificate) {
	t.Helper()
	good = testCertificate(t, "db.example", time.Now().Add(time.Hour))
	leaf := good.Certificate[0]
	with := func(chain ...[]byte) tls.Certificate {
		return tls.Certificate{Certificate: chain, PrivateKey: good.PrivateKey, Leaf: good.Leaf}
	}
	replaced := func(old, new string) tls.Certificate {
		t.Helper()
		der := bytes.Replace(leaf, []byte(old), []byte(new), 1)
		if bytes.Equal(der, leaf) {
			t.Fatalf("%q is not in the certificate", old)
		}
		if _, err := x509.ParseCertificate(der); err == nil {
			t.Fatalf("%q: crypto/x509 parses it", new)
		}
		return with(der)
	}
	usage := *good.Leaf
	usage.KeyUsage = x509.KeyUsageKeyAgreement
	unusable, err := x509.CreateCertificate(nil, &usage, &usage, good.Leaf.PublicKey, good.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	oddSAN := replaced("\x82\x0adb.example", "\x82\x0adb\xffexample")
	return good, map[string]tls.Certificate{
		"a negative serial number":      replaced("\x02\x01\x01", "\x02\x01\x81"),
		"an odd name in a SAN":          oddSAN,
		"an odd string in the subject":  replaced("\x13\x0adb.example", "\x13\x0adb\xffexample"),
		"garbage behind the leaf":       with(leaf, []byte("garbage")),
		"an odd one behind the leaf":    with(leaf, oddSAN.Certificate[0]),
		"a key that is not for signing": with(unusable),
	}
}

// TestPinsGoByTheKeyAlone has peers of crypto/tls show certificates with the pinned key in
// which something else is wrong. In either role lists of keys accept them, and whatever
// looks at certificates does not.
func TestPinsGoByTheKeyAlone(t *testing.T) {
	t.Parallel()
	good, odd := oddCertificates(t)
	pin := mayfly.PinOfCertificate(good.Leaf)
	pool := x509.NewCertPool()
	pool.AddCert(good.Leaf)
	pins, roots := mayfly.Pins(pin), mayfly.Roots(pool)
	verify := mayfly.Verify(func(context.Context, mayfly.Peer) error { return nil })
	connection := func(tls.ConnectionState) error { return nil }
	for name, cert := range odd {
		for _, test := range []struct {
			what     string
			config   mayfly.Config
			accepted bool
		}{
			{"Pins", mayfly.Config{Peers: pins}, true},
			{"PinSet", mayfly.Config{Peers: mayfly.NewPinSet(pin)}, true},
			{"AnyOf(Pins, Roots)", mayfly.Config{Peers: mayfly.AnyOf(pins, roots), ServerName: "db.example"}, true},
			{"Pins and VerifyConnection", mayfly.Config{Peers: pins, VerifyConnection: connection}, false},
			{"AllOf(Pins, Verify)", mayfly.Config{Peers: mayfly.AllOf(pins, verify)}, false},
			{"AllOf(Pins, Roots)", mayfly.Config{Peers: mayfly.AllOf(pins, roots), ServerName: "db.example"}, false},
			{"Roots", mayfly.Config{Peers: roots, ServerName: "db.example"}, false},
		} {
			for _, asServer := range []bool{false, true} {
				config := test.config.Clone()
				a, b := tcpPair(t)
				ours := mayfly.Client(a, config)
				theirs := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}})
				if asServer {
					config.ServerName, config.Certificates = "", []tls.Certificate{testCertificate(t, "own", time.Now().Add(time.Hour))}
					ours = mayfly.Server(a, config)
					theirs = tls.Client(b, &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }})
				}
				done := make(chan error, 1)
				go func() { done <- theirs.Handshake() }()
				err := ours.Handshake()
				_ = a.Close()
				<-done
				if (err == nil) != test.accepted {
					t.Errorf("%s, %s, server %v: %v", name, test.what, asServer, err)
				}
				if err == nil && ours.Peer().Pin != pin {
					t.Errorf("%s: the pin is %v", name, ours.Peer().Pin)
				}
				if n := len(ours.ConnectionState().PeerCertificates); err == nil && n > 1 {
					t.Errorf("%s: %d certificates", name, n)
				}
			}
		}
	}
}
