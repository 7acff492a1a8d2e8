// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflymetrics_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mayfly-tls/mayfly"
	mayflymetrics "github.com/mayfly-tls/mayfly/contrib/metrics"
)

// A bench is a server that echoes, and what a scraper sees of it and of its clients.
type bench struct {
	t        *testing.T
	registry *prometheus.Registry
	trace    *mayfly.Trace
	addr     string
	id       *mayfly.Identity // the server's
	roots    *x509.CertPool
	served   chan error // of each connection, when it is closed
}

func newBench(t *testing.T, next *mayfly.Trace) *bench {
	t.Helper()
	registry := prometheus.NewRegistry()
	m, err := mayflymetrics.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned("server.example")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, registry: registry, trace: m.Trace(next), id: id, roots: x509.NewCertPool(), served: make(chan error, 16)}
	b.roots.AddCert(leaf)
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Identity: id, Certificates: []tls.Certificate{cert},
		Peers: mayfly.NoClientAuth(), TicketKeys: mayfly.NewTicketRing(mayfly.GenerateSealingKey()), Trace: b.trace,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.addr = ln.Addr().String()
	done := make(chan bool)
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, err := io.Copy(c, c)
				_ = c.Close()
				b.served <- err
			}()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return b
}

// scrape is what Prometheus would get, without the histograms' buckets and sums.
func (b *bench) scrape() map[string]string {
	b.t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(b.registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	said := make(map[string]string)
	for line := range strings.Lines(w.Body.String()) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndex(line, "} "); i >= 0 {
			name, value = line[:i+1], strings.TrimSpace(line[i+2:])
		}
		if ok && name != "#" && !strings.Contains(name, "_bucket") && !strings.Contains(name, "_sum") {
			said[name] = value
		}
	}
	return said
}

// expect compares what is scraped with what should be.
func (b *bench) expect(want map[string]string) {
	b.t.Helper()
	got := b.scrape()
	for name, value := range want {
		if got[name] != value {
			b.t.Errorf("%s is %q, want %s", name, got[name], value)
		}
	}
	for name, value := range got {
		if _, ok := want[name]; !ok && value != "0" {
			b.t.Errorf("%s is %s", name, value)
		}
	}
}

// config is a client's, that knows the server by its key.
func (b *bench) config() *mayfly.Config {
	return &mayfly.Config{ServerName: "server.example", Peers: mayfly.Pins(b.id.Pin()), Trace: b.trace, CurvePreferences: []tls.CurveID{tls.X25519}}
}

func (b *bench) dial(config *mayfly.Config) *mayfly.Conn {
	b.t.Helper()
	c, err := mayfly.Dial("tcp", b.addr, config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.echo(c)
	return c
}

func (b *bench) echo(c net.Conn) {
	b.t.Helper()
	if _, err := c.Write([]byte("hello")); err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		b.t.Fatal(err)
	}
}

const suite, group = "TLS_AES_128_GCM_SHA256", "X25519"

// TestMetrics counts both sides of connections of every fate.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	config := b.config()
	config.Sessions = mayfly.NewSessionCache(0)
	config.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256}
	for range 2 { // the second is resumed
		c := b.dial(config)
		if got := b.scrape(); got[`mayfly_keys{direction="sending"}`] != "2" || got[`mayfly_keys{direction="receiving"}`] != "2" {
			t.Errorf("keys of two open ends: %v", got)
		}
		if err := c.Rekey(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.echo(c)
		_ = c.Close()
		if err := <-b.served; err != nil {
			t.Error(err)
		}
	}
	want := map[string]string{
		`mayfly_handshakes_total{result="full",role="client"}`:                                "1",
		`mayfly_handshakes_total{result="full",role="server"}`:                                "1",
		`mayfly_handshakes_total{result="resumed",role="client"}`:                             "1",
		`mayfly_handshakes_total{result="resumed",role="server"}`:                             "1",
		`mayfly_handshake_seconds_count{kind="full",role="client"}`:                           "1",
		`mayfly_handshake_seconds_count{kind="full",role="server"}`:                           "1",
		`mayfly_handshake_seconds_count{kind="resumed",role="client"}`:                        "1",
		`mayfly_handshake_seconds_count{kind="resumed",role="server"}`:                        "1",
		fmt.Sprintf(`mayfly_negotiated_total{group=%q,role="client",suite=%q}`, group, suite): "2",
		fmt.Sprintf(`mayfly_negotiated_total{group=%q,role="server",suite=%q}`, group, suite): "2",
		`mayfly_rekeys_total{direction="sending",reason="asked"}`:                             "2",
		`mayfly_rekeys_total{direction="sending",reason="owed"}`:                              "2",
		`mayfly_rekeys_total{direction="receiving",reason="peer"}`:                            "4",
		`mayfly_closed_total{cause="closed"}`:                                                 "4",
	}
	b.expect(want)
}

// TestFailures counts a server that is refused, a handshake that is given up, and a
// connection that is cut, with clients of crypto/tls among them.
func TestFailures(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 16) // hooks of the application's own go on being called
	b := newBench(t, &mayfly.Trace{Closed: func(_ context.Context, info mayfly.CloseInfo) { closed <- info.Err }})
	wrong := b.config()
	wrong.Peers = mayfly.Pins(mayfly.Pin{1})
	if _, err := mayfly.Dial("tcp", b.addr, wrong); !errors.Is(err, mayfly.ErrPeerRefused) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	raw, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := mayfly.Client(raw, b.config())
	if err := c.HandshakeContext(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_ = c.Close()
	theirs, err := tls.Dial("tcp", b.addr, &tls.Config{ServerName: "server.example", RootCAs: b.roots, CurvePreferences: []tls.CurveID{tls.X25519}})
	if err != nil {
		t.Fatal(err)
	}
	b.echo(theirs)
	_ = theirs.NetConn().Close() // without a word
	if err := <-b.served; !errors.Is(err, mayfly.ErrTruncated) {
		t.Error(err)
	}
	if _, err := tls.Dial("tcp", b.addr, &tls.Config{ServerName: "other.example", RootCAs: b.roots}); err == nil {
		t.Error("crypto/tls takes a wrong name")
	}
	if _, err := tls.Dial("tcp", b.addr, &tls.Config{ServerName: "server.example", RootCAs: b.roots, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 was spoken")
	}
	for range 1 + 5 { // the client that began a handshake, and the server's ends
		<-closed
	}
	b.expect(map[string]string{
		`mayfly_handshakes_total{result="full",role="server"}`:                                "1",
		`mayfly_handshakes_total{result="access_denied",role="client"}`:                       "1",
		`mayfly_handshakes_total{result="access_denied",role="server"}`:                       "1",
		`mayfly_handshakes_total{result="truncated",role="server"}`:                           "1",
		`mayfly_handshakes_total{result="bad_certificate",role="server"}`:                     "1",
		`mayfly_handshakes_total{result="protocol_version",role="server"}`:                    "1",
		`mayfly_handshake_seconds_count{kind="full",role="server"}`:                           "1",
		fmt.Sprintf(`mayfly_negotiated_total{group=%q,role="server",suite=%q}`, group, suite): "1",
		`mayfly_alerts_total{alert="access_denied",direction="sent"}`:                         "1",
		`mayfly_alerts_total{alert="access_denied",direction="received"}`:                     "1",
		`mayfly_alerts_total{alert="bad_certificate",direction="received"}`:                   "1",
		`mayfly_alerts_total{alert="protocol_version",direction="sent"}`:                      "1",
		`mayfly_closed_total{cause="closed"}`:                                                 "2",
		`mayfly_closed_total{cause="access_denied"}`:                                          "2",
		`mayfly_closed_total{cause="bad_certificate"}`:                                        "1",
		`mayfly_closed_total{cause="protocol_version"}`:                                       "1",
	})
}

// TestTurnedAway counts what a Listener turns away, and a session store that fails.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m, err := mayflymetrics.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, registry: registry}
	var called []string
	trace := m.Trace(&mayfly.Trace{
		AcceptError:  func(context.Context, mayfly.AcceptErrorInfo) { called = append(called, "accept") },
		SessionError: func(context.Context, mayfly.SessionErrorInfo) { called = append(called, "session") },
	})
	trace.AcceptError(t.Context(), mayfly.AcceptErrorInfo{RemoteAddr: &net.TCPAddr{}, Err: io.EOF})
	trace.AcceptError(t.Context(), mayfly.AcceptErrorInfo{Err: io.EOF})
	trace.SessionError(t.Context(), mayfly.SessionErrorInfo{Action: "put", Err: io.EOF})
	trace.HandshakeDone(t.Context(), mayfly.HandshakeInfo{Err: mayfly.ErrHandshakeTimeout, HelloRetry: true})
	trace.HandshakeDone(t.Context(), mayfly.HandshakeInfo{Err: io.ErrClosedPipe})
	trace.Closed(t.Context(), mayfly.CloseInfo{Err: mayfly.ErrDetached})
	trace.Closed(t.Context(), mayfly.CloseInfo{Err: mayfly.ErrLifetime})
	b.expect(map[string]string{
		`mayfly_turned_away_total{reason="limit"}`:                "1",
		`mayfly_turned_away_total{reason="accept"}`:               "1",
		`mayfly_session_errors_total{action="put"}`:               "1",
		`mayfly_handshake_retries_total{role="client"}`:           "1",
		`mayfly_handshakes_total{result="timeout",role="client"}`: "1",
		`mayfly_handshakes_total{result="other",role="client"}`:   "1",
		`mayfly_closed_total{cause="handed_on"}`:                  "1",
		`mayfly_closed_total{cause="lifetime"}`:                   "1",
	})
	if want := []string{"accept", "accept", "session"}; !slices.Equal(called, want) {
		t.Errorf("the application's hooks: %v", called)
	}
}

// TestRegistered registers twice: the second fails, and leaves the first as it was.
func TestRegistered(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	taken := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mayfly_closed_total", Help: "Connections that were closed, by what had ended them."}, []string{"cause"})
	registry.MustRegister(taken)
	if _, err := mayflymetrics.New(registry); err == nil {
		t.Error("a name that is taken was registered")
	}
	registry.Unregister(taken)
	if _, err := mayflymetrics.New(registry); err != nil {
		t.Error("what failed has left something behind:", err)
	}
	if _, err := mayflymetrics.New(registry); err == nil {
		t.Error("registered twice")
	}
}

// A server counts what happens, and Prometheus asks it.
func Example() {
	m, err := mayflymetrics.New(prometheus.DefaultRegisterer)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /metrics", promhttp.Handler()) // on an address for administrators
	config := &mayfly.Config{
		// Identity, Peers and so on
		Trace: m.Trace(nil),
	}
	fmt.Println(config.Trace.HandshakeDone != nil)
	// Output: true
}
