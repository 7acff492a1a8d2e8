// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflyhttp"
)

const chromium = "Chromium"

var chromiumProbe = sync.OnceValue(func() *probe {
	p := lookFor("chromium", "--version")
	if _, version, ok := strings.Cut(p.said, "Chromium "); ok { // behind what its script may say
		p.version, _, _ = strings.Cut(version, " ")
	}
	return p
})

// TestChromium has a browser without a window load a page, and asks it what it
// negotiated.
func TestChromium(t *testing.T) {
	t.Parallel()
	chromiumProbe().require(t, chromium)
	c := cell{peer: chromium, role: asClient, suite: tls.TLS_AES_128_GCM_SHA256, group: tls.X25519MLKEM768, auth: x509Server, key: ecdsaP256, with: "HTTP/2"}
	t.Run(c.name(), func(t *testing.T) {
		matrix.record(t, c)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		id, err := mayfly.NewIdentity(key)
		if err != nil {
			t.Fatal(err)
		}
		host, seen := serveHTTP(t, id)
		b := startBrowser(t, "--ignore-certificate-errors-spki-list="+strings.TrimPrefix(id.Pin().String(), "sha256//"))
		url := "https://" + host + "/page"
		page := b.open(url)
		var got struct {
			Response struct {
				Status   int
				Protocol string
				Security struct{ Protocol, KeyExchangeGroup, Cipher string } `json:"securityDetails"`
			}
		}
		b.await(page, "Network.responseReceived", func(params json.RawMessage) bool {
			return bytes.Contains(params, []byte(`"url":"`+url+`"`)) && json.Unmarshal(params, &got) == nil
		})
		r := got.Response
		if r.Status != 200 || r.Protocol != "h2" || r.Security.Protocol != "TLS 1.3" || r.Security.KeyExchangeGroup != "X25519MLKEM768" || r.Security.Cipher != "AES_128_GCM" {
			t.Errorf("%s says %+v", chromium, r)
		}
		b.await(page, "Page.loadEventFired", func(json.RawMessage) bool { return true })
		var value struct{ Result struct{ Value string } }
		if err := json.Unmarshal(b.call(page, "Runtime.evaluate", map[string]any{"expression": "document.body.textContent"}), &value); err != nil {
			t.Fatal(err)
		}
		if value.Result.Value != "read by a browser" {
			t.Errorf("the page says %q", value.Result.Value)
		}
		if state := <-seen; state.NegotiatedProtocol != "h2" || state.CurveID != tls.X25519MLKEM768 || state.ServerName != "localhost" {
			t.Errorf("the server knows %+v", state)
		}
	})
}

// serveHTTP serves a page, and tells of the connection by which it is first asked for.
func serveHTTP(t *testing.T, id *mayfly.Identity) (host string, seen <-chan tls.ConnectionState) {
	t.Helper()
	cert, err := id.SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Certificates: []tls.Certificate{cert}, Peers: mayfly.NoClientAuth(), NextProtos: mayflyhttp.NextProtos(),
	})
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan tls.ConnectionState, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/page" {
			http.NotFound(w, r)
			return
		}
		select {
		case states <- *r.TLS:
		default:
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>mayfly</title><body>read by a browser</body>")
	})}
	done := make(chan error, 1)
	go func() { done <- mayflyhttp.Serve(srv, ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "localhost:" + port, states
}

// A browser is asked by the DevTools protocol, over two pipes.
type browser struct {
	t    *testing.T
	in   io.Writer
	out  *bufio.Reader
	last int
	told []message // events that nobody has waited for yet
}

type message struct {
	ID        int
	SessionID string `json:"sessionId"`
	Method    string
	Params    json.RawMessage
	Result    json.RawMessage
	Error     *struct{ Message string }
}

func startBrowser(t *testing.T, args ...string) *browser {
	t.Helper()
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(chromiumProbe().path, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--remote-debugging-pipe", "--user-data-dir=" + dir,
	}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	// Wait waits until none of its processes can write here, nor to its files.
	cmd.Stderr, cmd.WaitDelay = io.Discard, patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	b := &browser{t: t, in: ourOut, out: bufio.NewReader(ourIn)}
	t.Cleanup(func() {
		stuck := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer stuck.Stop()
		// It ends by itself, and what it still writes to its files with it.
		_, _ = io.WriteString(ourOut, `{"id":1000000,"method":"Browser.close"}`+"\x00")
		_, _ = io.Copy(io.Discard, ourIn)
		_, _ = ourOut.Close(), ourIn.Close()
		_ = cmd.Wait()
	})
	return b
}

// open opens a page, and has the browser tell of its network.
func (b *browser) open(url string) (session string) {
	b.t.Helper()
	var target struct{ TargetID string }
	var attached struct{ SessionID string }
	for _, step := range []struct {
		method string
		params any
		result any
	}{
		{"Target.createTarget", map[string]any{"url": "about:blank"}, &target},
		{"Target.attachToTarget", nil, &attached},
	} {
		if step.params == nil {
			step.params = map[string]any{"targetId": target.TargetID, "flatten": true}
		}
		if err := json.Unmarshal(b.call("", step.method, step.params), step.result); err != nil {
			b.t.Fatal(err)
		}
	}
	session = attached.SessionID
	b.call(session, "Network.enable", nil)
	b.call(session, "Page.enable", nil)
	b.call(session, "Page.navigate", map[string]any{"url": url})
	return session
}

// call asks for something, and waits for the answer.
func (b *browser) call(session, method string, params any) json.RawMessage {
	b.t.Helper()
	b.last++
	text, err := json.Marshal(map[string]any{"id": b.last, "method": method, "params": params})
	if err == nil && session != "" {
		text = fmt.Appendf(text[:len(text)-1], `,"sessionId":%q}`, session)
	}
	if err == nil {
		_, err = b.in.Write(append(text, 0))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	for {
		m := b.read()
		switch {
		case m.ID != b.last:
			b.told = append(b.told, m)
		case m.Error != nil:
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		default:
			return m.Result
		}
	}
}

// await waits for an event.
func (b *browser) await(session, method string, fits func(json.RawMessage) bool) {
	b.t.Helper()
	for {
		for i, m := range b.told {
			if m.SessionID == session && m.Method == method && fits(m.Params) {
				b.told = append(b.told[:i], b.told[i+1:]...)
				return
			}
		}
		b.told = append(b.told, b.read())
	}
}

func (b *browser) read() (m message) {
	b.t.Helper()
	text, err := b.out.ReadBytes(0)
	if err != nil {
		b.t.Fatal("the browser has ended: ", err)
	}
	if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
		b.t.Fatal(err)
	}
	return m
}
