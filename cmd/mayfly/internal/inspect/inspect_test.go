// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
)

// newIdentity makes a key, and a certificate for localhost by it.
func newIdentity(t *testing.T) (*mayfly.Identity, tls.Certificate, *x509.CertPool) {
	t.Helper()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return id, cert, pool
}

// serve answers connections by what handle does, to the end of the test.
func serve(t *testing.T, handle func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return ln.Addr().String()
}

// serveTLS is crypto/tls's server, which echoes.
func serveTLS(t *testing.T, config *tls.Config) (addr string) {
	return serve(t, func(conn net.Conn) {
		c := tls.Server(conn, config)
		defer c.Close()
		_, _ = io.Copy(c, c)
	})
}

// serveOurs is mayfly's server, which reads.
func serveOurs(t *testing.T, config *mayfly.Config) (addr string) {
	return serve(t, func(conn net.Conn) {
		c := mayfly.Server(conn, config)
		defer c.Close()
		_, _ = io.Copy(io.Discard, c)
	})
}

func run(t *testing.T, o *Options) *Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if o.Patience == 0 {
		o.Patience = 20 * time.Second // machines are slow at times
	}
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	checkReport(t, r)
	return r
}

// checkReport checks what is true of each Report: all was opened, each byte is explained,
// and nobody died before being born.
func checkReport(t *testing.T, r *Report) {
	t.Helper()
	for _, m := range r.Messages {
		checkField(t, m.Fields, len(m.Bytes))
		for _, rec := range m.Records {
			checkField(t, rec.Fields, len(rec.Bytes))
		}
	}
	var walk func(s *Secret)
	walk = func(s *Secret) {
		if s.Died != 0 && s.Died < s.Born {
			t.Errorf("%s died at %v, and was born at %v", s.Name, s.Died, s.Born)
		}
		if s.Born == 0 || s.BornBy == "" || s.DiedBy == "" || (s.Value != "") && !r.Revealed {
			t.Errorf("%+v", s)
		}
		for _, p := range s.Parts {
			walk(p)
		}
	}
	for _, s := range r.Secrets {
		walk(s)
	}
}

func checkField(t *testing.T, f *dissect.Field, size int) {
	t.Helper()
	if f.Off+f.Len > size {
		t.Errorf("%s ends at %d of %d", f.Name, f.Off+f.Len, size)
	}
	at := f.Off
	for _, p := range f.Parts {
		if p.Off != at {
			t.Errorf("%s in %s is at %d, not %d", p.Name, f.Name, p.Off, at)
		}
		at += p.Len
		checkField(t, p, size)
	}
	if len(f.Parts) > 0 && at != f.Off+f.Len {
		t.Errorf("%s is explained up to %d of %d", f.Name, at, f.Off+f.Len)
	}
}

// names are the messages of a side without its change_cipher_spec.
func names(r *Report, from dissect.Sender) (all []string) {
	for _, m := range r.Messages {
		if m.From == from && m.Name != "change_cipher_spec" {
			all = append(all, m.Name)
		}
	}
	return all
}

func secret(secrets []*Secret, name string) *Secret {
	for _, s := range secrets {
		if s.Name == name {
			return s
		}
		if found := secret(s.Parts, name); found != nil {
			return found
		}
	}
	return nil
}

func choice(r *Report, what string) Choice {
	for _, c := range r.Choices {
		if c.What == what {
			return c
		}
	}
	return Choice{}
}

// onPage returns the text and the page of a Report.
func onPage(t *testing.T, r *Report) (text, page string) {
	t.Helper()
	var b, p bytes.Buffer
	if err := errors.Join(r.WriteText(&b), r.WriteHTML(&p)); err != nil {
		t.Fatal(err)
	}
	return b.String(), p.String()
}

// TestStandardLibrary inspects crypto/tls's server, whose keys change as often as asked.
func TestStandardLibrary(t *testing.T) {
	t.Parallel()
	_, cert, roots := newIdentity(t)
	addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"b"}, MinVersion: tls.VersionTLS13})
	_, port, _ := net.SplitHostPort(addr)
	r := run(t, &Options{Addr: "localhost:" + port, Config: &mayfly.Config{RootCAs: roots, NextProtos: []string{"a", "b"}}, Rekeys: 3})
	if r.Err != nil || !r.Verified || r.Server == nil || len(r.Server.Certs) != 1 || !strings.HasPrefix(r.Server.Verdict, "verified: ") {
		t.Fatalf("%v: %+v", r.Err, r.Server)
	}
	if got, want := names(r, dissect.Client), []string{"ClientHello", "Finished", "KeyUpdate", "KeyUpdate", "KeyUpdate", "alert"}; !slices.Equal(got, want) {
		t.Errorf("the client has sent %v", got)
	}
	server := slices.DeleteFunc(names(r, dissect.Server), func(name string) bool { return name == "NewSessionTicket" })
	if want := []string{"ServerHello", "EncryptedExtensions", "Certificate", "CertificateVerify", "Finished", "KeyUpdate", "KeyUpdate", "KeyUpdate"}; !slices.Equal(server[:min(len(server), len(want))], want) {
		t.Errorf("the server has sent %v", server)
	}
	for what, want := range map[string]string{"version": "TLS 1.3 (0x0304)", "application protocol": `"b"`, "server name": `"localhost"`, "key exchange": "X25519MLKEM768 (0x11ec)"} {
		if c := choice(r, what); c.Taken != want || c.Why == "" {
			t.Errorf("%+v", c)
		}
	}
	for _, name := range []string{"client_application_traffic_secret_3", "server_application_traffic_secret_3"} {
		s := secret(r.Secrets, name)
		if s == nil || !s.SeenBorn || !s.SeenDied || s.Died < s.Born || len(s.Parts) != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if s := secret(r.Secrets, "client_application_traffic_secret_4"); s != nil {
		t.Errorf("%+v", s)
	}
	if r.Done <= r.Connected || r.Closed <= r.Done {
		t.Errorf("connected %v, done %v, closed %v", r.Connected, r.Done, r.Closed)
	}
}

// TestManyRekeys changes keys as often as can be asked for.
func TestManyRekeys(t *testing.T) {
	t.Parallel()
	_, cert, roots := newIdentity(t)
	addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	r := run(t, &Options{Addr: addr, Config: &mayfly.Config{RootCAs: roots, ServerName: "localhost"}, Rekeys: mostRekeys})
	if r.Err != nil || secret(r.Secrets, "client_application_traffic_secret_16") == nil || secret(r.Secrets, "server_application_traffic_secret_16") == nil {
		t.Errorf("%v: %v", r.Err, r.Notes)
	}
}

// TestRawKey inspects mayfly's server by its pin, with a key of the client's, and another
// one whose pin is not the one that was given.
func TestRawKey(t *testing.T) {
	t.Parallel()
	id, _, _ := newIdentity(t)
	own, _, _ := newIdentity(t)
	// The server changes its keys when it next says something, which it does not.
	addr := serveOurs(t, &mayfly.Config{Identity: id, Peers: mayfly.Pins(own.Pin())})
	good := run(t, &Options{Addr: addr, Config: &mayfly.Config{Identity: own, Peers: mayfly.Pins(id.Pin())}, Rekeys: 1, Patience: 50 * time.Millisecond})
	if good.Err != nil || !good.Verified || good.Server.Kind != "raw public key" || good.Server.Pin != id.Pin().String() {
		t.Errorf("%v: %+v", good.Err, good.Server)
	}
	if got := names(good, dissect.Client); !slices.Contains(got, "CertificateVerify") {
		t.Errorf("the client has sent %v", got)
	}
	bad := run(t, &Options{Addr: addr, Config: &mayfly.Config{Identity: own, Peers: mayfly.Pins(own.Pin()), AllowSelf: true}, Rekeys: 1, Patience: 50 * time.Millisecond})
	if bad.Err != nil || bad.Verified || bad.Server.Verdict != "NOT VERIFIED" || bad.Server.Reason == "" || bad.Server.Pin != id.Pin().String() {
		t.Errorf("%v: %+v", bad.Err, bad.Server)
	}
}

// TestUnverified shows the certificate of a server that nobody vouches for.
func TestUnverified(t *testing.T) {
	t.Parallel()
	_, cert, _ := newIdentity(t)
	_, _, others := newIdentity(t)
	r := run(t, &Options{Addr: serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}), Config: &mayfly.Config{RootCAs: others}})
	if r.Err != nil || r.Verified || len(r.Server.Certs) != 1 || !strings.Contains(r.Server.Reason, "x509: ") {
		t.Errorf("%v: %+v", r.Err, r.Server)
	}
	if text, page := onPage(t, r); !strings.Contains(text, "NOT VERIFIED") || !strings.Contains(page, "NOT VERIFIED") {
		t.Error("neither the text nor the page says so")
	}
}

// TestHelloRetryRequest inspects a server that wants another group.
func TestHelloRetryRequest(t *testing.T) {
	t.Parallel()
	_, cert, roots := newIdentity(t)
	r := run(t, &Options{Addr: serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, CurvePreferences: []tls.CurveID{tls.CurveP384}}), Config: &mayfly.Config{RootCAs: roots}})
	if got, want := names(r, dissect.Client)[:2], []string{"ClientHello", "ClientHello"}; !slices.Equal(got, want) {
		t.Errorf("the client has sent %v", got)
	}
	if got := names(r, dissect.Server)[:2]; !slices.Equal(got, []string{"HelloRetryRequest", "ServerHello"}) {
		t.Errorf("the server has sent %v", got)
	}
	if c := choice(r, "key exchange"); c.Taken != "secp384r1 (0x0018)" || !strings.Contains(c.Why, "HelloRetryRequest") {
		t.Errorf("%+v", c)
	}
}

// TestFailures inspects servers with which there is no handshake.
func TestFailures(t *testing.T) {
	t.Parallel()
	_, cert, roots := newIdentity(t)
	for name, addr := range map[string]string{
		"TLS 1.2": serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12}),
		"alert":   serveTLS(t, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no") }}),
		"HTTP": serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}),
		"silence": serve(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }),
		"a part": serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte{22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3})
		}),
	} {
		r := run(t, &Options{Addr: addr, Config: &mayfly.Config{RootCAs: roots}, Rekeys: 1})
		if r.Err == nil || r.Verified || r.Done != 0 || r.Server != nil {
			t.Errorf("%s: %v: %+v", name, r.Err, r)
		}
		if text, page := onPage(t, r); !strings.Contains(text, "the handshake failed") || !strings.Contains(page, "ClientHello") || len(r.Choices) == 0 {
			t.Errorf("%s: %s", name, text)
		}
	}
	if _, err := Run(t.Context(), &Options{Addr: "127.0.0.1", Config: nil}); err == nil {
		t.Error("an address without a port was taken")
	}
	if _, err := Run(t.Context(), &Options{Addr: serve(t, func(net.Conn) {}), Config: &mayfly.Config{RootCAs: x509.NewCertPool()}}); err == nil {
		t.Error("a Config that cannot work was taken")
	}
	if _, err := Run(t.Context(), &Options{Addr: "127.0.0.1:1", Config: nil, Rekeys: -1}); err == nil {
		t.Error("-1 changes of keys were taken")
	}
}

// TestRefused shows that a server which refuses the client afterwards is heard.
func TestRefused(t *testing.T) {
	t.Parallel()
	id, _, _ := newIdentity(t)
	stranger, _, _ := newIdentity(t)
	addr := serveOurs(t, &mayfly.Config{Identity: id, Peers: mayfly.Pins(id.Pin())})
	r := run(t, &Options{Addr: addr, Config: &mayfly.Config{Identity: stranger, Peers: mayfly.Pins(id.Pin())}, Rekeys: 1})
	var refused *mayfly.AlertError
	if !errors.As(r.Err, &refused) || !refused.Remote || !r.Verified {
		t.Errorf("%v", r.Err)
	}
}

// TestReveal shows that the secrets are those of the connection, that each opens what it
// is for, and that without Reveal no page holds one.
func TestReveal(t *testing.T) {
	t.Parallel()
	_, cert, roots := newIdentity(t)
	var log lockedBuffer
	addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, KeyLogWriter: &log})
	r := run(t, &Options{Addr: addr, Config: &mayfly.Config{RootCAs: roots, ServerName: "localhost"}, Rekeys: 1, Reveal: true})
	text, page := onPage(t, r)
	revealed := secretsOf(log.String())
	if len(revealed) != 4 && len(revealed) != 5 {
		t.Fatalf("the server knows %d secrets", len(revealed))
	}
	for _, value := range revealed {
		if !strings.Contains(text, value) || !strings.Contains(page, value) {
			t.Errorf("a secret that the server knows is not there")
		}
	}
	if s := secret(r.Secrets, "server_application_traffic_secret_1"); s == nil || len(s.Value) != 64 || s.Value == secret(r.Secrets, "server_application_traffic_secret_0").Value {
		t.Errorf("%+v", s)
	}

	var other lockedBuffer
	addr = serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, KeyLogWriter: &other})
	text, page = onPage(t, run(t, &Options{Addr: addr, Config: &mayfly.Config{RootCAs: roots, ServerName: "localhost"}, Rekeys: 1}))
	page = strings.ReplaceAll(page, " ", "")
	for _, value := range secretsOf(other.String()) {
		if strings.Contains(text, value) || strings.Contains(page, value) {
			t.Error("a secret is there without Reveal")
		}
	}
}

// secretsOf are the secrets in an SSLKEYLOGFILE, in hex.
func secretsOf(log string) (all []string) {
	for line := range strings.Lines(log) {
		words := strings.Fields(line)
		if b, err := hex.DecodeString(words[len(words)-1]); err == nil {
			all = append(all, hex.EncodeToString(b))
		}
	}
	return all
}

// TestHostileNames shows that what a server writes into its certificate acts neither on a
// terminal nor on a page.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	const hostile = "<script>alert(1)</script>\x1b[2J\u202e"
	cert := hostileCertificate(t, hostile)
	_, _, roots := newIdentity(t)
	addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	text, page := onPage(t, run(t, &Options{Addr: addr, Config: &mayfly.Config{RootCAs: roots}}))
	for _, bad := range []string{"\x1b", "\u202e"} {
		if strings.Contains(text, bad) || strings.Contains(page, bad) {
			t.Errorf("%q is there", bad)
		}
	}
	if strings.Contains(page, "<script") || !strings.Contains(page, "&lt;script") || !strings.Contains(text, "<script") {
		t.Error("the name is not shown as text")
	}
}

// TestFlood bounds what a server that talks without end makes of a Report.
func TestFlood(t *testing.T) {
	t.Parallel()
	_, cert, roots := newIdentity(t)
	addr := serve(t, func(conn net.Conn) {
		c := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		for {
			if _, err := c.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	r := run(t, &Options{Addr: addr, Config: &mayfly.Config{RootCAs: roots}, Rekeys: 1, Patience: 300 * time.Millisecond})
	if len(r.Messages) > 2*mostRecords || !strings.Contains(strings.Join(r.Notes, " "), "more than is recorded") {
		t.Errorf("%d messages; %v", len(r.Messages), r.Notes)
	}
	if _, page := onPage(t, r); len(page) > 12<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

// TestServersWithoutTLS13 inspects servers that refuse TLS 1.3 by an alert, and those that
// answer with a ServerHello of an older version.
func TestServersWithoutTLS13(t *testing.T) {
	t.Parallel()
	_, cert, _ := newIdentity(t)
	hello := func(version byte) func(net.Conn) {
		return func(conn net.Conn) {
			body := append([]byte{3, version}, make([]byte, 32)...)
			body = append(body, 0, 0xc0, 0x2f, 0) // no session, ECDHE with RSA and AES-128-GCM, no compression
			message := append([]byte{2, 0, 0, byte(len(body))}, body...)
			_, _ = conn.Write(append([]byte{22, 3, version, 0, byte(len(message))}, message...))
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	for name, addr := range map[string]string{
		"crypto/tls":               serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12}),
		"a ServerHello of TLS 1.2": serve(t, hello(3)),
		"a ServerHello of TLS 1.0": serve(t, hello(1)),
	} {
		r := run(t, &Options{Addr: addr, Config: new(mayfly.Config)})
		text, page := onPage(t, r)
		const says = "the server speaks TLS 1.2 at most"
		if r.Err == nil || !strings.Contains(r.Err.Error(), says) || !strings.Contains(text, says) || !strings.Contains(page, says) {
			t.Errorf("%s: %v", name, r.Err)
		}
	}
}
