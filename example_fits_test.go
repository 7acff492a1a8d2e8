// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/rpc"
	"os"
	"path/filepath"

	"github.com/mayfly-tls/mayfly"
)

// A Ledger serves one caller, whose key it knows.
type Ledger struct{ caller mayfly.Peer }

// Add is called by net/rpc.
func (l *Ledger) Add(numbers []int, sum *int) error {
	if l.caller.Name != "accounting" {
		return fmt.Errorf("%s may not add", l.caller.Pin)
	}
	for _, n := range numbers {
		*sum += n
	}
	return nil
}

// A server of net/rpc that knows who calls: each connection has a service of its own.
func Example_rpc() {
	serverID, clientID := must(), must()
	dir, err := os.MkdirTemp("", "mayfly")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	clients := filepath.Join(dir, "clients")
	if err := os.WriteFile(clients, []byte(clientID.Pin().String()+" accounting\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{Identity: serverID, Peers: mayfly.AuthorizedKeys(clients)})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.AcceptConn()
			if err != nil {
				return
			}
			server := rpc.NewServer()
			if err := server.Register(&Ledger{conn.Peer()}); err != nil {
				log.Fatal(err)
			}
			go server.ServeConn(conn) // closes it
		}
	}()

	conn, err := mayfly.Dial("tcp", ln.Addr().String(), &mayfly.Config{
		Identity: clientID,
		Peers:    mayfly.Pins(serverID.Pin()),
	})
	if err != nil {
		log.Fatal(err)
	}
	client := rpc.NewClient(conn)
	defer client.Close()
	var sum int
	if err := client.Call("Ledger.Add", []int{1, 2, 3}, &sum); err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum)
	// Output: 6
}

// A Trace that logs the life of each connection. Its hooks are told facts, never keys.
func ExampleTrace() {
	text := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // so that this is the same each time
		}
		return a
	}})
	logger := slog.New(text)
	closed := make(chan bool)
	trace := &mayfly.Trace{
		HandshakeDone: func(ctx context.Context, info mayfly.HandshakeInfo) {
			if info.Err != nil {
				logger.WarnContext(ctx, "handshake failed", "error", info.Err)
				return
			}
			logger.InfoContext(ctx, "handshake", "server", info.Server, "suite", tls.CipherSuiteName(info.CipherSuite),
				"group", tls.CurveID(info.Group), "resumed", info.Resumed)
		},
		Rekeyed: func(ctx context.Context, info mayfly.RekeyInfo) {
			logger.InfoContext(ctx, "keys changed", "direction", info.Direction, "generation", info.Generation, "reason", info.Reason)
		},
		Closed: func(ctx context.Context, info mayfly.CloseInfo) {
			logger.InfoContext(ctx, "closed", "error", info.Err)
			close(closed)
		},
	}
	id := must()
	a, b := tcp()
	server := mayfly.Server(b, &mayfly.Config{Identity: id, Peers: mayfly.NoClientAuth(), Trace: trace})
	go func() {
		_, _ = io.Copy(server, server)
		_ = server.Close()
	}()
	client := mayfly.Client(a, &mayfly.Config{
		Peers:            mayfly.Pins(id.Pin()),
		ServerName:       "server.example",
		CipherSuites:     []uint16{tls.TLS_AES_128_GCM_SHA256},
		CurvePreferences: []tls.CurveID{tls.X25519},
	})
	if got := say(client, "hello"); got != "hello" {
		log.Fatal(got)
	}
	<-closed
	// Output:
	// level=INFO msg=handshake server=true suite=TLS_AES_128_GCM_SHA256 group=X25519 resumed=false
	// level=INFO msg=closed error=<nil>
}
