// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// connected are two ends of a connection on which the handshake is done.
func connected(ctx context.Context) (client, server *mayfly.Conn) {
	clientID, serverID := must(), must()
	a, b := tcp()
	client = mayfly.Client(a, &mayfly.Config{Identity: clientID, Peers: mayfly.Pins(serverID.Pin()), ServerName: "server.example"})
	server = mayfly.Server(b, &mayfly.Config{Identity: serverID, Peers: mayfly.Pins(clientID.Pin())})
	done := make(chan error)
	go func() { done <- server.HandshakeContext(ctx) }()
	if err := client.HandshakeContext(ctx); err != nil {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	return client, server
}

// tcp are two ends of a connection of this machine with itself.
func tcp() (a, b net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		log.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		log.Fatal(err)
	}
	return a, b
}

// Keys change by themselves, by Config.Rekey's policy. Rekey changes them at once, those of
// the other side too.
func ExampleConn_Rekey() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, server := connected(ctx)
	defer client.Close()
	go func() {
		_, _ = io.Copy(server, server)
		_ = server.Close()
	}()
	before := client.Stats()
	if err := client.Rekey(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(say(client, "hello"))
	after := client.Stats()
	fmt.Println(after.KeysSent-before.KeysSent, "and", after.KeysReceived > before.KeysReceived)
	// Output:
	// hello
	// 1 and true
}

// Both ends derive the same key for a protocol of their own, which nobody between them
// knows.
func ExampleConn_ExportKeyingMaterial() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, server := connected(ctx)
	defer client.Close()
	defer server.Close()
	const label = "EXPORTER-example backup" // one for each use
	a, err := client.ExportKeyingMaterial(label, nil, 32)
	if err != nil {
		log.Fatal(err)
	}
	b, err := server.ExportKeyingMaterial(label, nil, 32)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(a), bytes.Equal(a, b))
	// Output: 32 true
}

// A live connection moves: what Detach returns, and the descriptor below, may go to
// another process, as in examples/restart.
func ExampleConn_Detach() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, server := connected(ctx)
	defer client.Close()

	receiver, err := mayfly.NewReceiver() // in the heir
	if err != nil {
		log.Fatal(err)
	}
	blob, raw, err := server.Detach(ctx, receiver.Offer()) // in the donor
	if err != nil {
		log.Fatal(err)
	}
	heir, err := receiver.Attach(raw, blob, &mayfly.Config{ // in the heir again
		Identity: must(),
		Peers:    mayfly.AnyKey(), // is asked about the peer again
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(heir, heir)
		_ = heir.Close()
	}()
	fmt.Println(say(client, "still there?")) // the client has noticed nothing
	// Output: still there?
}

// A request goes with the first flight. It may be sent twice by somebody who records it:
// let it ask for something, and change nothing.
func ExampleDialer_DialEarly() {
	serverID := must()
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Identity:     serverID,
		Peers:        mayfly.NoClientAuth(),
		MaxEarlyData: 1 << 10,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.AcceptEarly()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				early, err := io.ReadAll(readerFunc(conn.ReadEarly))
				if err != nil {
					return
				}
				fmt.Fprintf(conn, "early: %q", early)
			}()
		}
	}()

	dialer := &mayfly.Dialer{Config: &mayfly.Config{
		Peers:      mayfly.Pins(serverID.Pin()),
		ServerName: "server.example",
		Sessions:   mayfly.NewSessionCache(0),
	}}
	for range 2 { // the first brings a ticket
		conn, accepted, err := dialer.DialEarly(context.Background(), "tcp", ln.Addr().String(), []byte("GET /"))
		if err != nil {
			log.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(accepted, string(answer))
		conn.Close()
	}
	// Output:
	// false early: ""
	// true early: "GET /"
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
