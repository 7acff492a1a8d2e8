// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyhttp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflyhttp"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// serve runs a server that answers with what it saw of the request.
func serve(t *testing.T, protos []string) (url string, client *mayfly.Config, srv *http.Server, done <-chan error) {
	t.Helper()
	cc, sc := mayflytest.Configs(t)
	sc.NextProtos = protos
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
	if err != nil {
		t.Fatal(err)
	}
	srv = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, ok := mayfly.PeerFromContext(r.Context())
		if r.URL.Path == "/echo" {
			_, _ = io.Copy(w, r.Body)
			return
		}
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
			return
		}
		fmt.Fprintf(w, "%s tls13=%t peer=%t/%s", r.Proto, r.TLS != nil && r.TLS.Version == tls.VersionTLS13, ok, peer.Pin)
	})}
	ch := make(chan error, 1)
	go func() { ch <- mayflyhttp.Serve(srv, ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return "https://" + ln.Addr().String(), cc, srv, ch
}

func TestHTTP(t *testing.T) {
	for _, test := range []struct {
		name           string
		server, client []string
		want           string
	}{
		{"HTTP1 without ALPN", nil, nil, "HTTP/1.1"},
		{"HTTP1", []string{"http/1.1"}, nil, "HTTP/1.1"},
		{"HTTP2", mayflyhttp.NextProtos(), nil, "HTTP/2.0"},
		{"HTTP1 wanted by the client", mayflyhttp.NextProtos(), []string{"http/1.1"}, "HTTP/1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url, cc, srv, done := serve(t, test.server)
			cc.NextProtos = test.client
			tr := mayflyhttp.Transport(&mayfly.Dialer{Config: cc})
			defer tr.CloseIdleConnections()
			client := &http.Client{Transport: tr}
			for range 3 {
				resp, err := client.Get(url)
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				want := fmt.Sprintf("%s tls13=true peer=true/%s", test.want, cc.Identity.Pin())
				if err != nil || string(b) != want {
					t.Fatalf("got %q, %v, want %q", b, err, want)
				}
				if resp.TLS == nil || resp.TLS.Version != tls.VersionTLS13 {
					t.Error("Response.TLS is not filled")
				}
			}
			body := bytes.Repeat([]byte("mayfly"), 100_000)
			resp, err := client.Post(url+"/echo", "text/plain", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || !bytes.Equal(b, body) {
				t.Fatalf("echo: %d bytes, %v", len(b), err)
			}
			tr.CloseIdleConnections()
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-done; err != http.ErrServerClosed {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

// TestOnlyHTTPS shows that neither a URL nor a redirection leaves the channel.
func TestOnlyHTTPS(t *testing.T) {
	url, cc, _, _ := serve(t, mayflyhttp.NextProtos())
	tr := mayflyhttp.Transport(&mayfly.Dialer{Config: cc})
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	if _, err := client.Get(strings.Replace(url, "https", "http", 1)); err == nil {
		t.Error("a plain URL was fetched")
	}
	if _, err := client.Get(url + "/away"); err == nil {
		t.Error("a redirection to a plain URL was followed")
	}
	if resp, err := client.Get(url); err != nil {
		t.Error(err)
	} else {
		_ = resp.Body.Close()
	}
}

func TestCanceled(t *testing.T) {
	url, cc, _, _ := serve(t, nil)
	tr := mayflyhttp.Transport(&mayfly.Dialer{Config: cc})
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.RoundTrip(req); err == nil {
		t.Error("no error")
	}
}
