// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A probe finds out, once, what an installed program is and can do.
type probe struct {
	path    string
	said    string // what it says of itself
	version string // the first line of that
	missing string // why it cannot be used at all
}

// lookFor finds a program and asks it for its version.
func lookFor(name string, args ...string) *probe {
	path, err := exec.LookPath(name)
	if err != nil {
		return &probe{missing: name + " is not installed"}
	}
	out, err := ask(path, args...)
	if err != nil {
		return &probe{missing: fmt.Sprintf("%s does not run: %v", name, err)}
	}
	for strings.HasPrefix(out, "Picked up ") {
		_, out, _ = strings.Cut(out, "\n") // what Java says where its options are set from outside
	}
	first, _, _ := strings.Cut(out, "\n")
	return &probe{path: path, said: out, version: strings.TrimSpace(first)}
}

// ask runs a program that answers at once.
func ask(path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return string(out), err
}

// require skips the whole of a peer's tests where it cannot be used, or fails
// them if the peers are required.
func (p *probe) require(t *testing.T, peer string) {
	t.Helper()
	if p.missing == "" {
		t.Logf("%s: %s", peer, p.version)
		return
	}
	if os.Getenv("MAYFLY_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s, and MAYFLY_REQUIRE_PEERS is set", p.missing)
	}
	for _, r := range []role{asClient, asServer} {
		matrix.add(cell{peer: peer, role: r, auth: authentication{name: "every"}, key: ecdsaP256}, "skipped: "+p.missing)
	}
	t.Skip(p.missing)
}

// atLeast says whether a dotted version is major.minor.patch or later.
func atLeast(version string, major, minor, patch int) bool {
	var v [3]int
	fmt.Sscanf(version, "%d.%d.%d", &v[0], &v[1], &v[2])
	for i, want := range []int{major, minor, patch} {
		if v[i] != want {
			return v[i] > want
		}
	}
	return true
}

var (
	opensslProbe = sync.OnceValue(probeOpenSSL)
	gnutlsProbe  = sync.OnceValue(probeGnuTLS)
	curlProbe    = sync.OnceValue(probeCurl)
	javaProbe    = sync.OnceValue(probeJava)
	tsharkProbe  = sync.OnceValue(func() *probe { return lookFor("tshark", "--version") })
)

func probeOpenSSL() *probe { return lookFor("openssl", "version").judge(unusableOpenSSL) }

func probeGnuTLS() *probe {
	p := lookFor("gnutls-cli", "--version").judge(unusableGnuTLS)
	if _, err := exec.LookPath("gnutls-serv"); p.missing == "" && err != nil {
		return &probe{missing: "gnutls-serv is not installed"}
	}
	return p
}

func probeCurl() *probe { return lookFor("curl", "--version").judge(unusableCurl) }

func probeJava() *probe { return lookFor("java", "-version").judge(unusableJava) }

// judge notes why a program that is there cannot be used at all.
func (p *probe) judge(unusable func(version string) string) *probe {
	if p.missing == "" {
		p.missing = unusable(p.version)
	}
	return p
}

func unusableOpenSSL(version string) string {
	family, number, _ := strings.Cut(version, " ")
	switch {
	case family != "OpenSSL":
		return fmt.Sprintf("openssl is %s, whose s_client and s_server are other programs", family)
	case !atLeast(number, 1, 1, 1):
		return version + " has no TLS 1.3"
	}
	return ""
}

func unusableGnuTLS(version string) string {
	if !atLeast(lastWord(version), 3, 6, 5) {
		return version + " has no TLS 1.3"
	}
	return ""
}

func unusableCurl(version string) string {
	switch {
	case !strings.Contains(version, " OpenSSL/"):
		// Other TLS libraries know no --tls13-ciphers or no --curves.
		return "curl is not built on OpenSSL"
	case strings.Contains(version, " OpenSSL/1.0"):
		return "curl is built on an OpenSSL that has no TLS 1.3"
	}
	return ""
}

func unusableJava(version string) string {
	if _, number, ok := strings.Cut(version, "\""); !ok || !atLeast(number, 17, 0, 0) {
		return "java is older than 17: " + version
	}
	return ""
}

// TestProbes judges programs that may be on somebody's machine, by what they say of
// themselves.
func TestProbes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		unusable      func(version string) string
		version, says string // says nothing of what can be used
	}{
		{unusableOpenSSL, "LibreSSL 3.8.2", "LibreSSL"},
		{unusableOpenSSL, "LibreSSL 4.1.0", "LibreSSL"},
		{unusableOpenSSL, "OpenSSL 1.0.2u  20 Dec 2019", "no TLS 1.3"},
		{unusableOpenSSL, "OpenSSL 1.1.0l  10 Sep 2019", "no TLS 1.3"},
		{unusableOpenSSL, "OpenSSL 1.1.1w  11 Sep 2023", ""},
		{unusableOpenSSL, "OpenSSL 3.0.2 15 Mar 2022 (Library: OpenSSL 3.0.2 15 Mar 2022)", ""},
		{unusableOpenSSL, "OpenSSL 4.0.0-dev  (Library: OpenSSL 4.0.0-dev )", ""},
		{unusableOpenSSL, "", "other programs"},
		{unusableGnuTLS, "gnutls-cli 3.5.18", "no TLS 1.3"},
		{unusableGnuTLS, "gnutls-cli 3.6.4", "no TLS 1.3"},
		{unusableGnuTLS, "gnutls-cli 3.6.16", ""},
		{unusableGnuTLS, "gnutls-cli 3.8.9", ""},
		{unusableGnuTLS, "", "no TLS 1.3"},
		{unusableCurl, "curl 8.7.1 (x86_64-apple-darwin24.0) libcurl/8.7.1 (SecureTransport) LibreSSL/3.3.6 zlib/1.2.12 nghttp2/1.64.0", "not built on OpenSSL"},
		{unusableCurl, "curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 GnuTLS/3.7.9 zlib/1.2.13", "not built on OpenSSL"},
		{unusableCurl, "curl 7.58.0 (x86_64-pc-linux-gnu) libcurl/7.58.0 OpenSSL/1.0.2n zlib/1.2.11", "no TLS 1.3"},
		{unusableCurl, "curl 8.15.0 (x86_64-pc-linux-gnu) libcurl/8.15.0 OpenSSL/3.5.1 zlib/1.3.1", ""},
		{unusableJava, `java version "1.8.0_391"`, "older than 17"},
		{unusableJava, `openjdk version "11.0.21" 2023-10-17`, "older than 17"},
		{unusableJava, `openjdk version "17.0.15" 2025-04-15`, ""},
		{unusableJava, `openjdk version "21" 2023-09-19`, ""},
		{unusableJava, `openjdk version "27-ea" 2026-09-15`, ""},
		{unusableJava, "The operation couldn't be completed.", "older than 17"},
	} {
		if got := test.unusable(test.version); (got == "") != (test.says == "") || !strings.Contains(got, test.says) {
			t.Errorf("%q: %q, want %q", test.version, got, test.says)
		}
	}
	const no, raw, hybrid = "", "raw public keys", "X25519MLKEM768"
	for _, test := range []struct{ version, rawKeys, hybrid string }{
		{"1.1.1w", raw, hybrid}, {"3.0.19", raw, hybrid}, {"3.1.4", raw, hybrid},
		{"3.2.0", no, hybrid}, {"3.4.1", no, hybrid}, {"3.5.0-beta1", no, no}, {"3.6.3", no, no}, {"4.0.0-dev", no, no},
	} {
		for _, auth := range []authentication{rawServer, rawMutual} {
			if got := opensslOfVersionLacks(test.version, auth, 0); (got == "") != (test.rawKeys == "") || !strings.Contains(got, test.rawKeys) {
				t.Errorf("OpenSSL %s, %s: %q", test.version, auth.name, got)
			}
		}
		if got := opensslOfVersionLacks(test.version, x509Server, tls.X25519MLKEM768); (got == "") != (test.hybrid == "") || !strings.Contains(got, test.hybrid) {
			t.Errorf("OpenSSL %s, the hybrid: %q", test.version, got)
		}
		if got := opensslOfVersionLacks(test.version, x509Mutual, tls.CurveP256); got != "" {
			t.Errorf("OpenSSL %s, secp256r1: %q", test.version, got)
		}
	}
	if javaLacks("x25519 secp256r1", x509Server, tls.X25519MLKEM768) == "" || javaLacks("X25519MLKEM768 x25519", x509Server, tls.X25519MLKEM768) != "" {
		t.Error("java's groups are not taken for what they are")
	}
}

func lastWord(s string) string {
	words := strings.Fields(s)
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}
