// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

var t0 = context.Background()

// An expectation is a run of the shim with a flag that says what it must find out.
type expectation struct {
	flag  string
	args  []string
	peers []peer
	fails string // what it must say; empty: it must pass
}

// stage is what the runs of the shim have in common.
type stage struct {
	cert, other certificate
	identity    *mayfly.Identity
	list        []expectation
}

func (s *stage) add(flag string, fails string, peers []peer, args ...string) {
	s.list = append(s.list, expectation{flag, args, peers, fails})
}

// asClient adds a run in which the shim is a client of crypto/tls.
func (s *stage) asClient(flag, fails string, config *tls.Config, args ...string) {
	config = config.Clone()
	config.Certificates = []tls.Certificate{s.cert.Certificate}
	s.add(flag, fails, []peer{server(config)}, args...)
}

// asServer adds a run in which the shim is a server for crypto/tls.
func (s *stage) asServer(flag, fails string, config *tls.Config, args ...string) {
	s.add(flag, fails, []peer{client(config)}, slices.Concat([]string{"-server"}, s.cert.flags, args)...)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestExpectations makes each check of the shim succeed, and fail.
func TestExpectations(t *testing.T) {
	s := &stage{cert: newCertificate(t, "right.example"), other: newCertificate(t, "wrong.example")}
	var err error
	if s.identity, err = mayfly.GenerateIdentity(); err != nil {
		t.Fatal(err)
	}
	s.parameters()
	s.names()
	s.peers(t)
	s.sessions()
	s.earlyData()

	passes, fails := make(map[string]bool), make(map[string]bool)
	for _, e := range s.list {
		code, stderr := against(t, e.peers, e.args...)
		switch {
		case e.fails == "" && code != exitPassed:
			t.Errorf("-%s: the shim fails: %s", e.flag, stderr)
		case e.fails != "" && (code != exitFailed || !strings.Contains(stderr, e.fails)):
			t.Errorf("-%s: exit code %d, and not %q but: %s", e.flag, code, e.fails, stderr)
		}
		if !slices.ContainsFunc(e.args, func(arg string) bool { return strings.HasSuffix(arg, "-"+e.flag) }) {
			t.Errorf("a run that is for -%s does not have it: %q", e.flag, e.args)
		}
		passes[e.flag] = passes[e.flag] || e.fails == ""
		fails[e.flag] = fails[e.flag] || e.fails != ""
	}
	for flag := range options() {
		if strings.HasPrefix(flag, "expect-") && !(passes[flag] && fails[flag]) && !unreachable[flag] {
			t.Errorf("-%s: nothing shows that its check can pass and fail", flag)
		}
	}
}

// unreachable are checks that no peer can make fail, as mayfly speaks TLS 1.3 alone, or
// that go by the processor. TestUnreachable makes them fail.
var unreachable = map[string]bool{
	"expect-extended-master-secret": true, "expect-secure-renegotiation": true, "expect-no-session-id": true,
	"expect-cipher-aes": true, "expect-cipher-no-aes": true, "expect-no-ech-name-override": true,
}

// TestUnreachable holds made-up facts against the checks that no peer can make fail.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	old := tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "public.example"}
	tested := make(map[string]bool)
	for _, test := range []struct {
		flag, arg string
		hasAES    bool
		fails     string
	}{
		{flag: "expect-extended-master-secret", fails: "extended_master_secret"},
		{flag: "expect-secure-renegotiation", fails: "renegotiation_info"},
		{flag: "expect-no-session-id", fails: "have no ID"},
		{flag: "expect-no-ech-name-override", fails: "the name by which the server is judged"},
		{flag: "expect-cipher-aes", arg: "4867", hasAES: true, fails: "the cipher suite"},
		{flag: "expect-cipher-aes", arg: "4867"},
		{flag: "expect-cipher-aes", arg: "4865", hasAES: true},
		{flag: "expect-cipher-no-aes", arg: "4867", fails: "the cipher suite"},
		{flag: "expect-cipher-no-aes", arg: "4867", hasAES: true},
		{flag: "expect-cipher-no-aes", arg: "4865"},
	} {
		args := []string{"-" + test.flag}
		if test.arg != "" {
			args = append(args, test.arg)
		}
		all, err := parseFlags(args)
		if err != nil {
			t.Fatal(err)
		}
		err = all.initial.expect.check(&facts{state: old, hasAES: test.hasAES})
		if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
			t.Errorf("-%s %s: %v", test.flag, test.arg, err)
		}
		tested[test.flag] = true
	}
	for flag := range unreachable {
		if !tested[flag] {
			t.Errorf("-%s: not tested", flag)
		}
	}
}

func (s *stage) parameters() {
	s.asClient("expect-version", "", &tls.Config{}, "-expect-version", "772")
	s.asClient("expect-version", "the version", &tls.Config{}, "-expect-version", "771")
	s.asClient("expect-curve-id", "", &tls.Config{}, "-curves", "29", "-expect-curve-id", "29")
	s.asClient("expect-curve-id", "the group", &tls.Config{}, "-curves", "29", "-expect-curve-id", "23")
	p256 := &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}}
	both := slices.Clip([]string{"-curves", "29", "-curves", "23"})
	s.asClient("expect-hrr", "", p256, append(both, "-expect-hrr")...)
	s.asClient("expect-hrr", "HelloRetryRequest", &tls.Config{}, append(both, "-expect-hrr")...)
	s.asClient("expect-no-hrr", "", &tls.Config{}, append(both, "-expect-no-hrr")...)
	s.asClient("expect-no-hrr", "HelloRetryRequest", p256, append(both, "-expect-no-hrr")...)
	suites := mayfly.Config{
		Certificates: []tls.Certificate{s.cert.Certificate}, Peers: mayfly.NoClientAuth(),
		CipherSuites: []uint16{tls.TLS_AES_256_GCM_SHA384}, TicketKeys: mayfly.NewTicketRing(mayfly.GenerateSealingKey()),
	}
	s.add("expect-cipher", "", []peer{ourServer(&suites)}, "-expect-cipher", "4866")
	s.add("expect-cipher", "the cipher suite", []peer{ourServer(&suites)}, "-expect-cipher", "4865")
}

func (s *stage) names() {
	named := &tls.Config{ServerName: "right.example", NextProtos: []string{"foo", "bar"}}
	s.asServer("expect-server-name", "", named, "-expect-server-name", "right.example")
	s.asServer("expect-server-name", "the server's name", named, "-expect-server-name", "wrong.example")
	s.asServer("expect-server-name", "the server's name", &tls.Config{}, "-expect-server-name", "right.example")
	s.asServer("expect-no-server-name", "", &tls.Config{}, "-expect-no-server-name")
	s.asServer("expect-no-server-name", "the server's name", named, "-expect-no-server-name")
	s.asServer("expect-advertised-alpn", "", named, "-expect-advertised-alpn", "\x03foo\x03bar")
	s.asServer("expect-advertised-alpn", "the list of application protocols", named, "-expect-advertised-alpn", "\x03bar\x03foo")

	foo := &tls.Config{NextProtos: []string{"foo"}}
	offer := slices.Clip([]string{"-advertise-alpn", "\x03bar\x03foo"})
	s.asClient("expect-alpn", "", foo, append(offer, "-expect-alpn", "foo")...)
	s.asClient("expect-alpn", "the application protocol", foo, append(offer, "-expect-alpn", "bar")...)
	s.asClient("expect-alpn", "the application protocol", &tls.Config{}, append(offer, "-expect-alpn", "foo")...)
}

func (s *stage) peers(t *testing.T) {
	stapled := s.cert.Certificate
	stapled.OCSPStaple, stapled.SignedCertificateTimestamps = []byte("staple"), [][]byte{[]byte("sct")}
	with := func(cert tls.Certificate) []peer {
		return []peer{server(&tls.Config{Certificates: []tls.Certificate{cert}})}
	}
	s.add("expect-ocsp-response", "", with(stapled), "-enable-ocsp-stapling", "-expect-ocsp-response", b64("staple"))
	s.add("expect-ocsp-response", "the OCSP response", with(stapled), "-enable-ocsp-stapling", "-expect-ocsp-response", b64("other"))
	s.add("expect-ocsp-response", "the OCSP response", with(s.cert.Certificate), "-enable-ocsp-stapling", "-expect-ocsp-response", b64("staple"))
	s.add("expect-signed-cert-timestamps", "", with(stapled), "-enable-signed-cert-timestamps", "-expect-signed-cert-timestamps", b64("\x00\x05\x00\x03sct"))
	s.add("expect-signed-cert-timestamps", "signed certificate timestamps", with(stapled), "-enable-signed-cert-timestamps", "-expect-signed-cert-timestamps", b64("\x00\x05\x00\x03SCT"))
	s.asClient("expect-peer-cert-file", "", &tls.Config{}, "-expect-peer-cert-file", s.cert.file)
	s.asClient("expect-peer-cert-file", "the peer's chain", &tls.Config{}, "-expect-peer-cert-file", s.other.file)

	// The judgement of the first connection is that of the session.
	soft := slices.Clip([]string{"-resume-count", "1", "-expect-verify-result"})
	s.asClient("expect-verify-result", "", &tls.Config{}, append(soft, "-verify-fail")...)
	s.asClient("expect-verify-result", "the refusal of the peer", &tls.Config{}, append(soft, "-on-resume-verify-fail")...)

	shown := &tls.Config{Certificates: []tls.Certificate{s.other.Certificate}}
	s.asServer("expect-no-peer-cert", "", &tls.Config{}, "-verify-peer", "-expect-no-peer-cert")
	s.asServer("expect-no-peer-cert", "the peer's certificate", shown, "-verify-peer", "-expect-no-peer-cert")

	s.asClient("expect-peer-signature-algorithm", "", &tls.Config{}, "-expect-peer-signature-algorithm", "1027")
	s.asClient("expect-peer-signature-algorithm", "the scheme of the peer's signature", &tls.Config{}, "-expect-peer-signature-algorithm", "2052")

	raw := mayfly.Config{Identity: s.identity, Peers: mayfly.NoClientAuth()}
	hash, wrong := s.identity.Pin(), sha256.Sum256(nil)
	s.add("expect-peer-rpk-sha256", "", []peer{ourServer(&raw)}, "-verify-prefs", "2055", "-accepted-peer-cert-types", "2", "-expect-no-session", "-expect-peer-rpk-sha256", b64(string(hash[:])))
	s.add("expect-peer-rpk-sha256", "the hash of the peer's raw key", []peer{ourServer(&raw)}, "-verify-prefs", "2055", "-accepted-peer-cert-types", "2", "-expect-no-session", "-expect-peer-rpk-sha256", b64(string(wrong[:])))
	s.asClient("expect-peer-rpk-sha256", "the peer's certificate is there", &tls.Config{}, "-expect-peer-rpk-sha256", b64(string(hash[:])))
	s.asClient("expect-peer-certificate-type", "", &tls.Config{}, "-expect-peer-certificate-type", "0")
	s.asClient("expect-peer-certificate-type", "the type of the peer's certificate", &tls.Config{}, "-expect-peer-certificate-type", "2")

	for _, fails := range []string{"", "the number of the credential"} {
		number := strconv.Itoa(2*len(fails) + 1) // the second of two is wanted, or one that is not there
		args := slices.Concat([]string{"-server", "-new-x509-credential"}, s.other.flags, []string{"-signing-prefs", "2052", "-new-x509-credential"}, s.cert.flags,
			[]string{"-expect-selected-credential", number})
		s.add("expect-selected-credential", fails, []peer{client(&tls.Config{})}, args...)
	}
	s.requests(t)
}

// requests are what a server asks of a client.
func (s *stage) requests(t *testing.T) {
	pool := mustPool(t, s.other)
	asking := &tls.Config{ClientAuth: tls.RequireAnyClientCert, ClientCAs: pool}
	//lint:ignore SA1019 the pool is this test's
	name := hex.EncodeToString(pool.Subjects()[0])
	show := func(args ...string) []string { return slices.Concat(s.other.flags, args) }
	s.asClient("expect-client-ca-list", "", asking, show("-expect-client-ca-list", name)...)
	s.asClient("expect-client-ca-list", "the list of authorities", asking, show("-expect-client-ca-list", name+","+name)...)
	s.asClient("expect-client-ca-list", "the CertificateRequest", &tls.Config{}, show("-expect-client-ca-list", name)...)

	ours := mayfly.Config{Certificates: []tls.Certificate{s.other.Certificate}, Peers: mayfly.InsecureAnyServer()}
	server := slices.Concat([]string{"-server"}, s.cert.flags)
	var schemes []string
	for _, scheme := range []int{0x0807, 0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b} {
		schemes = append(schemes, "-expect-peer-verify-pref", strconv.Itoa(scheme))
	}
	s.add("expect-peer-verify-pref", "", []peer{ourClient(&ours)}, slices.Concat(server, schemes)...)
	s.add("expect-peer-verify-pref", "list of signature schemes", []peer{ourClient(&ours)}, slices.Concat(server, schemes[2:])...)
}

func (s *stage) sessions() {
	none := &tls.Config{SessionTicketsDisabled: true}
	s.asClient("expect-no-session", "", none, "-expect-no-session")
	s.asClient("expect-no-session", "a new session is true", &tls.Config{}, "-expect-no-session")

	// A server with new keys for tickets does not know the session.
	twice := func() []peer {
		return []peer{
			server(&tls.Config{Certificates: []tls.Certificate{s.cert.Certificate}}),
			server(&tls.Config{Certificates: []tls.Certificate{s.cert.Certificate}}),
		}
	}
	s.add("expect-session-miss", "", twice(), "-resume-count", "1", "-expect-session-miss")
	s.asClient("expect-session-miss", "the use of an earlier session is true", &tls.Config{}, "-resume-count", "1", "-expect-session-miss")
}

func (s *stage) earlyData() {
	config := func(early int) []peer {
		return []peer{earlyServer(&mayfly.Config{
			Certificates: []tls.Certificate{s.cert.Certificate}, Peers: mayfly.NoClientAuth(),
			MaxEarlyData: early, Replay: credulous{}, TicketKeys: mayfly.NewTicketRing(mayfly.GenerateSealingKey()),
		})}
	}
	s.add("expect-ticket-supports-early-data", "", config(1000), "-expect-ticket-supports-early-data")
	s.add("expect-ticket-supports-early-data", "early data in the new session", config(0), "-expect-ticket-supports-early-data")

	resume := slices.Clip([]string{"-resume-count", "1", "-enable-early-data", "-on-resume-shim-writes-first"})
	yes := slices.Clip(append(resume, "-expect-ticket-supports-early-data"))
	s.add("expect-accept-early-data", "", config(1000), append(yes, "-on-resume-expect-accept-early-data")...)
	s.add("expect-accept-early-data", "early data is rejected", config(0), append(resume, "-on-resume-expect-accept-early-data")...)
	s.add("expect-no-offer-early-data", "", config(0), append(resume, "-on-resume-expect-no-offer-early-data")...)
	s.add("expect-no-offer-early-data", "early data is sent", config(1000), append(yes, "-on-resume-expect-no-offer-early-data")...)

	s.add("expect-early-data-reason", "", config(1000), append(yes, "-on-initial-expect-early-data-reason", "no_session_offered", "-on-resume-expect-early-data-reason", "accept")...)
	s.add("expect-early-data-reason", "the reason about early data", config(1000), append(yes, "-on-resume-expect-early-data-reason", "peer_declined")...)

	// The clock of the shim goes on, that of the client does not.
	for skew, fails := range map[string]string{"-10": "", "10": "the skew of the ticket's age"} {
		config := &mayfly.Config{ServerName: "right.example", Peers: mayfly.InsecureAnyServer(), Sessions: mayfly.NewSessionCache(0)}
		args := slices.Concat([]string{"-server", "-resume-count", "1", "-resumption-delay", "10"}, s.cert.flags, []string{"-expect-ticket-age-skew", skew})
		s.add("expect-ticket-age-skew", fails, []peer{ourClient(config)}, args...)
	}

	// On a server that takes it, and on one that does not.
	for _, enabled := range []bool{true, false} {
		for flag, fails := range map[string]bool{"expect-accept-early-data": !enabled, "expect-reject-early-data": enabled} {
			says := ""
			if fails {
				says = "early data is "
			}
			args := slices.Concat([]string{"-server", "-resume-count", "1"}, s.cert.flags, []string{"-on-resume-" + flag})
			if enabled {
				args = append(args, "-enable-early-data")
			}
			config := &mayfly.Config{ServerName: "right.example", Peers: mayfly.InsecureAnyServer(), Sessions: mayfly.NewSessionCache(0)}
			s.add(flag, says, []peer{ourClient(config)}, args...)
		}
	}
}
