// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFlagsAreRead shows that what an option sets is read somewhere, and that what need
// not be is a given that says why: a flag that does nothing passes tests that nobody
// looked at.
func TestFlagsAreRead(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var rest strings.Builder
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "options.go" {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rest.Write(b)
	}
	source, err := os.ReadFile("options.go")
	if err != nil {
		t.Fatal(err)
	}
	fields := regexp.MustCompile(`"([\w-]+)":.*f\.(?:present\(\)\.|expect\.)?(\w+)(?: }|, err| = )`).FindAllStringSubmatch(string(source), -1)
	if found := len(fields); found < len(options())-6 { // the others set no field of their own
		t.Errorf("only %d fields are found", found)
	}
	for _, m := range fields {
		if !regexp.MustCompile(`\.` + m[2] + `\b`).MatchString(rest.String()) {
			t.Errorf("-%s sets %s, which nobody reads", m[1], m[2])
		}
	}
	for flag, reason := range givens {
		if _, ok := options()[flag]; ok || len(strings.Fields(reason)) < 3 {
			t.Errorf("-%s is an option too, or its reason is no reason: %q", flag, reason)
		}
	}
}

// TestTrust shows that the shim judges certificates by the one that the test trusts.
func TestTrust(t *testing.T) {
	t.Parallel()
	right, wrong := newCertificate(t, "right.example"), newCertificate(t, "wrong.example")
	peers := []peer{server(&tls.Config{Certificates: []tls.Certificate{right.Certificate}})}
	if code, stderr := against(t, peers, "-trust-cert", right.file); code != exitPassed {
		t.Errorf("the certificate that is trusted: %s", stderr)
	}
	if code, stderr := against(t, peers, "-trust-cert", wrong.file); code != exitFailed || !strings.Contains(stderr, "unknown authority") {
		t.Errorf("another certificate: exit code %d, %s", code, stderr)
	}
}

// seen is a client of a shim, which looks at what it was asked for and what it got.
func seen(t *testing.T, look func(*tls.Conn, *tls.CertificateRequestInfo) error, sessions tls.ClientSessionCache) peer {
	t.Helper()
	return func(conn net.Conn) error {
		var asked *tls.CertificateRequestInfo
		c := tls.Client(conn, &tls.Config{
			MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, ServerName: "right.example", ClientSessionCache: sessions,
			GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = r
				return new(tls.Certificate), nil
			},
		})
		err := c.Handshake()
		if err == nil {
			err = look(c, asked)
		}
		if err != nil {
			t.Error(err)
			return err
		}
		return talk(c)
	}
}

// TestServersFlags shows that a client is told what the flags of a server say.
func TestServersFlags(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t, "right.example")
	names := [][]byte{mustLeaf(t, cert).RawSubject, mustLeaf(t, newCertificate(t, "wrong.example")).RawSubject}
	list := hex.EncodeToString(names[0]) + "," + hex.EncodeToString(names[1])
	stapled := func(want string) func(*tls.Conn, *tls.CertificateRequestInfo) error {
		return func(c *tls.Conn, _ *tls.CertificateRequestInfo) error {
			if got := string(c.OCSPResponse()); got != want {
				return fmt.Errorf("the staple is %q, and not %q", got, want)
			}
			return nil
		}
	}
	named := func(want [][]byte) func(*tls.Conn, *tls.CertificateRequestInfo) error {
		return func(_ *tls.Conn, r *tls.CertificateRequestInfo) error {
			if r == nil || !slices.EqualFunc(r.AcceptableCAs, want, bytes.Equal) {
				return fmt.Errorf("the authorities are %+v", r)
			}
			return nil
		}
	}
	staple := []string{"-ocsp-response", b64("staple"), "-use-ocsp-callback"}
	for name, test := range map[string]struct {
		look func(*tls.Conn, *tls.CertificateRequestInfo) error
		args []string
	}{
		"a staple":                 {stapled("staple"), staple},
		"a staple of the callback": {stapled("staple"), append(slices.Clip(staple), "-set-ocsp-in-callback")},
		"no staple":                {stapled(""), append(slices.Clip(staple), "-decline-ocsp-callback")},
		"authorities":              {named(names), []string{"-verify-peer", "-use-client-ca-list", list}},
		"no authorities":           {named(nil), []string{"-verify-peer", "-use-client-ca-list", "<EMPTY>"}},
	} {
		args := slices.Concat([]string{"-server"}, cert.flags, test.args)
		if code, stderr := against(t, []peer{seen(t, test.look, nil)}, args...); code != exitPassed {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
	}
}

// TestTicketFlags shows that the callback for tickets is asked, that one which skips
// gives none, and that keys which are renewed open what the old ones have sealed.
func TestTicketFlags(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t, "right.example")
	for name, test := range map[string]struct {
		args    []string
		resumes bool
	}{
		"a callback":          {[]string{"-use-ticket-callback"}, true},
		"of the other kind":   {[]string{"-use-ticket-aead-callback"}, true},
		"renewed":             {[]string{"-use-ticket-callback", "-renew-ticket"}, true},
		"none":                {[]string{"-use-ticket-callback", "-skip-ticket", "-expect-session-miss"}, false},
		"none without a word": {[]string{"-no-ticket", "-expect-session-miss"}, false},
	} {
		n := 0
		look := func(c *tls.Conn, _ *tls.CertificateRequestInfo) error {
			if n++; c.ConnectionState().DidResume != (test.resumes && n == 2) {
				return fmt.Errorf("%s: connection %d resumes: %v", name, n, c.ConnectionState().DidResume)
			}
			return nil
		}
		args := slices.Concat([]string{"-server", "-resume-count", "1"}, cert.flags, test.args)
		if code, stderr := against(t, []peer{seen(t, look, tls.NewLRUClientSessionCache(1))}, args...); code != exitPassed || n != 2 {
			t.Errorf("%s: exit code %d after %d connections, %s", name, code, n, stderr)
		}
	}
	c := &connection{shim: newShim(new(flagSets)), flags: &flags{server: true, useTicketCallback: true}}
	if err := c.check(); err == nil || !strings.Contains(err.Error(), "the callback for tickets") {
		t.Errorf("a callback that nobody asked: %v", err)
	}
}

// TestMinVersion shows that a version that mayfly does not speak is not passed over.
func TestMinVersion(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]error{"771": nil, "772": nil, "773": errUnimplemented} {
		if _, err := parseFlags([]string{"-min-version", arg}); !errors.Is(err, want) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	var out, errs bytes.Buffer
	if code := run([]string{"-max-version", "771"}, &out, io.Writer(&errs)); code != exitUnimplemented {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}
