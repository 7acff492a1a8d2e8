// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyhttp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflyhttp"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestHijack changes the protocol of a connection, as WebSocket does: the server's
// handler gets the *mayfly.Conn, the client the body that can be written to.
func TestHijack(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
	if err != nil {
		t.Fatal(err)
	}
	hijacked := make(chan error, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hijacked <- shout(w)
	})}
	go mayflyhttp.Serve(srv, ln)
	defer srv.Close()
	tr := mayflyhttp.Transport(&mayfly.Dialer{Config: cc})
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+ln.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "shout")
	resp, err := tr.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	conn := resp.Body.(io.ReadWriteCloser)
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn) // up to the server's close_notify
	if err != nil || string(b) != "hello!\n" {
		t.Errorf("%q, %v", b, err)
	}
	_ = conn.Close()
	if err := <-hijacked; err != nil {
		t.Error(err)
	}
}

// shout takes a connection over, and answers one line.
func shout(w http.ResponseWriter) error {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	if c, ok := conn.(*mayfly.Conn); !ok || c.Peer().Kind != mayfly.RawKey {
		return fmt.Errorf("hijacked was a %T", conn)
	}
	if _, err := io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n"); err != nil {
		return err
	}
	if err := rw.Flush(); err != nil {
		return err
	}
	line, err := rw.ReadString('\n')
	if err != nil {
		return err
	}
	_, err = io.WriteString(conn, line[:len(line)-1]+"!\n")
	return err
}

// TestShutdownWaits shuts a server down that has a request: that is answered before
// Shutdown returns, in both protocols.
func TestShutdownWaits(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"http/1.1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			cc, sc := mayflytest.Configs(t)
			sc.NextProtos, cc.NextProtos = []string{proto}, []string{proto}
			ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
			if err != nil {
				t.Fatal(err)
			}
			begun, answer := make(chan struct{}), make(chan struct{})
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				<-answer
				_, _ = io.WriteString(w, r.Proto)
			})}
			stopping := make(chan struct{})
			srv.RegisterOnShutdown(func() { close(stopping) })
			served := make(chan error, 1)
			go func() { served <- mayflyhttp.Serve(srv, ln) }()
			defer srv.Close()
			tr := mayflyhttp.Transport(&mayfly.Dialer{Config: cc})
			defer tr.CloseIdleConnections()
			got := make(chan string, 1)
			go func() {
				resp, err := (&http.Client{Transport: tr}).Get("https://" + ln.Addr().String())
				if err != nil {
					got <- err.Error()
					return
				}
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				got <- fmt.Sprint(string(b), " ", err)
			}()
			<-begun
			shut := make(chan error, 1)
			go func() { shut <- srv.Shutdown(context.Background()) }()
			<-stopping
			if err := <-served; err != http.ErrServerClosed {
				t.Errorf("Serve: %v", err)
			}
			select {
			case err := <-shut:
				t.Fatalf("Shutdown has not waited: %v", err)
			default:
			}
			close(answer)
			want := map[string]string{"http/1.1": "HTTP/1.1 <nil>", "h2": "HTTP/2.0 <nil>"}[proto]
			if s := <-got; s != want {
				t.Errorf("%s, want %s", s, want)
			}
			if err := <-shut; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStandardLibrary has net/http's own TLS on either side, in both protocols.
func TestStandardLibrary(t *testing.T) {
	t.Parallel()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %t", r.Proto, r.TLS != nil && r.TLS.HandshakeComplete)
	})
	// get fetches from a listener by a name that the certificate has.
	get := func(t *testing.T, rt http.RoundTripper, ln net.Listener, want string) {
		t.Helper()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		resp, err := (&http.Client{Transport: rt}).Get("https://localhost:" + port)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != want+" true" || resp.Proto != want {
			t.Errorf("%q by %s, %v; want %s", b, resp.Proto, err, want)
		}
	}
	for proto, want := range map[string]string{"http/1.1": "HTTP/1.1", "h2": "HTTP/2.0"} {
		t.Run("its client, "+proto, func(t *testing.T) {
			ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
				Certificates: []tls.Certificate{cert}, Peers: mayfly.NoClientAuth(), NextProtos: mayflyhttp.NextProtos(),
			})
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Handler: handler}
			go mayflyhttp.Serve(srv, ln)
			defer srv.Close()
			rt := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, NextProtos: []string{proto}}, Protocols: protocols(proto)}
			defer rt.CloseIdleConnections()
			get(t, rt, ln, want)
		})
		t.Run("its server, "+proto, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Handler: handler, Protocols: protocols(proto), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
			go srv.ServeTLS(ln, "", "")
			defer srv.Close()
			rt := mayflyhttp.Transport(&mayfly.Dialer{Config: &mayfly.Config{Peers: mayfly.Roots(roots)}})
			defer rt.CloseIdleConnections()
			get(t, rt, ln, want)
		})
	}
}

func protocols(proto string) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(proto == "http/1.1")
	p.SetHTTP2(proto == "h2")
	return p
}

// A proxy that is asked, and answers nothing. There is one: net/http reads the
// environment once.
var proxy = sync.OnceValues(func() (addr string, asked chan string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	asked = make(chan string, 10)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(c).ReadString('\n')
			asked <- line
			_ = c.Close()
		}
	}()
	return ln.Addr().String(), asked
})

// TestNoProxy has a proxy in the environment. net/http's transport asks it, which shows
// that it would be seen; ours does not.
func TestNoProxy(t *testing.T) {
	addr, asked := proxy()
	t.Setenv("HTTPS_PROXY", "http://"+addr)
	t.Setenv("NO_PROXY", "")
	const url = "https://db.invalid:7000/"
	cc, _ := mayflytest.Configs(t)
	for name, rt := range map[string]http.RoundTripper{
		"net/http": &http.Transport{Proxy: http.ProxyFromEnvironment},
		"ours":     mayflyhttp.Transport(&mayfly.Dialer{Config: cc}),
	} {
		if _, err := (&http.Client{Transport: rt}).Get(url); err == nil {
			t.Errorf("%s has an answer of nobody", name)
		}
		line := ""
		select {
		case line = <-asked: // before its connection was closed, without which there is no error
		default:
		}
		if want := map[string]string{"net/http": "CONNECT db.invalid:7000 HTTP/1.1\r\n"}[name]; line != want {
			t.Errorf("%s has said %q to the proxy, not %q", name, line, want)
		}
	}
}
