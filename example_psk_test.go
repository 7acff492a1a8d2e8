// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/mayfly-tls/mayfly"
)

// Two programs know each other by a key that both were given. Each calls itself by its
// own name, and the other by the other's.
func ExamplePSKs() {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // made once, and brought to both

	sensor, err := mayfly.NewPresharedKey("sensor 7", key, "sensor 7", "hub")
	if err != nil {
		log.Fatal(err)
	}
	hub, err := mayfly.NewPresharedKey("sensor 7", key, "hub", "sensor 7")
	if err != nil {
		log.Fatal(err)
	}

	a, b := net.Pipe()
	go func() {
		server := mayfly.Server(b, &mayfly.Config{Peers: mayfly.PSKs(hub)})
		defer server.Close()
		if err := server.Handshake(); err != nil {
			log.Print(err)
			return
		}
		fmt.Fprintf(server, "hello, %s", server.Peer().Name)
	}()
	client := mayfly.Client(a, &mayfly.Config{Peers: mayfly.PSKs(sensor)})
	defer client.Close()
	text, err := io.ReadAll(client)
	fmt.Println(string(text), err)
	fmt.Println(client.Peer().Kind, client.Peer().Name)
	// Output:
	// hello, sensor 7 <nil>
	// pre-shared key hub
}

// A server with many keys looks them up. Each client is called by its key's identity.
func ExamplePSKLookup() {
	table := map[string][]byte{ /* identity: key, 16 bytes of crypto/rand at least */ }
	find := func(_ context.Context, offer mayfly.PSKOffer) (*mayfly.PresharedKey, error) {
		key, ok := table[offer.Identity]
		if !ok {
			return nil, nil
		}
		return mayfly.NewPresharedKey(offer.Identity, key, "hub", offer.Identity)
	}
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{Peers: mayfly.PSKLookup(find)})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	// Output:
}
