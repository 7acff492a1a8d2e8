// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyredis_test

import (
	"log"
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/mayfly-tls/mayfly"
	mayflyredis "github.com/mayfly-tls/mayfly/contrib/redis"
)

// Each server of a service, of which there may be any number behind one address.
func Example() {
	secret, err := os.ReadFile("fleet.secret") // 32 random bytes, the same on all servers
	if err != nil {
		log.Fatal(err)
	}
	fleet, err := mayflyredis.New(mayflyredis.Options{
		Client: redis.NewClient(&redis.Options{Addr: "redis.example:6379"}),
		Prefix: "db",
		Secret: secret,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer fleet.Close()
	id, err := mayfly.LoadIdentity("db.key") // the same, too
	if err != nil {
		log.Fatal(err)
	}
	ln, err := mayfly.Listen("tcp", ":7000", &mayfly.Config{
		Identity:   id,
		Peers:      mayfly.AuthorizedKeys("clients"),
		TicketKeys: fleet,
		Tickets:    mayfly.TicketPolicy{Once: fleet},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	for {
		conn, err := ln.AcceptConn()
		if err != nil {
			log.Fatal(err)
		}
		go conn.Close()
	}
}
