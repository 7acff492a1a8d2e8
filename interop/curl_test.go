// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflyhttp"
)

const curl = "curl"

// TestCurl has curl send to and fetch from an HTTP server on our listener.
func TestCurl(t *testing.T) {
	t.Parallel()
	curlProbe().require(t, curl)
	matrix.add(cell{peer: curl, role: asServer, auth: authentication{name: "every"}, key: ecdsaP256}, "skipped: curl is no server")
	for _, auth := range []authentication{x509Server, x509Mutual, x509Pinned, x509PinnedBoth} {
		for _, group := range groups {
			c := cell{peer: curl, role: asClient, group: group, auth: auth, key: ecdsaP256}
			if reason := curlLacks(group); reason != "" {
				matrix.add(c, "skipped: "+reason)
				continue
			}
			for _, c.suite = range suites {
				c.run(t, tryCurl)
			}
		}
	}
	c := cell{peer: curl, role: asClient, suite: suites[0], group: tls.CurveP256, auth: x509Server, key: ecdsaP256}
	c.retry, c.with = true, "HelloRetryRequest"
	c.run(t, tryCurl)
	c.retry, c.with = false, "HTTP/2"
	c.run(t, tryCurlHTTP2)
	c.auth, c.with = x509Pinned, "SelfSigned of an Identity"
	for _, c.key = range []keyKind{ecdsaP256, edwards} {
		c.run(t, tryCurlRawKey)
	}
	c.key = ecdsaP256
	c.auth, c.with = x509Pinned, "another pin: refused"
	c.run(t, tryCurlWrongPin)
}

func curlLacks(group tls.CurveID) string {
	_, rest, _ := strings.Cut(curlProbe().version, " OpenSSL/")
	version, _, _ := strings.Cut(rest, " ")
	if group == tls.X25519MLKEM768 && !atLeast(version, 3, 5, 0) {
		return fmt.Sprintf("curl with OpenSSL %s has no X25519MLKEM768 (3.5 has)", version)
	}
	return ""
}

func tryCurl(t *testing.T, c cell) {
	s := c.serveHTTP(t, c.ours(t))
	_, them := c.identities(t)
	version := s.curl(t, c, them, "--http1.1")
	if version != "1.1" {
		t.Errorf("curl speaks HTTP/%s", version)
	}
	s.check(t, c)
}

// An httpServer is an HTTP server on our listener, for one request.
type httpServer struct {
	port  string
	conns chan *watchedConn
}

// serveHTTP starts a server that takes the peer's bulk data and answers with ours.
func (c cell) serveHTTP(t *testing.T, cfg *mayfly.Config) *httpServer {
	t.Helper()
	s := &httpServer{conns: make(chan *watchedConn, 1)}
	srv := &http.Server{Handler: http.HandlerFunc(answer)}
	ln := s.listen(t, cfg)
	go srv.Serve(watchingListener{ln, s.conns})
	t.Cleanup(func() { srv.Close() })
	return s
}

// listen listens on a free port.
func (s *httpServer) listen(t *testing.T, cfg *mayfly.Config) *mayfly.Listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	if _, s.port, err = net.SplitHostPort(inner.Addr().String()); err != nil {
		t.Fatal(err)
	}
	ln, err := mayfly.NewListener(tapListener{inner}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func answer(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil || r.TLS.Version != tls.VersionTLS13 {
		http.Error(w, "the request came without TLS", http.StatusInternalServerError)
		return
	}
	if err := receive("the server", r.Body, fromThem()); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(fromUs())
}

// curl runs curl, checks what it fetched, and returns the version of HTTP.
func (s *httpServer) curl(t *testing.T, c cell, them *identity, more ...string) string {
	t.Helper()
	send := filepath.Join(t.TempDir(), "send")
	if err := os.WriteFile(send, fromThem(), 0o600); err != nil {
		t.Fatal(err)
	}
	fetched := filepath.Join(t.TempDir(), "fetched")
	args := append(s.curlArgs(t, c, them), more...)
	args = append(args, "--data-binary", "@"+send, "--output", fetched, "--write-out", "%{http_version} %{response_code}")
	p := start(t, curlProbe().path, append(args, s.url())...)
	out, _ := io.ReadAll(p)
	if err := p.Finish(); err != nil {
		t.Fatalf("%v: %s", err, p.stderr)
	}
	version, code, _ := strings.Cut(string(out), " ")
	if code != "200" {
		t.Fatalf("curl got the answer %q", out)
	}
	f, err := os.Open(fetched)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := receive(curl, f, fromUs()); err != nil {
		t.Fatal(err)
	}
	return version
}

func (s *httpServer) url() string { return "https://" + net.JoinHostPort(serverName, s.port) + "/" }

func (s *httpServer) curlArgs(t *testing.T, c cell, them *identity) []string {
	t.Helper()
	us, _ := c.identities(t)
	args := []string{
		"--disable", "--silent", "--show-error", "--noproxy", "*", "--max-time", fmt.Sprint(patience.Seconds()),
		"--resolve", net.JoinHostPort(serverName, s.port) + ":127.0.0.1",
		"--tlsv1.3", "--tls13-ciphers", tls.CipherSuiteName(c.suite), "--curves", opensslGroups(c.theirGroups()),
	}
	if c.auth.pin {
		// The pin in the place of the authority, which is not asked.
		args = append(args, "--insecure", "--pinnedpubkey", us.pin)
	} else {
		args = append(args, "--cacert", keys.caFile)
	}
	if c.auth.client == certificate {
		args = append(args, "--cert", them.certFile, "--key", them.keyFile)
	}
	return args
}

// tryCurlHTTP2 has curl and mayflyhttp agree on HTTP/2.
func tryCurlHTTP2(t *testing.T, c cell) {
	cfg := c.ours(t)
	cfg.NextProtos = mayflyhttp.NextProtos()
	s := new(httpServer)
	srv := &http.Server{Handler: http.HandlerFunc(answer)}
	ln := s.listen(t, cfg)
	go mayflyhttp.Serve(srv, ln)
	t.Cleanup(func() { srv.Close() })
	_, them := c.identities(t)
	if version := s.curl(t, c, them, "--http2"); version != "2" {
		t.Errorf("curl speaks HTTP/%s", version)
	}
}

// tryCurlRawKey has curl recognise the key of an Identity, in the certificate
// that it makes for programs that know no raw keys.
func tryCurlRawKey(t *testing.T, c cell) {
	us, them := c.identities(t)
	id, err := mayfly.NewIdentity(us.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.ours(t)
	cfg.Identity, cfg.Certificates = id, []tls.Certificate{cert}
	s := c.serveHTTP(t, cfg)
	s.curl(t, c, them, "--http1.1")
	s.check(t, c)
}

// check checks the one connection that curl made, and how it ended.
func (s *httpServer) check(t *testing.T, c cell) {
	t.Helper()
	var w *watchedConn
	select {
	case w = <-s.conns:
	case <-time.After(patience):
		t.Fatal("no connection was accepted")
	}
	c.check(t, w.Conn, tapOf(w.Conn))
	select {
	case err := <-w.ended:
		if err != io.EOF {
			t.Errorf("the last Read: %v, want io.EOF", err)
		}
	case <-time.After(patience):
		t.Error("the connection has no end")
	}
}

// tryCurlWrongPin checks that curl, which has another key's pin, turns us away.
func tryCurlWrongPin(t *testing.T, c cell) {
	s := c.serveHTTP(t, c.ours(t))
	_, them := c.identities(t)
	args := append(s.curlArgs(t, c, them), "--pinnedpubkey", them.pin, s.url())
	p := start(t, curlProbe().path, args...)
	<-p.exited
	const pinnedKeyNotMatched = "exit status 90"
	if p.err == nil || p.err.Error() != pinnedKeyNotMatched {
		t.Errorf("curl with another key's pin: %v, want %s", p.err, pinnedKeyNotMatched)
	}
}

// A tapListener taps the connections that it accepts.
type tapListener struct{ net.Listener }

func (l tapListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tapped(c), nil
}

// A watchingListener tells of the connections that it accepts.
type watchingListener struct {
	*mayfly.Listener
	conns chan<- *watchedConn
}

func (l watchingListener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	w := &watchedConn{Conn: c, ended: make(chan error, 1)}
	select {
	case l.conns <- w:
	default: // nobody asks for more than the first
	}
	return w, nil
}

// A watchedConn tells how its reading ended.
type watchedConn struct {
	*mayfly.Conn
	ended chan error
}

func (w *watchedConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil && !isTimeout(err) {
		select {
		case w.ended <- err:
		default:
		}
	}
	return n, err
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
