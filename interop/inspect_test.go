// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// toolDir is the tool's module, which a release of the library does not contain.
const toolDir = "../cmd/mayfly"

// tool builds the command, once.
var tool = sync.OnceValues(func() (string, error) {
	name := filepath.Join(filepath.Dir(keys.caFile), "mayfly")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", name, ".")
	build.Dir = toolDir
	build.Env = append(os.Environ(), "GOWORK=") // go.work joins the tool and this library
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return name, nil
})

// inspect runs mayfly inspect, which must find the server verified, and returns what it
// says.
func inspect(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := os.Stat(toolDir); err != nil {
		t.Skipf("the tool is not here: %v", err)
	}
	name, err := tool()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, append([]string{"inspect"}, args...)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("inspect: %v: %s%s", err, out, errs.String())
	}
	for _, want := range []string{"verified: ", "EncryptedExtensions", "KeyUpdate", "client_application_traffic_secret_2", "resumption_secret"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is not in what it says:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "could not be opened") {
		t.Errorf("not all was opened:\n%s", out)
	}
	return string(out)
}

// TestInspectPeers inspects the servers of OpenSSL and GnuTLS.
func TestInspectPeers(t *testing.T) {
	t.Parallel()
	for _, peer := range []struct {
		name  string
		probe *probe
		args  func(c cell, t *testing.T, port string) (path string, args []string)
	}{
		{openssl, opensslProbe(), func(c cell, t *testing.T, port string) (string, []string) {
			return opensslProbe().path, append([]string{"s_server", "-accept", "127.0.0.1:" + port, "-quiet"}, c.opensslArgs(t)...)
		}},
		{gnutls, gnutlsProbe(), func(c cell, t *testing.T, port string) (string, []string) {
			path := strings.TrimSuffix(gnutlsProbe().path, "-cli") + "-serv"
			return path, append(c.gnutlsArgs(t), "--port", port)
		}},
	} {
		t.Run(peer.name, func(t *testing.T) {
			peer.probe.require(t, peer.name)
			for _, suite := range suites {
				c := cell{peer: peer.name, role: asServer, suite: suite, group: tls.X25519, auth: x509Server, key: ecdsaP256, with: "mayfly inspect"}
				t.Run(c.name(), func(t *testing.T) {
					matrix.record(t, c)
					var port string
					path, _ := peer.args(c, t, "0")
					_, probing := startServer(t, path, func(p string) []string {
						port = p
						_, args := peer.args(c, t, p)
						return args
					})
					_ = probing.Close()
					said := inspect(t, "127.0.0.1:"+port, "--ca", keys.caFile, "--name", serverName, "--rekeys", "2")
					if !strings.Contains(said, tls.CipherSuiteName(suite)+" (") {
						t.Errorf("the suite is not named:\n%s", said)
					}
				})
			}
		})
	}
}

// TestInspectPage has a browser load the page, in light and in dark, and asks it what is
// drawn there.
func TestInspectPage(t *testing.T) {
	t.Parallel()
	chromiumProbe().require(t, chromium)
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	host, _ := serveHTTP(t, id)
	page := filepath.Join(t.TempDir(), "page.html")
	inspect(t, host, "--peer", id.Pin().String(), "--rekeys", "2", "--alpn", "h2", "--html", page)

	b := startBrowser(t)
	tab := b.open("about:blank")
	b.await(tab, "Page.loadEventFired", func(json.RawMessage) bool { return true })
	b.call(tab, "Log.enable", nil)
	b.call(tab, "Runtime.enable", nil)
	b.call(tab, "Page.navigate", map[string]any{"url": (&url.URL{Scheme: "file", Path: filepath.ToSlash(page)}).String()})
	b.await(tab, "Page.loadEventFired", func(json.RawMessage) bool { return true })

	const drawn = `JSON.stringify({
		messages: document.querySelectorAll("svg .message").length,
		explained: document.querySelectorAll("details.shown").length,
		linked: [...document.querySelectorAll("svg .message")].filter(a => document.querySelector(a.getAttribute("href"))).length,
		lives: document.querySelectorAll("svg .life").length,
		keys: document.querySelectorAll("svg .life.key").length,
		clipped: [...document.querySelectorAll("svg text")].filter(t => {
			const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();
			return a.left < b.left || a.right > b.right || a.top < b.top || a.bottom > b.bottom;
		}).map(t => t.textContent),
		wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
		bytes: [...document.querySelectorAll("details.shown")].filter(d => d.querySelector(".name").textContent == "ClientHello")
			.map(d => [...d.querySelectorAll(".map span")].map(s => s.textContent.trim().split(" ").length).reduce((a, b) => a + b, 0)),
		says: document.querySelector("#outcome").textContent,
	})`
	var got struct {
		Messages, Explained, Linked, Lives, Keys int
		Wide                                     bool
		Bytes                                    []int
		Says                                     string
		Clipped                                  []string
	}
	if err := json.Unmarshal([]byte(b.evaluate(tab, drawn)), &got); err != nil {
		t.Fatal(err)
	}
	// Two sets of keys of the handshake, three of the client's and at least one of the
	// server's.
	if got.Messages < 10 || got.Explained != got.Messages || got.Linked != got.Messages || got.Keys < 6 || got.Lives < got.Keys+10 || got.Wide || len(got.Clipped) > 0 || len(got.Bytes) != 1 || got.Bytes[0] < 1200 || !strings.Contains(got.Says, "verified") {
		t.Errorf("%+v", got)
	}

	ground := make(map[string]string)
	for _, scheme := range []string{"light", "dark"} {
		b.call(tab, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}})
		ground[scheme] = b.evaluate(tab, `getComputedStyle(document.body).backgroundColor + " " + getComputedStyle(document.body).color`)
	}
	if ground["light"] != "rgb(251, 250, 247) rgb(29, 33, 41)" || ground["dark"] != "rgb(18, 21, 26) rgb(229, 232, 238)" {
		t.Errorf("%v", ground)
	}
	for _, m := range b.told {
		switch m.Method {
		case "Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled":
			t.Errorf("%s: %s", m.Method, m.Params)
		case "Network.requestWillBeSent":
			if !bytes.Contains(m.Params, []byte(`"url":"file:`)) && !bytes.Contains(m.Params, []byte(`"url":"data:`)) && !bytes.Contains(m.Params, []byte(`"url":"about:`)) {
				t.Errorf("it asks for %s", m.Params)
			}
		}
	}
}

// evaluate returns the string that an expression gives on a page.
func (b *browser) evaluate(session, expression string) string {
	b.t.Helper()
	var value struct{ Result struct{ Value string } }
	if err := json.Unmarshal(b.call(session, "Runtime.evaluate", map[string]any{"expression": expression}), &value); err != nil {
		b.t.Fatal(err)
	}
	return value.Result.Value
}
