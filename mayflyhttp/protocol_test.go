// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyhttp_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflyhttp"
)

const http2Start = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" // and empty SETTINGS

// answerTo dials with ALPN for one protocol, writes text, and returns what the server
// writes until it closes, or has written enough to tell the protocol.
func answerTo(t *testing.T, url string, config *mayfly.Config, proto, text string) string {
	t.Helper()
	cc := config.Clone()
	cc.NextProtos = []string{proto}
	if proto == "" {
		cc.NextProtos = nil
	}
	c, err := mayfly.Dial("tcp", strings.TrimPrefix(url, "https://"), cc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().NegotiatedProtocol; got != proto {
		t.Fatalf("ALPN chose %q, want %q", got, proto)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if proto != "h2" || text != http2Start {
		_ = c.CloseWrite() // a server that waits for more gives up
	}
	answer := make([]byte, 9)
	n, _ := io.ReadFull(c, answer)
	return string(answer[:n])
}

func TestServerSpeaksWhatALPNChose(t *testing.T) {
	const http1Request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	url, client, _, _ := serve(t, mayflyhttp.NextProtos())
	for _, test := range []struct{ name, proto, text, want string }{
		{"HTTP/1.1 under http/1.1", "http/1.1", http1Request, "HTTP/1.1 "},
		{"HTTP/1.1 without ALPN", "", http1Request, "HTTP/1.1 "},
		{"HTTP/1.1 under h2", "h2", http1Request, ""},
		{"an HTTP/2 preface that turns into HTTP/1.1, under h2", "h2", "PRI * HTTP/2.0\r\nHost: a\r\n\r\n", ""},
	} {
		if got := answerTo(t, url, client, test.proto, test.text); got != test.want {
			t.Errorf("%s: answered %q, want %q", test.name, got, test.want)
		}
	}
	if got := answerTo(t, url, client, "h2", http2Start); len(got) != 9 || got[3] != 4 { // SETTINGS
		t.Errorf("HTTP/2 under h2: answered %q", got)
	}
	for _, proto := range []string{"http/1.1", ""} {
		if got := answerTo(t, url, client, proto, http2Start); len(got) == 9 && got[3] == 4 {
			t.Errorf("HTTP/2 under %q: it was served", proto)
		}
	}
}

// Where GODEBUG disables HTTP/2, net/http answers an HTTP/2 preface in HTTP/1.1.
func TestServerWithoutHTTP2DoesNotAnswerInHTTP1UnderH2(t *testing.T) {
	const variable = "MAYFLY_TEST_WITHOUT_HTTP2"
	if os.Getenv(variable) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), variable+"=1", "GODEBUG=http2server=0")
		if out, err := child.CombinedOutput(); err != nil || bytes.Contains(out, []byte("--- SKIP")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	url, client, _, _ := serve(t, mayflyhttp.NextProtos())
	if got := answerTo(t, url, client, "h2", http2Start); strings.HasPrefix(got, "HTTP/") {
		t.Errorf("answered %q", got)
	}
}
