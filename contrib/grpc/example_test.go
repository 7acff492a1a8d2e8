// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflygrpc_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/mayfly-tls/mayfly"
	mayflygrpc "github.com/mayfly-tls/mayfly/contrib/grpc"
)

// A server that says who calls, and a client, which know each other's keys.
func Example() {
	server, err := mayfly.GenerateIdentity() // programs keep theirs: LoadIdentity
	if err != nil {
		log.Fatal(err)
	}
	client, err := mayfly.GenerateIdentity()
	if err != nil {
		log.Fatal(err)
	}

	ln, err := net.Listen("tcp", "127.0.0.1:0") // a plain one: gRPC does the handshakes
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer(
		grpc.Creds(mayflygrpc.New(&mayfly.Config{Identity: server, Peers: mayfly.Pins(client.Pin())})),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			peer, _ := mayflygrpc.PeerFromContext(ctx)
			fmt.Println(info.FullMethod, peer.Pin == client.Pin())
			return handle(ctx, req)
		}),
	)
	healthpb.RegisterHealthServer(s, health.NewServer())
	go s.Serve(ln)
	defer s.Stop()

	conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(
		mayflygrpc.New(&mayfly.Config{Identity: client, Peers: mayfly.Pins(server.Pin())})))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	reply, err := healthpb.NewHealthClient(conn).Check(context.Background(), &healthpb.HealthCheckRequest{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply.Status)
	// Output:
	// /grpc.health.v1.Health/Check true
	// SERVING
}
