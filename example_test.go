// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflyhttp"
)

// must makes a key; programs load theirs with LoadIdentity.
func must() *mayfly.Identity {
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		log.Fatal(err)
	}
	return id
}

// echo serves every connection of ln with what it sends.
func echo(ln *mayfly.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// say sends a line and returns the echo.
func say(conn *mayfly.Conn, line string) string {
	defer conn.Close()
	if _, err := io.WriteString(conn, line); err != nil {
		return err.Error()
	}
	if err := conn.CloseWrite(); err != nil {
		return err.Error()
	}
	b, err := io.ReadAll(conn) // io.EOF only after the peer's close_notify
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Two programs that know each other by their pins.
func ExampleDial() {
	server, client := must(), must()
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Identity: server,
		Peers:    mayfly.Pins(client.Pin()),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go echo(ln)

	conn, err := mayfly.Dial("tcp", ln.Addr().String(), &mayfly.Config{
		Identity: client,
		Peers:    mayfly.Pins(server.Pin()),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(conn.Peer().Kind, conn.Peer().Pin == server.Pin(), say(conn, "hello"))
	// Output: raw public key true hello
}

// A server whose list of peers is a file, read again when it changes.
func ExampleListen() {
	dir, err := os.MkdirTemp("", "mayfly")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, client := must(), must()
	list := filepath.Join(dir, "authorized_keys")
	if err := os.WriteFile(list, []byte(client.Pin().String()+" alice\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Identity: server,
		Peers:    mayfly.AuthorizedKeys(list),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.AcceptConn()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "hello %s", conn.Peer().Name)
	}()

	conn, err := mayfly.Dial("tcp", ln.Addr().String(), &mayfly.Config{
		Identity: client,
		Peers:    mayfly.Pins(server.Pin()),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	b, err := io.ReadAll(conn)
	fmt.Println(string(b), err)
	// Output: hello alice <nil>
}

// The refusal of a stranger: Dialer.Confirm waits for the server's verdict.
func ExamplePins() {
	server, friend, stranger := must(), must(), must()
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Identity: server,
		Peers:    mayfly.Pins(friend.Pin()),
		Trace:    &mayfly.Trace{}, // failures are not logged
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go echo(ln)

	dialer := &mayfly.Dialer{Confirm: true, Config: &mayfly.Config{
		Identity: stranger,
		Peers:    mayfly.Pins(server.Pin()),
	}}
	_, err = dialer.DialConn(context.Background(), "tcp", ln.Addr().String())
	var refused *mayfly.AlertError
	if errors.As(err, &refused) {
		fmt.Println(refused.Remote, refused.Code)
	}
	// Output: true access_denied
}

// A client whose list of servers is a file of names and pins.
func ExampleKnownHosts() {
	dir, err := os.MkdirTemp("", "mayfly")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, client := must(), must()
	known := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(known, []byte("db.internal "+server.Pin().String()+"\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Identity:    server,
		Peers:       mayfly.Pins(client.Pin()),
		ServerNames: []string{"db.internal"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go echo(ln)

	conn, err := mayfly.Dial("tcp", ln.Addr().String(), &mayfly.Config{
		Identity:   client,
		Peers:      mayfly.KnownHosts(known),
		ServerName: "db.internal", // the name counts, not the address
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(conn.Peer().Name, say(conn, "hello"))
	// Output: db.internal hello
}

// X.509 certificates, as with crypto/tls.
func ExampleConfig_x509() {
	server, client := must(), must()
	cert, err := server.SelfSigned("db.internal")
	if err != nil {
		log.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)

	config := &mayfly.Config{Peers: mayfly.Pins(client.Pin())}
	config.Certificates = append(config.Certificates, cert)
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go echo(ln)

	conn, err := mayfly.Dial("tcp", ln.Addr().String(), &mayfly.Config{
		Identity:   client,
		Peers:      mayfly.Roots(pool),
		ServerName: "db.internal",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(conn.Peer().Kind, say(conn, "hello"))
	// Output: X.509 certificate hello
}

// A server that changes its key and its list while it runs.
func ExampleConfig_getConfig() {
	client := must()
	var current atomic.Pointer[mayfly.Config]
	reload := func(id *mayfly.Identity) {
		current.Store(&mayfly.Config{Identity: id, Peers: mayfly.Pins(client.Pin())})
	}
	before, after := must(), must()
	reload(before)
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		GetConfig: func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) {
			return current.Load(), nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go echo(ln)

	for _, id := range []*mayfly.Identity{before, after} {
		reload(id)
		conn, err := mayfly.Dial("tcp", ln.Addr().String(), &mayfly.Config{
			Identity: client,
			Peers:    mayfly.Pins(id.Pin()),
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(say(conn, "hello"))
	}
	// Output:
	// hello
	// hello
}

// An existing net.Conn on either side.
func ExampleClient() {
	server, client := must(), must()
	a, b := net.Pipe()
	go func() {
		conn := mayfly.Server(b, &mayfly.Config{Identity: server, Peers: mayfly.AnyKey()})
		defer conn.Close()
		line, _ := io.ReadAll(conn)
		_, _ = conn.Write(line)
	}()
	conn := mayfly.Client(a, &mayfly.Config{Identity: client, Peers: mayfly.Pins(server.Pin())})
	fmt.Println(say(conn, "through a pipe"))
	// Output: through a pipe
}

// HTTP/1.1 and HTTP/2 over mayfly, with the peer in the request's context.
func Example_http() {
	server, client := must(), must()
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Identity:   server,
		Peers:      mayfly.Pins(client.Pin()),
		NextProtos: mayflyhttp.NextProtos(),
	})
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := mayfly.PeerFromContext(r.Context())
		fmt.Fprint(w, r.Proto, " ", peer.Pin == client.Pin())
	})}
	go func() { _ = mayflyhttp.Serve(srv, ln) }()
	defer srv.Close()

	for _, protos := range [][]string{{"http/1.1"}, {"h2"}} {
		c := &http.Client{Transport: mayflyhttp.Transport(&mayfly.Dialer{Config: &mayfly.Config{
			Identity:   client,
			Peers:      mayfly.Pins(server.Pin()),
			NextProtos: protos,
		}})}
		resp, err := c.Get("https://" + ln.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		fmt.Println(string(b), err)
		c.CloseIdleConnections()
	}
	// Output:
	// HTTP/1.1 true <nil>
	// HTTP/2.0 true <nil>
}
