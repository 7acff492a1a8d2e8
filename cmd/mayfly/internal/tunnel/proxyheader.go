// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/mayfly-tls/mayfly"
)

// The types of TLVs that the PROXY protocol leaves to applications.
const (
	// TLVPin holds the pin of the peer's key as mayfly prints it: "sha256//…=".
	TLVPin proxyproto.PP2Type = 0xE0

	// TLVName holds the name by which the server knows the peer: that in the file of
	// --peers.
	TLVName proxyproto.PP2Type = 0xE1
)

// maxProxyHeader bounds a header. nginx takes 4096 bytes at most, HAProxy a buffer full.
const maxProxyHeader = 2048

// writeProxyHeader begins a connection to the target with a header of the PROXY protocol,
// version 2. ctx bounds the write.
func writeProxyHeader(ctx context.Context, target net.Conn, secure *mayfly.Conn) error {
	header, err := proxyHeader(secure.RemoteAddr(), secure.LocalAddr(), secure.Peer(), secure.ConnectionState())
	if err != nil {
		return fmt.Errorf("the PROXY protocol header: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = target.SetWriteDeadline(time.Unix(1, 0)) })
	_, err = target.Write(header)
	if !stop() {
		return errors.Join(err, ctx.Err())
	}
	return err
}

// proxyHeader returns the header that names a peer: its address, and in TLVs what it has
// proved.
func proxyHeader(source, destination net.Addr, peer mayfly.Peer, state tls.ConnectionState) ([]byte, error) {
	h := proxyproto.HeaderProxyFromAddrs(2, named(source), named(destination))
	if h.Command != proxyproto.PROXY {
		return nil, fmt.Errorf("it has no form for the addresses %s and %s", text(source), text(destination))
	}
	ssl := tlvparse.PP2SSL{
		Client: tlvparse.PP2_BITFIELD_CLIENT_SSL,
		Verify: 1,
		TLV: []proxyproto.TLV{
			{Type: proxyproto.PP2_SUBTYPE_SSL_VERSION, Value: []byte("TLSv1.3")},
			{Type: proxyproto.PP2_SUBTYPE_SSL_CIPHER, Value: []byte(tls.CipherSuiteName(state.CipherSuite))},
		},
	}
	var tlvs []proxyproto.TLV
	if state.ServerName != "" {
		tlvs = append(tlvs, proxyproto.TLV{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte(state.ServerName)})
	}
	if peer.Pin != (mayfly.Pin{}) {
		ssl.Verify = 0
		ssl.Client |= tlvparse.PP2_BITFIELD_CLIENT_CERT_SESS
		if !peer.Resumed {
			ssl.Client |= tlvparse.PP2_BITFIELD_CLIENT_CERT_CONN
		}
		tlvs = append(tlvs, proxyproto.TLV{Type: TLVPin, Value: []byte(peer.Pin.String())})
	}
	if peer.Name != "" {
		tlvs = append(tlvs, proxyproto.TLV{Type: TLVName, Value: []byte(peer.Name)})
	}
	// Only an authority vouches for what a certificate says: a peer that is known by its
	// pin can write any name into its own.
	if len(peer.Chains) > 0 && peer.Chains[0][0].Subject.CommonName != "" {
		cn := peer.Chains[0][0].Subject.CommonName
		ssl.TLV = append(ssl.TLV, proxyproto.TLV{Type: proxyproto.PP2_SUBTYPE_SSL_CN, Value: []byte(cn)})
	}
	t, err := ssl.Marshal()
	if err != nil {
		return nil, err
	}
	if err := h.SetTLVs(append(tlvs, t)); err != nil {
		return nil, err
	}
	header, err := h.Format()
	if err == nil && len(header) > maxProxyHeader {
		err = fmt.Errorf("the peer's names are too long for it: %d bytes, and the most is %d", len(header), maxProxyHeader)
	}
	return header, err
}

// named leaves out the name that Go makes up for a Unix socket without one.
func named(a net.Addr) net.Addr {
	if unix, ok := a.(*net.UnixAddr); ok && unix.Name == "@" {
		return &net.UnixAddr{Net: unix.Net}
	}
	return a
}
