// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mayfly-tls/mayfly"
)

const openssl = "openssl"

// TestOpenSSL talks to openssl s_client and s_server.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	p := opensslProbe()
	p.require(t, openssl)
	everyCell(openssl, []authentication{x509Server, x509Mutual, rawServer, rawMutual}, opensslLacks, func(c cell) {
		c.run(t, tryOpenSSL)
		if c.auth.name == x509Server.name {
			c.retry, c.with = true, "HelloRetryRequest"
			c.run(t, tryOpenSSL)
		}
	})
	for _, r := range []role{asClient, asServer} {
		c := cell{peer: openssl, role: r, suite: suites[1], group: tls.X25519, auth: x509Mutual}
		for _, c.key = range []keyKind{ecdsaP384, ecdsaP521, edwards, rsaPSS} {
			c.run(t, tryOpenSSL)
		}
		c.auth, c.key = x509Server, ecdsaP256
		c.with, c.alpn = "ALPN", "interop/1"
		c.run(t, tryOpenSSL)
		c.with, c.alpn = "records of 512 bytes", ""
		c.run(t, func(t *testing.T, c cell) { tryOpenSSLWith(t, c, "-max_send_frag", "512") })
		c.with = "records padded to 4 KiB"
		c.run(t, func(t *testing.T, c cell) { tryOpenSSLWith(t, c, "-record_padding", "4096") })
		c.with = "our records padded to 1 KiB"
		c.run(t, tryOpenSSLPadding)
		c.with = "OCSP staple"
		c.run(t, tryOpenSSLStaple)
		for _, c.suite = range suites {
			c.with = itsKeyUpdates
			c.run(t, tryOpenSSLKeyUpdates)
			c.with = "our key updates"
			c.run(t, tryOurKeyUpdates)
		}
	}
}

// opensslLacks says why the installed OpenSSL cannot do a part of the matrix.
func opensslLacks(auth authentication, group tls.CurveID) string {
	return opensslOfVersionLacks(strings.Fields(opensslProbe().version)[1], auth, group)
}

func opensslOfVersionLacks(version string, auth authentication, group tls.CurveID) string {
	switch {
	case (auth.server == rawKey || auth.client == rawKey) && !atLeast(version, 3, 2, 0):
		return fmt.Sprintf("OpenSSL %s has no raw public keys (3.2 has)", version)
	case group == tls.X25519MLKEM768 && !atLeast(version, 3, 5, 0):
		return fmt.Sprintf("OpenSSL %s has no X25519MLKEM768 (3.5 has)", version)
	}
	return ""
}

// opensslQuiet makes OpenSSL's standard input and output those of the connection.
// A client's end of input is then the end of the connection, and no line is a
// command.
var opensslQuiet = map[role][]string{
	asClient: {"-quiet", "-no_ign_eof", "-nocommands"},
	asServer: {"-quiet"},
}

// tryOpenSSL exchanges data with s_client, which closes first, or with
// s_server, where we do.
func tryOpenSSL(t *testing.T, c cell) { tryOpenSSLWith(t, c) }

func tryOpenSSLWith(t *testing.T, c cell, more ...string) {
	p, conn := c.openssl(t, append(more, opensslQuiet[c.role]...)...)
	ours, tap := open(t, c, conn)
	c.check(t, ours, tap)
	exchange(t, ours, p, bulk, c.role == asClient)
}

// tryOpenSSLPadding sends padded records.
func tryOpenSSLPadding(t *testing.T, c cell) {
	p, conn := c.openssl(t, opensslQuiet[c.role]...)
	cfg := c.ours(t)
	cfg.Padding = mayfly.PadToMultiple(1024)
	ours, tap := openWith(t, c, cfg, conn)
	c.check(t, ours, tap)
	exchange(t, ours, p, bulk, c.role == asClient)
}

// tryOpenSSLStaple staples an OCSP response to the server's certificate (RFC 9846,
// Section 4.5.1), of which the other side shows what it got.
func tryOpenSSLStaple(t *testing.T, c cell) {
	us, them := c.identities(t)
	cfg := c.ours(t)
	if c.role == asServer {
		staple := keys.staple(t, them)
		file := filepath.Join(t.TempDir(), "staple")
		if err := os.WriteFile(file, staple, 0o600); err != nil {
			t.Fatal(err)
		}
		p, conn := c.openssl(t, append([]string{"-status_file", file}, opensslQuiet[c.role]...)...)
		ours, tap := openWith(t, c, cfg, conn)
		c.check(t, ours, tap)
		if got := ours.ConnectionState().OCSPResponse; !bytes.Equal(got, staple) {
			t.Errorf("a staple of %d bytes, want %d", len(got), len(staple))
		}
		exchange(t, ours, p, bulk, false)
		return
	}
	cert := us.cert
	cert.OCSPStaple = keys.staple(t, us)
	cfg.Certificates = []tls.Certificate{cert}
	p, conn := c.openssl(t, "-status", "-no_ign_eof", "-nocommands")
	ours, tap := openWith(t, c, cfg, conn)
	c.check(t, ours, tap)
	said, err := ocsp.ParseResponse(cert.OCSPStaple, nil)
	if err != nil {
		t.Fatal(err)
	}
	serial := fmt.Sprintf("Serial Number: %X", said.SerialNumber)
	for r, rest := bufio.NewReader(p), []string{"OCSP Response Status: successful", serial, "Cert Status: good"}; len(rest) > 0; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("s_client does not say %q: %v", rest[0], err)
		}
		if strings.Contains(line, rest[0]) {
			rest = rest[1:]
		}
	}
}

// tryOurKeyUpdates changes our keys in the midst of bulk data, and has OpenSSL
// change its own.
func tryOurKeyUpdates(t *testing.T, c cell) {
	p, conn := c.openssl(t, opensslQuiet[c.role]...)
	cfg := c.ours(t)
	rekeyOften(cfg, bulk/10)
	rekeys := watchRekeys(cfg)
	ours, tap := openWith(t, c, cfg, conn)
	c.check(t, ours, tap)
	if err := ours.Rekey(t.Context()); err != nil {
		t.Fatalf("Rekey: %v", err)
	}
	exchange(t, ours, p, bulk, c.role == asClient)
	if own, its := rekeys.of(mayfly.RekeyBytes), rekeys.of(mayfly.RekeyPeer); own < 8 || its != 1 {
		t.Errorf("we changed our keys %d times among the data, and the peer its own %d times", own, its)
	}
}

// tryOpenSSLKeyUpdates has OpenSSL update its keys again and again, both with
// and without asking us to do so too, and checks that data still flow both ways.
func tryOpenSSLKeyUpdates(t *testing.T, c cell) {
	var more []string
	if c.role == asServer {
		more = []string{"-num_tickets", "0"} // nothing comes but what is counted below
	}
	p, conn := c.openssl(t, more...)
	ours, tap := open(t, c, conn)
	c.check(t, ours, tap)
	ours.SetDeadline(time.Now().Add(patience))
	arrived, in := io.Pipe()
	go func() {
		// Read all the time: some updates come with no data behind them.
		_, err := io.Copy(in, ours)
		in.CloseWithError(cmp.Or(err, io.EOF))
	}()
	lines, theirs := bufio.NewReader(arrived), bufio.NewReader(p)
	for i, command := range []string{"K", "k", "K", "K", "k", "k"} {
		// A line is a command when it comes alone: wait until it is carried out.
		before := tap.received()
		if err := p.say(command); err != nil {
			t.Fatal(err)
		}
		if err := p.until(func() bool {
			if c.role == asClient {
				return p.stderr.count("KEYUPDATE\n") > i // sent with its next data
			}
			return tap.received() >= before+keyUpdateLen // sent at once
		}); err != nil {
			t.Fatalf("key update %d: %v", i, err)
		}
		ping, pong := fmt.Sprintf("1%d\n", i), fmt.Sprintf("2%d\n", i)
		if _, err := io.WriteString(p, ping); err != nil {
			t.Fatal(err)
		}
		expectLine(t, "us", lines, ping)
		if got, want := tap.received()-before, recordLen(len(ping))+keyUpdateLen; got != want {
			t.Errorf("%d bytes came for a key update and a line, want %d", got, want)
		}
		if _, err := io.WriteString(ours, pong); err != nil {
			t.Fatal(err)
		}
		expectLine(t, "the peer", theirs, pong)
	}
	if err := ours.CloseWrite(); err != nil {
		t.Fatalf("CloseWrite: %v", err)
	}
	go io.Copy(io.Discard, theirs)
	expectEOF(t, "us", lines)
	ours.Close()
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
}

// recordLen is the length of a record of n bytes of content, without padding.
func recordLen(n int) int { return 5 + n + 1 + 16 }

// keyUpdateLen is the length of a record with a KeyUpdate in it.
var keyUpdateLen = recordLen(5)

// expectLine reads up to a line that is what is wanted: the programs report
// this and that on other lines.
func expectLine(t *testing.T, who string, r *bufio.Reader, want string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if line == want {
			return
		}
		if err != nil {
			t.Fatalf("%s: waited for %q: %v", who, want, err)
		}
	}
}

// until waits until a program has said what done looks for.
func (p *program) until(done func() bool) error {
	between := time.NewTicker(time.Millisecond)
	defer between.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-between.C {
		if done() {
			return nil
		}
		if p.ended() {
			return errors.New("the program has ended")
		}
	}
	return errors.New("the program says nothing")
}

// openssl starts s_client or s_server and returns our end of the connection.
func (c cell) openssl(t *testing.T, more ...string) (*program, net.Conn) {
	t.Helper()
	args := append(c.opensslArgs(t), more...)
	if c.role == asServer {
		return startServer(t, opensslProbe().path, func(port string) []string {
			return append([]string{"s_server", "-accept", "127.0.0.1:" + port, "-naccept", "1"}, args...)
		})
	}
	return startClient(t, opensslProbe().path, func(port string) []string {
		return append([]string{"s_client", "-connect", "127.0.0.1:" + port}, args...)
	})
}

func (c cell) opensslArgs(t *testing.T) []string {
	_, them := c.identities(t)
	args := []string{"-tls1_3", "-ciphersuites", tls.CipherSuiteName(c.suite), "-groups", opensslGroups(c.theirGroups())}
	if c.alpn != "" {
		args = append(args, "-alpn", "not/this,"+c.alpn)
	}
	shows, sees := c.auth.client, c.auth.server
	if c.role == asServer {
		shows, sees = sees, shows
	}
	switch {
	case shows == plainPSK:
		args = append(args, "-psk", pskHex, "-psk_identity", pskIdentity)
		if c.role == asServer {
			args = append(args, "-nocert")
		}
	case shows != nothing:
		args = append(args, "-cert", them.certFile, "-key", them.keyFile)
	}
	if shows == rawKey {
		args = append(args, map[role]string{asClient: "-enable_client_rpk", asServer: "-enable_server_rpk"}[c.role])
	}
	switch {
	case sees == certificate:
		args = append(args, "-CAfile", keys.caFile, "-verify_return_error")
		if c.role == asClient {
			args = append(args, "-servername", serverName, "-verify_hostname", serverName)
		} else {
			args = append(args, "-Verify", "3")
		}
	case sees == rawKey && c.role == asClient:
		// RFC 6698, Section 2.1: usage 3, selector 1 and matching type 1 are a pin of ours.
		us, _ := c.identities(t)
		pin, err := mayfly.ParsePin(us.pin)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "-enable_server_rpk", "-dane_tlsa_domain", serverName,
			"-dane_tlsa_rrdata", fmt.Sprintf("3 1 1 %x", pin[:]), "-verify_return_error")
	case sees == rawKey:
		args = append(args, "-enable_client_rpk", "-Verify", "3")
	}
	return args
}

func opensslGroups(ids []tls.CurveID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = cell{group: id}.groupName()
	}
	return strings.Join(names, ":")
}
