// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package mayflygrpc runs gRPC over mayfly: transport credentials for servers and
// clients, with the peer in the AuthInfo of each call.
//
//	server := grpc.NewServer(grpc.Creds(creds))
//	client, err := grpc.NewClient("db:7000", grpc.WithTransportCredentials(creds))
//
// gRPC's own TLS credentials can be on the other side. The package knows the public
// API of mayfly alone.
package mayflygrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/mayfly-tls/mayfly"
)

// proto is the application protocol of gRPC.
const proto = "h2"

// AuthType is what AuthInfo.AuthType returns.
const AuthType = "mayfly"

// An AuthInfo says who the other side of a call is. Its SecurityLevel is
// PrivacyAndIntegrity.
type AuthInfo struct {
	credentials.CommonAuthInfo

	// Peer is who has proved a key.
	Peer mayfly.Peer

	// State is what the handshake has settled, in the standard library's type.
	State tls.ConnectionState
}

// AuthType returns the constant AuthType.
func (AuthInfo) AuthType() string { return AuthType }

// PeerFromContext returns the other side of a call: in a server's handlers and
// interceptors, by their context. It is false where the call did not come over these
// credentials.
func PeerFromContext(ctx context.Context) (mayfly.Peer, bool) {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(AuthInfo); ok {
			return info.Peer, true
		}
	}
	return mayfly.Peer{}, false
}

// New returns transport credentials for grpc.Creds on a server, and for
// grpc.WithTransportCredentials on a client. The config must not be changed
// afterwards; its NextProtos are replaced by gRPC's.
//
// If a client's config has no ServerName and goes by Roots, the server's certificate must
// be for the host of the authority. KnownHosts goes by ServerName only. A client's
// handshake ends when the server has judged it, so that a refusal is its error and not that
// of a call.
//
// Errors that trying again does not mend, such as a peer that is not on the list, are
// not Temporary in gRPC's sense.
func New(config *mayfly.Config) credentials.TransportCredentials {
	c := new(mayfly.Config)
	if config != nil {
		c = config.Clone()
	}
	c.NextProtos = []string{proto}
	return &transport{config: c}
}

// transport is the TransportCredentials.
type transport struct {
	config *mayfly.Config
}

// ClientHandshake is called by gRPC with a new connection to the server.
func (t *transport) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	// Each gRPC server writes first, and at once. The authority names the server where a
	// certificate proves that name (Roots). KnownHosts goes by Config.ServerName only:
	// otherwise the party that chooses the authority would choose the known host.
	dialer := mayfly.Dialer{Config: t.config, Confirm: true}
	c, err := dialer.ClientConn(ctx, raw, net.JoinHostPort(host(authority), "443"))
	if err != nil {
		return nil, nil, judged(err)
	}
	return finish(c, nil)
}

// ServerHandshake is called by gRPC with a new connection from a client. gRPC bounds
// it by a deadline, the config by HandshakeTimeout.
func (t *transport) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c := mayfly.Server(raw, t.config)
	return finish(c, c.Handshake())
}

// finish returns what gRPC wants to know of a handshake.
func finish(c *mayfly.Conn, err error) (net.Conn, credentials.AuthInfo, error) {
	state := c.ConnectionState()
	if err == nil && state.NegotiatedProtocol != proto {
		err = errProtocol
	}
	if err != nil {
		_ = c.Close()
		return nil, nil, judged(err)
	}
	return c, AuthInfo{
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		Peer:           c.Peer(),
		State:          state,
	}, nil
}

// Info describes the credentials.
func (t *transport) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls", SecurityVersion: "1.3", ServerName: t.config.ServerName}
}

// Clone returns a copy.
func (t *transport) Clone() credentials.TransportCredentials {
	return &transport{config: t.config.Clone()}
}

// OverrideServerName sets the name of the server. gRPC has deprecated it: set
// Config.ServerName.
func (t *transport) OverrideServerName(name string) error {
	t.config = t.config.Clone()
	t.config.ServerName = name
	return nil
}

// host is what an authority names.
func host(authority string) string {
	if h, _, err := net.SplitHostPort(authority); err == nil {
		return h
	}
	return authority
}

var errProtocol = errors.New("mayflygrpc: the peer does not speak gRPC's application protocol, h2")

// A failure is a handshake's error, in the terms by which gRPC knows whether to try
// again.
type failure struct {
	error
	temporary bool
}

// Temporary says whether trying again may help.
func (f failure) Temporary() bool { return f.temporary }

// Unwrap returns the error of mayfly.
func (f failure) Unwrap() error { return f.error }

// judged says of a handshake's error whether it may go away: a connection that was
// cut or too slow may; a refusal, and a Config that cannot work, do not.
func judged(err error) error {
	_, network := errors.AsType[net.Error](err)
	for _, passing := range []error{io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded, net.ErrClosed} {
		network = network || errors.Is(err, passing)
	}
	if a, ok := errors.AsType[*mayfly.AlertError](err); ok {
		network = slices.Contains(passing, a.Code.String())
	}
	return failure{err, network}
}

// passing are the alerts of a peer that may do better next time.
var passing = []string{"internal_error", "user_canceled", "close_notify"}
