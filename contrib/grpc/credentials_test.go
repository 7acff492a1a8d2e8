// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflygrpc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mayfly-tls/mayfly"
	mayflygrpc "github.com/mayfly-tls/mayfly/contrib/grpc"
)

func identity(t testing.TB) *mayfly.Identity {
	t.Helper()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// seen is what a handler learnt of its callers.
type seen struct {
	mu    sync.Mutex
	peers []*peer.Peer
}

// echo is a service with one call each way of gRPC: the reply is what was sent.
func echo(s *seen) *grpc.ServiceDesc {
	remember := func(ctx context.Context) {
		p, _ := peer.FromContext(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.peers = append(s.peers, p)
	}
	return &grpc.ServiceDesc{
		ServiceName: "Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			remember(ctx)
			m := new(wrapperspb.BytesValue)
			return m, read(m)
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Talk", ClientStreams: true, ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			remember(stream.Context())
			for {
				m := new(wrapperspb.BytesValue)
				if err := stream.RecvMsg(m); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
				if err := stream.SendMsg(m); err != nil {
					return err
				}
			}
		}}},
	}
}

// serve runs the service, and returns its address.
func serve(t *testing.T, creds credentials.TransportCredentials) (string, *seen) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := new(seen)
	server := grpc.NewServer(grpc.Creds(creds))
	server.RegisterService(echo(s), nil)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.GracefulStop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), s
}

func client(t *testing.T, addr string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func say(t *testing.T, c *grpc.ClientConn, text string, options ...grpc.CallOption) error {
	t.Helper()
	reply := new(wrapperspb.BytesValue)
	err := c.Invoke(t.Context(), "/Echo/Say", wrapperspb.Bytes([]byte(text)), reply, options...)
	if err == nil && string(reply.Value) != text {
		t.Errorf("the reply is %q", reply.Value)
	}
	return err
}

// Both sides know each other by raw keys, in the AuthInfo of each call.
func TestCalls(t *testing.T) {
	t.Parallel()
	ours, theirs := identity(t), identity(t)
	addr, seen := serve(t, mayflygrpc.New(&mayfly.Config{Identity: theirs, Peers: mayfly.Pins(ours.Pin())}))
	c := client(t, addr, mayflygrpc.New(&mayfly.Config{Identity: ours, Peers: mayfly.Pins(theirs.Pin())}))
	var server peer.Peer
	if err := say(t, c, "hello", grpc.Peer(&server)); err != nil {
		t.Fatal(err)
	}
	check := func(p *peer.Peer, want mayfly.Pin) {
		t.Helper()
		info, ok := p.AuthInfo.(mayflygrpc.AuthInfo)
		if !ok || info.Peer.Pin != want || info.AuthType() != "mayfly" || info.State.NegotiatedProtocol != "h2" {
			t.Errorf("it is known as %+v", p.AuthInfo)
		}
		if err := credentials.CheckSecurityLevel(p.AuthInfo, credentials.PrivacyAndIntegrity); err != nil {
			t.Error(err)
		}
		if got, ok := mayflygrpc.PeerFromContext(peer.NewContext(t.Context(), p)); !ok || got.Pin != want {
			t.Error(got, ok)
		}
	}
	check(&server, theirs.Pin())
	check(seen.peers[0], ours.Pin())
	if _, ok := mayflygrpc.PeerFromContext(t.Context()); ok {
		t.Error("there is a peer where nobody called")
	}
}

// Messages of a stream, larger than many records, come back as they were.
func TestStreams(t *testing.T) {
	t.Parallel()
	ours, theirs := identity(t), identity(t)
	addr, _ := serve(t, mayflygrpc.New(&mayfly.Config{Identity: theirs, Peers: mayfly.Pins(ours.Pin())}))
	c := client(t, addr, mayflygrpc.New(&mayfly.Config{Identity: ours, Peers: mayfly.Pins(theirs.Pin())}))
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			stream, err := c.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/Echo/Talk")
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 5 {
				sent := bytes.Repeat([]byte{byte(n), byte(i)}, 1<<18)
				if err := stream.SendMsg(wrapperspb.Bytes(sent)); err != nil {
					t.Error(err)
					return
				}
				got := new(wrapperspb.BytesValue)
				if err := stream.RecvMsg(got); err != nil || !bytes.Equal(got.Value, sent) {
					t.Errorf("%d bytes came back: %v", len(got.Value), err)
					return
				}
			}
			_ = stream.CloseSend()
			if err := stream.RecvMsg(new(wrapperspb.BytesValue)); err != io.EOF {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// gRPC's own TLS credentials are on the other side.
func TestTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := identity(t), identity(t)
	pair := func(id *mayfly.Identity) (tls.Certificate, *x509.CertPool) {
		cert, err := id.SelfSigned("server")
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(leaf)
		return cert, pool
	}
	ourCert, ourPool := pair(ours)
	theirCert, theirPool := pair(theirs)
	t.Run("client", func(t *testing.T) {
		addr, _ := serve(t, mayflygrpc.New(&mayfly.Config{Certificates: []tls.Certificate{ourCert}, Peers: mayfly.Pins(theirs.Pin())}))
		c := client(t, addr, credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{theirCert}, RootCAs: ourPool, ServerName: "server"}))
		if err := say(t, c, "hello"); err != nil {
			t.Error(err)
		}
	})
	t.Run("server", func(t *testing.T) {
		addr, seen := serve(t, credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{theirCert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ourPool}))
		c := client(t, addr, mayflygrpc.New(&mayfly.Config{Certificates: []tls.Certificate{ourCert}, Peers: mayfly.Roots(theirPool), ServerName: "server"}))
		var server peer.Peer
		if err := say(t, c, "hello", grpc.Peer(&server)); err != nil {
			t.Fatal(err)
		}
		if info := server.AuthInfo.(mayflygrpc.AuthInfo); info.Peer.Name != "server" || len(info.Peer.Chains) == 0 {
			t.Errorf("%+v", info.Peer)
		}
		if len(seen.peers) != 1 {
			t.Error(seen.peers)
		}
	})
	t.Run("another name", func(t *testing.T) {
		addr, _ := serve(t, credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{theirCert}}))
		c := client(t, addr, mayflygrpc.New(&mayfly.Config{Peers: mayfly.Roots(theirPool)})) // 127.0.0.1, by the address
		if err := say(t, c, "hello"); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "refused") {
			t.Error(err)
		}
	})
}

// handshake is what gRPC does with a connection, on both sides.
func handshake(t *testing.T, client, server credentials.TransportCredentials) (c, s error) {
	t.Helper()
	left, right := net.Pipe()
	done := make(chan error)
	go func() {
		conn, _, err := server.ServerHandshake(right)
		done <- err
		if err == nil {
			_ = conn.Close()
		}
	}()
	conn, _, err := client.ClientHandshake(t.Context(), "server:1", left)
	if err == nil {
		go func() { _ = conn.Close() }() // the pipe holds nothing: both write
	}
	return err, <-done
}

func temporary(t *testing.T, err error) bool {
	t.Helper()
	e, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	if !ok {
		t.Fatalf("%v does not say whether it is temporary", err)
	}
	return e.Temporary()
}

// Who is on no list stays there: gRPC is told so on both sides.
func TestRefused(t *testing.T) {
	t.Parallel()
	ours, theirs, other := identity(t), identity(t), identity(t)
	for _, test := range []struct {
		name           string
		client, server *mayfly.Config
	}{
		{"client", &mayfly.Config{Identity: other, Peers: mayfly.Pins(theirs.Pin())}, &mayfly.Config{Identity: theirs, Peers: mayfly.Pins(ours.Pin())}},
		{"server", &mayfly.Config{Identity: ours, Peers: mayfly.Pins(other.Pin())}, &mayfly.Config{Identity: theirs, Peers: mayfly.Pins(ours.Pin())}},
	} {
		c, s := handshake(t, mayflygrpc.New(test.client), mayflygrpc.New(test.server))
		for _, err := range []error{c, s} {
			if err == nil || temporary(t, err) {
				t.Errorf("%s: %v: it is temporary", test.name, err)
			}
			if a, ok := errors.AsType[*mayfly.AlertError](err); !ok || a.Code.String() != "access_denied" {
				t.Errorf("%s: %v", test.name, err)
			}
		}
	}
	if _, err := handshake(t, mayflygrpc.New(&mayfly.Config{Peers: mayfly.AnyKey()}), mayflygrpc.New(nil)); err == nil || temporary(t, err) {
		t.Errorf("a server without a key: %v", err)
	}
}

// Somebody who does not speak gRPC's protocol is refused, and a cut is temporary.
func TestFailures(t *testing.T) {
	t.Parallel()
	ours, theirs := identity(t), identity(t)
	creds := mayflygrpc.New(&mayfly.Config{Identity: theirs, Peers: mayfly.Pins(ours.Pin())})

	left, right := net.Pipe()
	done := make(chan error)
	go func() {
		_, _, err := creds.ServerHandshake(right)
		done <- err
	}()
	silent := mayfly.Client(left, &mayfly.Config{Identity: ours, Peers: mayfly.Pins(theirs.Pin())})
	_ = silent.Handshake()
	go func() { _, _ = io.Copy(io.Discard, left) }()
	if err := <-done; err == nil || temporary(t, err) {
		t.Errorf("without ALPN: %v", err)
	}
	_ = silent.Close()

	left, right = net.Pipe()
	_ = left.Close()
	if _, _, err := creds.ServerHandshake(right); err == nil || !temporary(t, err) {
		t.Errorf("a cut: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	left, _ = net.Pipe()
	if _, _, err := creds.ClientHandshake(ctx, "server", left); !errors.Is(err, context.Canceled) || !temporary(t, err) {
		t.Errorf("a cancelled context: %v", err)
	}
}

// The party that chooses the authority must not choose the known host.
func TestAuthorityDoesNotChooseTheKnownHost(t *testing.T) {
	t.Parallel()
	ours, theirs := identity(t), identity(t)
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte("server "+theirs.Pin().String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := mayflygrpc.New(&mayfly.Config{Identity: theirs, Peers: mayfly.Pins(ours.Pin())})
	unnamed := mayflygrpc.New(&mayfly.Config{Identity: ours, Peers: mayfly.KnownHosts(path)})
	if c, _ := handshake(t, unnamed, server); !errors.Is(c, mayfly.ErrConfig) {
		t.Errorf("without a ServerName: %v", c)
	}
	named := mayflygrpc.New(&mayfly.Config{Identity: ours, Peers: mayfly.KnownHosts(path), ServerName: "server"})
	if c, s := handshake(t, named, server); c != nil || s != nil {
		t.Errorf("with its ServerName: %v, %v", c, s)
	}
	other := mayflygrpc.New(&mayfly.Config{Identity: ours, Peers: mayfly.KnownHosts(path), ServerName: "other"})
	if c, _ := handshake(t, other, server); !errors.Is(c, mayfly.ErrPeerRefused) {
		t.Errorf("with another ServerName: %v", c)
	}
}

// The name is the config's, or the authority's.
func TestServerName(t *testing.T) {
	t.Parallel()
	ours, theirs := identity(t), identity(t)
	var asked string
	server := mayflygrpc.New(&mayfly.Config{Identity: theirs, Peers: mayfly.Pins(ours.Pin()), GetConfig: func(_ context.Context, hello *mayfly.ClientHello) (*mayfly.Config, error) {
		asked = hello.ServerName
		return nil, nil
	}})
	creds := mayflygrpc.New(&mayfly.Config{Identity: ours, Peers: mayfly.Pins(theirs.Pin())})
	named := creds.Clone()
	//lint:ignore SA1019 gRPC's interface has it still.
	if err := named.OverrideServerName("db"); err != nil {
		t.Fatal(err)
	}
	for want, creds := range map[string]credentials.TransportCredentials{"server": creds, "db": named} {
		if c, s := handshake(t, creds, server); c != nil || s != nil || asked != want {
			t.Errorf("%v, %v: asked for %q, not %q", c, s, asked, want)
		}
	}
	if info := named.Info(); info.ServerName != "db" || info.SecurityProtocol != "tls" || info.SecurityVersion != "1.3" {
		t.Errorf("%+v", info)
	}
}
