// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
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

func probeOpenSSL() *probe {
	p := lookFor("openssl", "version")
	family, rest, _ := strings.Cut(p.version, " ")
	switch {
	case p.missing != "":
	case family != "OpenSSL":
		p.missing = fmt.Sprintf("openssl is %s, whose s_client and s_server are other programs", family)
	case !atLeast(rest, 1, 1, 1):
		p.missing = p.version + " has no TLS 1.3"
	}
	return p
}

func probeGnuTLS() *probe {
	p := lookFor("gnutls-cli", "--version")
	if p.missing != "" {
		return p
	}
	if _, err := exec.LookPath("gnutls-serv"); err != nil {
		return &probe{missing: "gnutls-serv is not installed"}
	}
	if !atLeast(lastWord(p.version), 3, 6, 5) {
		p.missing = p.version + " has no TLS 1.3"
	}
	return p
}

func probeCurl() *probe {
	p := lookFor("curl", "--version")
	switch {
	case p.missing != "":
	case !strings.Contains(p.version, " OpenSSL/"):
		// Other TLS libraries know no --tls13-ciphers or no --curves.
		p.missing = "curl is not built on OpenSSL"
	case strings.Contains(p.version, " OpenSSL/1.0"):
		p.missing = "curl is built on an OpenSSL that has no TLS 1.3"
	}
	return p
}

func probeJava() *probe {
	p := lookFor("java", "-version")
	if p.missing != "" {
		return p
	}
	if _, version, ok := strings.Cut(p.version, "\""); !ok || !atLeast(version, 17, 0, 0) {
		p.missing = "java is older than 17: " + p.version
	}
	return p
}

func lastWord(s string) string {
	words := strings.Fields(s)
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}
