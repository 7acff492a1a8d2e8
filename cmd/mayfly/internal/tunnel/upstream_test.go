// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// scriptedProxy is a proxy that reads CONNECT, and answers with a text.
func scriptedProxy(t *testing.T, answer func(*http.Request, net.Conn)) *Upstream {
	t.Helper()
	ln := listen(t, Address{"tcp", "127.0.0.1:0"})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					answer(req, c)
					_, _ = io.Copy(io.Discard, c) // until the client has closed
				}
			}()
		}
	}()
	p, err := ParseUpstream("http://user:pass%20word@" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestUpstreamAsksByCONNECT shows the request that a proxy gets, and that interim
// responses and header fields of its answer are passed over.
func TestUpstreamAsksByCONNECT(t *testing.T) {
	requests := make(chan *http.Request, 1)
	p := scriptedProxy(t, func(req *http.Request, c net.Conn) {
		requests <- req
		_, _ = io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 Connection established\r\nVia: proxy\r\nContent-Length: 5\r\n\r\n")
	})
	c, err := p.dial(t.Context(), "db.test:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, ok := c.(*net.TCPConn); !ok {
		t.Errorf("the connection is a %T, which no other process can take over", c)
	}
	req := <-requests
	user, password, _ := parseBasic(req.Header.Get("Proxy-Authorization"))
	if req.Method != http.MethodConnect || req.RequestURI != "db.test:7000" || req.Host != "db.test:7000" || user != "user" || password != "pass word" || len(req.Header) != 1 {
		t.Errorf("the proxy was asked: %s %s, host %s, user %q, header fields %v", req.Method, req.RequestURI, req.Host, user, req.Header)
	}
}

func parseBasic(value string) (user, password string, ok bool) {
	r := http.Request{Header: http.Header{"Authorization": {value}}}
	return r.BasicAuth()
}

// TestUpstreamDistrustsTheProxy has a proxy answer what it must not. Nothing that it sent
// is in the error, and nothing of it is taken for the server's data.
func TestUpstreamDistrustsTheProxy(t *testing.T) {
	for _, c := range []struct{ name, answer, says string }{
		{"it wants a password", "HTTP/1.1 407 \x1b[31mEVIL\r\nProxy-Authenticate: Basic realm=EVIL\r\n\r\n", "407 Proxy Authentication Required"},
		{"it does not reach the server", "HTTP/1.1 502 EVIL\r\n\r\n", "refuses to connect to db.test:7000: 502 Bad Gateway"},
		{"it redirects", "HTTP/1.1 302 EVIL\r\nLocation: http://EVIL/\r\n\r\n", "302 Found"},
		{"it switches protocols", "HTTP/1.1 101 EVIL\r\nUpgrade: EVIL\r\n\r\n", "101 Switching Protocols"},
		{"it sends data of its own", "HTTP/1.1 200 OK\r\n\r\nEVIL", "data behind its answer"},
		{"it does not speak HTTP", "EVIL\r\n\r\n", "not HTTP"},
		{"its answer has no end", "HTTP/1.1 200 OK\r\nEVIL: " + strings.Repeat("EVIL", maxProxyAnswer), "cannot be read"},
		{"its fields have no end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("EVIL: EVIL\r\n", maxProxyAnswer), "cannot be read"},
		{"it only processes", strings.Repeat("HTTP/1.1 102 EVIL\r\n\r\n", 1000), "too many interim responses"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := scriptedProxy(t, func(_ *http.Request, conn net.Conn) { _, _ = io.WriteString(conn, c.answer) })
			_, err := p.dial(t.Context(), "db.test:7000")
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "EVIL") {
				t.Errorf("the error is %q; want one that says %q", err, c.says)
			}
			if _, ok := errors.AsType[*upstreamError](err); !ok {
				t.Errorf("%T is not counted as a server that was not reached", err)
			}
		})
	}
}

// TestUpstreamIsBoundedByContext has proxies that are silent: the context ends the wait.
func TestUpstreamIsBoundedByContext(t *testing.T) {
	for _, scheme := range []string{"http", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			ln := listen(t, Address{"tcp", "127.0.0.1:0"})
			p, err := ParseUpstream(fmt.Sprintf("%s://%s", scheme, ln.Addr()))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = io.ReadAtLeast(c, make([]byte, 3), 3)
				cancel()
				_, _ = io.Copy(io.Discard, c) // the client closes
			}()
			if _, err := p.dial(ctx, "db.test:7000"); !errors.Is(err, context.Canceled) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestParseUpstream refuses what is no proxy, in words without the password.
func TestParseUpstream(t *testing.T) {
	for _, s := range []string{"http://proxy:3128", "http://u:secret@proxy:3128/", "socks5://proxy:1080", "socks5h://u:secret@[::1]:1080"} {
		if p, err := ParseUpstream(s); err != nil || strings.Contains(fmt.Sprintf("%v %+v", p, p), "secret") {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	for _, s := range []string{
		"", "proxy:3128", "http://u:secret@proxy", "http://u:secret@:3128", "https://u:secret@proxy:443", "socks4://u:secret@proxy:1080",
		"http://u:secret@proxy:0x50", "http://u:secret@proxy:70000", "http://u:secret@proxy:80/path", "http://u:secret@proxy:80?q", "http://u:secret%zz@proxy:80",
		"socks5://:secret@proxy:1080", "socks5://u:" + strings.Repeat("secret", 50) + "@proxy:1080",
	} {
		if p, err := ParseUpstream(s); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	p, _ := ParseUpstream("http://proxy:3128")
	ln := listen(t, Address{"tcp", "127.0.0.1:0"})
	if _, err := NewClient(ln, Address{"unix", "/run/x.sock"}, Config{Upstream: p}); err == nil {
		t.Error("a proxy was taken for the way to a Unix socket")
	}
}
