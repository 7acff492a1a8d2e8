// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// Which algorithms FIPS 140-3 approves, as crypto/tls/defaults_fips140.go has them.
var (
	fipsSuites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384}
	fipsGroups = []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256, tls.CurveP384, tls.CurveP521}
)

// inFIPSMode runs the test again in a process with GODEBUG=fips140=mode, and reports whether
// this is that process.
func inFIPSMode(t *testing.T, mode string) bool {
	t.Helper()
	name := "MAYFLY_TEST_FIPS"
	if os.Getenv(name) != "" {
		return os.Getenv(name) == mode
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.timeout=3m")
	child.Env = append(os.Environ(), name+"="+mode, "GODEBUG=fips140="+mode)
	skipWithoutFIPS(t, child)
	return false
}

// skipWithoutFIPS runs a child process, and skips the test if that says that the mode is not
// available: it depends on the platform, and on how the test was built.
func skipWithoutFIPS(t *testing.T, child *exec.Cmd) {
	t.Helper()
	out, err := child.CombinedOutput()
	if err != nil && (bytes.Contains(out, []byte("FIPS 140-3 mode is")) || bytes.Contains(out, []byte("fips140: "))) {
		t.Skipf("FIPS 140-3 mode is not available: %.200s", out)
	}
	if err != nil {
		t.Errorf("%v\n%.4000s", err, out)
	}
}

// A fipsPeer is what a peer process in no FIPS mode reports: where it listens, then how the
// handshake went.
type fipsPeer struct {
	Addr  string
	Suite uint16
	Curve tls.CurveID
	Err   string
	Blob  []byte // of a connection that it detached
}

// TestFIPSPeer is not a test. It is the program of a process in no FIPS mode, with which the
// other tests talk. Its processor seems to have no hardware for AES, so that crypto/tls
// prefers ChaCha20-Poly1305.
func TestFIPSPeer(t *testing.T) {
	order, ok := os.LookupEnv("MAYFLY_TEST_FIPS_PEER")
	if !ok {
		t.Skip("it is a program for other tests")
	}
	fields := strings.Fields(order) // role, implementation, groups, address; or detach, suite, offer;
	// or save, key, file
	curves := map[string][]tls.CurveID{"x25519": {tls.X25519}, "both": {tls.X25519, tls.CurveP256}}[fields[2]] // nil: the default
	report := func(p fipsPeer) {
		line, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("peer %s\n", line)
	}
	if fields[0] == "detach" {
		report(fipsPeer{Blob: detached(t, fields[1], fields[2])})
		return
	}
	if fields[0] == "save" {
		if err := mayfly.SaveSessions(fields[2], sealingKey(t, fields[1]), mayfly.NewSessionCache(0)); err != nil {
			t.Fatal(err)
		}
		report(fipsPeer{})
		return
	}
	var conn net.Conn
	var err error
	if fields[0] == "server" {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		report(fipsPeer{Addr: ln.Addr().String()})
		conn, err = ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
	} else if conn, err = net.Dial("tcp", fields[3]); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	shake, state := plainPeer(t, fields, curves, conn)
	result := fipsPeer{}
	if err := shake(); err != nil {
		result.Err = err.Error()
	} else {
		result.Suite, result.Curve = state()
	}
	report(result)
}

func plainPeer(t *testing.T, fields []string, curves []tls.CurveID, conn net.Conn) (shake func() error, state func() (uint16, tls.CurveID)) {
	t.Helper()
	own := fipsCertificate(t)
	server := fields[0] == "server"
	if fields[1] == "tls" {
		config := &tls.Config{Certificates: []tls.Certificate{own}, InsecureSkipVerify: true, CurvePreferences: curves, MinVersion: tls.VersionTLS13}
		c := tls.Client(conn, config)
		if server {
			c = tls.Server(conn, config)
		}
		return c.Handshake, func() (uint16, tls.CurveID) { s := c.ConnectionState(); return s.CipherSuite, s.CurveID }
	}
	config := &mayfly.Config{CurvePreferences: curves, CipherSuites: []uint16{tls.TLS_CHACHA20_POLY1305_SHA256}}
	var c *mayfly.Conn
	if server {
		config.Certificates, config.Peers = []tls.Certificate{own}, mayfly.NoClientAuth()
		c = mayfly.Server(conn, config)
	} else {
		config.Peers = mayfly.InsecureAnyServer()
		c = mayfly.Client(conn, config)
	}
	return c.Handshake, func() (uint16, tls.CurveID) { s := c.ConnectionState(); return s.CipherSuite, s.CurveID }
}

func sealingKey(t *testing.T, text string) *mayfly.SealingKey {
	t.Helper()
	secret, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := mayfly.NewSealingKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// detached gives a connection away that has ChaCha20-Poly1305, or X25519, or neither.
func detached(t *testing.T, name, offer string) []byte {
	t.Helper()
	config := mayfly.Config{CipherSuites: []uint16{tls.TLS_CHACHA20_POLY1305_SHA256}, CurvePreferences: []tls.CurveID{tls.CurveP256}}
	if name != "chacha" {
		config.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256}
	}
	if name == "x25519" {
		config.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	client, server := config, config
	client.Peers = mayfly.InsecureAnyServer()
	server.Peers, server.Certificates = mayfly.NoClientAuth(), []tls.Certificate{fipsCertificate(t)}
	c, _, err := fipsConnect(t, &client, &server)
	if err != nil {
		t.Fatal(err)
	}
	to, err := hex.DecodeString(offer)
	if err != nil {
		t.Fatal(err)
	}
	blob, _, err := c.Detach(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func fipsCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned("peer.example")
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// startFIPSPeer starts TestFIPSPeer, and returns what it reports.
func startFIPSPeer(t *testing.T, order string) (next func() fipsPeer) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPSPeer$", "-test.timeout=1m")
	child.Env = append(os.Environ(), "MAYFLY_TEST_FIPS_PEER="+order, "GODEBUG=fips140=off,cpu.aes=off")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Wait() })
	lines := bufio.NewScanner(out)
	return func() (p fipsPeer) {
		t.Helper()
		for lines.Scan() {
			if line, ok := strings.CutPrefix(lines.Text(), "peer "); ok {
				if err := json.Unmarshal([]byte(line), &p); err != nil {
					t.Fatal(err)
				}
				return p
			}
		}
		t.Fatalf("the peer %q reports nothing", order)
		return p
	}
}

// talk has mayfly, in the mode of this process, shake hands with a peer in no FIPS mode.
func talk(t *testing.T, server bool, peer string) (theirs fipsPeer, ours error) {
	t.Helper()
	if !server {
		next := startFIPSPeer(t, "server "+peer)
		c, err := mayfly.Dial("tcp", next().Addr, &mayfly.Config{Peers: mayfly.InsecureAnyServer()})
		if err == nil {
			defer c.Close()
		}
		return next(), err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	next := startFIPSPeer(t, "client "+peer+" "+ln.Addr().String())
	raw, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := mayfly.Server(raw, &mayfly.Config{Certificates: []tls.Certificate{fipsCertificate(t)}, Peers: mayfly.NoClientAuth()})
	defer c.Close()
	err = c.Handshake()
	return next(), err
}

// TestFIPSModeWithPeersInNone shows what is negotiated with peers in no FIPS mode that prefer
// ChaCha20-Poly1305 and X25519, or have nothing else.
func TestFIPSModeWithPeersInNone(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"off", "on"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			if !inFIPSMode(t, mode) {
				return
			}
			fips := mode == "on"
			if fips140.Enabled() != fips {
				t.Fatal("the process is in another mode")
			}
			for _, server := range []bool{true, false} {
				theirs, ours := talk(t, server, "tls both")
				want := fipsPeer{Suite: tls.TLS_CHACHA20_POLY1305_SHA256, Curve: tls.X25519}
				if fips {
					want = fipsPeer{Suite: tls.TLS_AES_128_GCM_SHA256, Curve: tls.CurveP256}
				}
				if ours != nil || theirs.Suite != want.Suite || theirs.Curve != want.Curve {
					t.Errorf("server %v: %v, %+v; want %+v", server, ours, theirs, want)
				}
				for _, peer := range []string{"tls x25519", "mayfly default"} {
					theirs, ours := talk(t, server, peer)
					if (ours != nil) != fips || (theirs.Err != "") != fips {
						t.Errorf("server %v, with a peer %q: %v, %+v", server, peer, ours, theirs)
					}
					why := strings.ReplaceAll(fmt.Sprint(ours, theirs.Err), " ", "_")
					if fips && !strings.Contains(why, "handshake_failure") {
						t.Errorf("server %v, with a peer %q: %s", server, peer, why)
					}
				}
			}
		})
	}
}

// TestFIPSMode has mayfly talk to crypto/tls and to itself in fips140=on.
func TestFIPSMode(t *testing.T) {
	t.Parallel()
	if !inFIPSMode(t, "on") {
		return
	}
	t.Run("crypto/tls", fipsWithTLS)
	t.Run("choices", fipsChoices)
	t.Run("chains", fipsChains)
	t.Run("keys", fipsKeys)
	t.Run("sessions", fipsSessions)
	t.Run("handoff", fipsHandoff)
}

// TestOthersInFIPSMode runs an example and tests of early data, moved connections and converted
// configs in fips140=on: none of them asks for algorithms that are not approved.
func TestOthersInFIPSMode(t *testing.T) {
	t.Parallel()
	const others = "ExampleDialer_DialEarly|TestEarlyData|TestEarlyDataOnce|TestEarlyDataFreshness|TestHandoffOfFullBuffer|TestFromTLSAcceptsWhatCryptoTLSAccepts"
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^("+others+")$", "-test.timeout=3m")
	child.Env = append(os.Environ(), "GODEBUG=fips140=on")
	skipWithoutFIPS(t, child)
}

func fipsApproved(t *testing.T, state tls.ConnectionState) {
	t.Helper()
	if !slices.Contains(fipsSuites, state.CipherSuite) || !slices.Contains(fipsGroups, state.CurveID) {
		t.Errorf("negotiated %s and %v", tls.CipherSuiteName(state.CipherSuite), state.CurveID)
	}
}

// fipsWithTLS looks at hellos, too.
func fipsWithTLS(t *testing.T) {
	own := fipsCertificate(t)
	for _, server := range []bool{true, false} {
		a, b := net.Pipe()
		var hello *tls.ClientHelloInfo
		var theirs *tls.Conn
		var ours *mayfly.Conn
		if server {
			ours = mayfly.Server(a, &mayfly.Config{Certificates: []tls.Certificate{own}, Peers: mayfly.NoClientAuth()})
			theirs = tls.Client(b, &tls.Config{InsecureSkipVerify: true})
		} else {
			ours = mayfly.Client(a, &mayfly.Config{Peers: mayfly.InsecureAnyServer(), GREASE: true})
			theirs = tls.Server(b, &tls.Config{Certificates: []tls.Certificate{own}, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				hello = h
				return nil, nil
			}})
		}
		done := make(chan error, 1)
		go func() { done <- theirs.Handshake() }()
		if err := errors.Join(ours.Handshake(), <-done); err != nil {
			t.Fatalf("server %v: %v", server, err)
		}
		fipsApproved(t, ours.ConnectionState())
		if ours.ConnectionState().CurveID != tls.X25519MLKEM768 {
			t.Errorf("server %v: negotiated %v", server, ours.ConnectionState().CurveID)
		}
		if hello != nil {
			isGREASE := func(v uint16) bool { return v&0x0f0f == 0x0a0a }
			for _, id := range hello.CipherSuites {
				if !isGREASE(id) && !slices.Contains(fipsSuites, id) {
					t.Errorf("offered %s", tls.CipherSuiteName(id))
				}
			}
			for _, id := range hello.SupportedCurves {
				if !isGREASE(uint16(id)) && !slices.Contains(fipsGroups, id) {
					t.Errorf("offered %v", id)
				}
			}
		}
		_ = a.Close()
		_ = b.Close()
	}
}

// connect shakes hands, and returns both ends.
func fipsConnect(t *testing.T, client, server *mayfly.Config) (c, s *mayfly.Conn, err error) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	c, s = mayfly.Client(a, client), mayfly.Server(b, server)
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err != nil {
			_ = b.Close()
		}
		done <- err
	}()
	err = c.Handshake()
	if err != nil {
		_ = a.Close()
	}
	return c, s, errors.Join(err, <-done)
}

// fipsChoices gives Configs that ask for what is not approved: it is passed over, and if
// nothing is left, the Config cannot work.
func fipsChoices(t *testing.T) {
	own := fipsCertificate(t)
	for name, v := range map[string]struct {
		config mayfly.Config
		ok     bool
	}{
		"suites, some":     {mayfly.Config{CipherSuites: []uint16{tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_AES_256_GCM_SHA384}}, true},
		"suites, none":     {mayfly.Config{CipherSuites: []uint16{tls.TLS_CHACHA20_POLY1305_SHA256}}, false},
		"groups, some":     {mayfly.Config{CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}}, true},
		"groups, none":     {mayfly.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, false},
		"ML-KEM":           {mayfly.Config{CurvePreferences: []tls.CurveID{0x0202}}, true},
		"Ed25519":          {mayfly.Config{SignatureSchemes: []tls.SignatureScheme{tls.Ed25519}}, true},
		"no key shares":    {mayfly.Config{KeyShares: []tls.CurveID{}}, true},
		"key shares, some": {mayfly.Config{KeyShares: []tls.CurveID{tls.X25519, tls.CurveP256}}, true},
		"key shares, none": {mayfly.Config{KeyShares: []tls.CurveID{tls.X25519}}, false},
	} {
		client, server := v.config, v.config
		client.Peers = mayfly.InsecureAnyServer()
		server.Peers, server.Certificates, server.KeyShares = mayfly.NoClientAuth(), []tls.Certificate{own}, nil
		c, s, err := fipsConnect(t, &client, &server)
		if (err == nil) != v.ok || err != nil && !errors.Is(err, mayfly.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && len(v.config.CurvePreferences) == 0 {
			fipsApproved(t, c.ConnectionState())
			fipsApproved(t, s.ConnectionState())
		}
		if v.ok || v.config.KeyShares != nil {
			continue
		}
		if _, err := mayfly.Listen("tcp", "127.0.0.1:0", &server); !errors.Is(err, mayfly.ErrConfig) {
			t.Errorf("%s: Listen: %v", name, err)
		}
	}
}

// fipsChains shows chains with keys that are not approved, to mayfly and to crypto/tls.
func fipsChains(t *testing.T) {
	weakRSA, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip(err)
	}
	strongRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for name, v := range map[string]struct {
		root, middle crypto.Signer
		alert        string // "": it is accepted
	}{
		"RSA of 2048 bits, P-384":      {strongRSA, curve(elliptic.P384()), ""},
		"RSA of 2048 bits, Ed25519":    {strongRSA, mustSigner(t), ""},
		"a root with RSA of 1024 bits": {weakRSA, curve(elliptic.P256()), "bad_certificate"},
		"a root with P-224":            {curve(elliptic.P224()), curve(elliptic.P256()), "bad_certificate"},
		// Such certificates of a peer are passed over in every mode.
		"an authority with RSA of 1024 bits": {curve(elliptic.P256()), weakRSA, "unknown_ca"},
		"an authority with P-224":            {curve(elliptic.P256()), curve(elliptic.P224()), "unknown_ca"},
	} {
		accepted := v.alert == ""
		roots, cert := fipsChain(t, v.root, v.middle)
		a, b := net.Pipe()
		go func() {
			_ = tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
			_ = b.Close()
		}()
		theirs := tls.Client(a, &tls.Config{RootCAs: roots, ServerName: "peer.example"}).Handshake()
		_ = a.Close()
		c, _, ours := fipsConnect(t, &mayfly.Config{RootCAs: roots, ServerName: "peer.example"},
			&mayfly.Config{Certificates: []tls.Certificate{cert}, Peers: mayfly.NoClientAuth()})
		if (ours == nil) != accepted || (theirs == nil) != accepted {
			t.Errorf("%s: mayfly %v; crypto/tls %v", name, ours, theirs)
		}
		if alert, ok := errors.AsType[*mayfly.AlertError](ours); !accepted && (!ok || alert.Code.String() != v.alert) {
			t.Errorf("%s: %v", name, ours)
		}
		if accepted && len(c.ConnectionState().VerifiedChains) != 1 {
			t.Errorf("%s: %d chains", name, len(c.ConnectionState().VerifiedChains))
		}
		_, _, client := fipsConnect(t, &mayfly.Config{Peers: mayfly.InsecureAnyServer(), Certificates: []tls.Certificate{cert}},
			&mayfly.Config{Certificates: []tls.Certificate{fipsCertificate(t)}, Peers: mayfly.Roots(roots)})
		if (client == nil) != accepted {
			t.Errorf("%s, of a client: %v", name, client)
		}
	}
	// A key of one's own that is not approved.
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, weakRSA.Public(), weakRSA)
	if err != nil {
		t.Fatal(err)
	}
	_, err = mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{Peers: mayfly.NoClientAuth(), Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: weakRSA}}})
	if !errors.Is(err, mayfly.ErrConfig) {
		t.Errorf("an own key of 1024 bits: %v", err)
	}
}

func mustSigner(t *testing.T) crypto.Signer {
	t.Helper()
	return fipsCertificate(t).PrivateKey.(crypto.Signer)
}

// fipsChain makes a chain for servers and clients below two authorities.
func fipsChain(t *testing.T, root, middle crypto.Signer) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string, key crypto.PublicKey, issuer *x509.Certificate, signer crypto.Signer) *x509.Certificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"peer.example"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: name != "leaf", BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		}
		if issuer == nil {
			issuer = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, key, signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	top := issue("root", root.Public(), nil, root)
	between := issue("intermediate", middle.Public(), top, root)
	end := issue("leaf", leaf.Public(), between, middle)
	pool := x509.NewCertPool()
	pool.AddCert(top)
	return pool, tls.Certificate{Certificate: [][]byte{end.Raw, between.Raw}, PrivateKey: leaf}
}

// fipsKeys connects with raw keys, which pins name, and with pre-shared keys.
func fipsKeys(t *testing.T) {
	edwards, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		nist, err := mayfly.NewIdentity(key)
		if err != nil {
			t.Fatal(err)
		}
		conn, _, err := fipsConnect(t, &mayfly.Config{Identity: nist, Peers: mayfly.Pins(edwards.Pin())},
			&mayfly.Config{Identity: edwards, Peers: mayfly.Pins(nist.Pin())})
		if err != nil {
			t.Errorf("%s: %v", c.Params().Name, err)
			continue
		}
		fipsApproved(t, conn.ConnectionState())
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	psk := func(self, peer string) *mayfly.PresharedKey {
		k, err := mayfly.NewPresharedKey("the key", secret, self, peer)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	conn, _, err := fipsConnect(t, &mayfly.Config{Peers: mayfly.PSKs(psk("a", "b"))}, &mayfly.Config{Peers: mayfly.PSKs(psk("b", "a"))})
	if err != nil {
		t.Fatal(err)
	}
	fipsApproved(t, conn.ConnectionState())
}

// fipsSessions resumes sessions, of a cache and of a file.
func fipsSessions(t *testing.T) {
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cache := mayfly.NewSessionCache(0)
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{Identity: id, Peers: mayfly.NoClientAuth()})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	echo := func(cache *mayfly.SessionCache) tls.ConnectionState {
		c, err := mayfly.Dial("tcp", ln.Addr().String(), &mayfly.Config{Peers: mayfly.Pins(id.Pin()), Sessions: cache})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "text"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		return c.ConnectionState()
	}
	if echo(cache).DidResume || !echo(cache).DidResume {
		t.Error("it is not the second connection that resumes")
	}
	key, file := mayfly.GenerateSealingKey(), filepath.Join(t.TempDir(), "sessions")
	if err := mayfly.SaveSessions(file, key, cache); err != nil {
		t.Fatal(err)
	}
	loaded, err := mayfly.LoadSessions(file, key, 0)
	if err != nil {
		t.Fatal(err)
	}
	if state := echo(loaded); !state.DidResume {
		t.Error("a session from a file is not resumed")
	} else {
		fipsApproved(t, state)
	}
	// A process in no such mode seals with ChaCha20-Poly1305, under the same key.
	secret := strings.Repeat("0123456789abcdef", 4)
	startFIPSPeer(t, "save "+secret+" "+file)()
	if _, err := mayfly.LoadSessions(file, sealingKey(t, secret), 0); !errors.Is(err, mayfly.ErrSessionFile) {
		t.Errorf("a file that is sealed with ChaCha20-Poly1305: %v", err)
	}
}

// fipsHandoff moves a live connection.
func fipsHandoff(t *testing.T) {
	own := fipsCertificate(t)
	client := &mayfly.Config{Peers: mayfly.InsecureAnyServer()}
	c, s, err := fipsConnect(t, client, &mayfly.Config{Certificates: []tls.Certificate{own}, Peers: mayfly.NoClientAuth()})
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := mayfly.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	blob, raw, err := c.Detach(context.Background(), receiver.Offer())
	if err != nil {
		t.Fatal(err)
	}
	moved, err := receiver.Attach(raw, blob, client)
	if err != nil {
		t.Fatal(err)
	}
	// From a process in no such mode.
	for name, want := range map[string]error{"aes": nil, "chacha": mayfly.ErrConfig, "x25519": mayfly.ErrConfig} {
		receiver, err := mayfly.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		blob := startFIPSPeer(t, fmt.Sprintf("detach %s %x", name, receiver.Offer()))().Blob
		if _, err := receiver.Attach(pipeEnd(t), blob, client); !errors.Is(err, want) {
			t.Errorf("a connection with %s: %v", name, err)
		}
	}
	go func() { _, _ = io.WriteString(moved, "text") }()
	text := make([]byte, 4)
	if _, err := io.ReadFull(s, text); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestEnforcedFIPSModeIsRefused shows that a process which may use nothing but approved
// functions gets an error and no panic, whatever it begins with.
func TestEnforcedFIPSModeIsRefused(t *testing.T) {
	t.Parallel()
	if !inFIPSMode(t, "only") {
		return
	}
	key := bytes.Repeat([]byte{1, 2}, 16)
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	server := &mayfly.Config{Identity: id, Peers: mayfly.NoClientAuth()}
	client := &mayfly.Config{Peers: mayfly.InsecureAnyServer()}
	for name, f := range map[string]func() error{
		"Listen": func() error { _, err := mayfly.Listen("tcp", "127.0.0.1:0", server); return err },
		"Listen without enforcement": func() (err error) {
			fips140.WithoutEnforcement(func() { _, err = mayfly.Listen("tcp", "127.0.0.1:0", server) })
			return err
		},
		"NewListener": func() error { _, err := mayfly.NewListener(plainListener(t), server); return err },
		"Dial":        func() error { _, err := mayfly.Dial("tcp", plainListener(t).Addr().String(), client); return err },
		"Client":      func() error { return mayfly.Client(pipeEnd(t), client).Handshake() },
		"Server":      func() error { return mayfly.Server(pipeEnd(t), server).Handshake() },
		"Write":       func() error { _, err := mayfly.Client(pipeEnd(t), client).Write(key); return err },
		"NewReceiver": func() error { _, err := mayfly.NewReceiver(); return err },
		"NewSealingKey": func() error {
			_, err := mayfly.NewSealingKey(key)
			return err
		},
		"NewPresharedKey":      func() error { _, err := mayfly.NewPresharedKey("k", key, "a", "b"); return err },
		"NewPlainServerKey":    func() error { _, err := mayfly.NewPlainServerKey("k", key); return err },
		"NewPlainClientKey":    func() error { _, err := mayfly.NewPlainClientKey("k", key); return err },
		"NewImportedClientKey": func() error { _, err := mayfly.NewImportedClientKey("k", key, crypto.SHA256, nil); return err },
		"NewImportedServerKey": func() error { _, err := mayfly.NewImportedServerKey("k", key, crypto.SHA384, nil); return err },
	} {
		if err := f(); !errors.Is(err, mayfly.ErrConfig) || !strings.Contains(err.Error(), "fips140=only") {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "sessions")
	if err := mayfly.SaveSessions(file, mayfly.GenerateSealingKey(), mayfly.NewSessionCache(0)); err == nil {
		t.Error("sessions were saved")
	}
	if _, err := mayfly.LoadSessions(file, mayfly.GenerateSealingKey(), 0); err == nil {
		t.Error("sessions were loaded")
	}
}

func plainListener(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func pipeEnd(t *testing.T) net.Conn {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a
}
