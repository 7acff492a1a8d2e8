// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyhttp_test

import (
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflyhttp"
)

// A server and a client of HTTP/2 that know each other's keys.
func Example() {
	server, err := mayfly.GenerateIdentity() // programs keep theirs: LoadIdentity
	if err != nil {
		log.Fatal(err)
	}
	client, err := mayfly.GenerateIdentity()
	if err != nil {
		log.Fatal(err)
	}

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
		fmt.Fprintf(w, "%s for a client with a %v", r.Proto, peer.Kind)
	})}
	go mayflyhttp.Serve(srv, ln)
	defer srv.Close()

	c := &http.Client{Transport: mayflyhttp.Transport(&mayfly.Dialer{Config: &mayfly.Config{
		Identity:   client,
		Peers:      mayfly.Pins(server.Pin()),
		NextProtos: mayflyhttp.NextProtos(),
	}})}
	defer c.CloseIdleConnections()
	resp, err := c.Get("https://" + ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	fmt.Println(string(b), err)
	// Output: HTTP/2.0 for a client with a raw public key <nil>
}
