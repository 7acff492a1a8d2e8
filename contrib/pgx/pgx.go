// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package mayflypgx has pgx, and by it database/sql, reach PostgreSQL over mayfly. On
// the other side something that ends mayfly's channel stands before PostgreSQL, such as
// `mayfly tunnel server --target unix:/run/postgresql/.s.PGSQL.5432`.
//
//	config, err := pgx.ParseConfig("postgres://app@db.example:7000/app")
//	if err != nil { … }
//	mayflypgx.Use(config, &mayfly.Config{Identity: id, Peers: mayfly.Pins(pin)})
//	db := stdlib.OpenDB(*config)
//
// PostgreSQL's own TLS is off inside the channel. So is the binding of a password to it
// (SCRAM-SHA-256-PLUS with tls-server-end-point, RFC 5929), which pgx does for a *tls.Conn
// alone, and which would bind to PostgreSQL's certificate, not to the one of what stands
// before it: passwords go by SCRAM-SHA-256. Who the server is, is for Config.Peers to say,
// and that stands before the password is asked for.
//
// The package knows the public APIs of mayfly and pgx alone.
package mayflypgx

import (
	"context"
	"net"

	"github.com/jackc/pgx/v5"

	"github.com/mayfly-tls/mayfly"
)

// Use has all connections by config, and the requests that cancel their queries, go
// through mayfly as secure says. It replaces config's DialFunc and LookupFunc, and turns
// off sslmode, fallbacks included. What secure says must not be changed afterwards.
//
// If secure has no ServerName and goes by Roots, each server's certificate must be for the
// host that is dialed. KnownHosts goes by ServerName only. A connection is made when the
// server has judged this side, so that a refusal is the error of connecting.
func Use(config *pgx.ConnConfig, secure *mayfly.Config) {
	dialer := &mayfly.Dialer{Config: secure.Clone(), Confirm: true}
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, addr)
	}
	// The dialer looks names up by itself, and tries what it finds.
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.TLSConfig = nil
	seen := map[[2]any]bool{{config.Host, config.Port}: true}
	fallbacks := config.Fallbacks
	config.Fallbacks = nil
	for _, f := range fallbacks {
		at := [2]any{f.Host, f.Port}
		if f.TLSConfig = nil; !seen[at] { // sslmode=prefer has each host twice
			seen[at] = true
			config.Fallbacks = append(config.Fallbacks, f)
		}
	}
}
