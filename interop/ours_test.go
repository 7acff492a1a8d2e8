// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// ours is the configuration of our side of a cell's connection.
func (c cell) ours(t *testing.T) *mayfly.Config {
	t.Helper()
	us, them := c.identities(t)
	cfg := &mayfly.Config{
		CipherSuites:     []uint16{c.suite},
		CurvePreferences: c.ourGroups(),
	}
	if c.alpn != "" {
		cfg.NextProtos = []string{c.alpn}
	}
	shows, sees := c.auth.server, c.auth.client
	if c.role == asServer {
		shows, sees = sees, shows
		cfg.ServerName = serverName
	}
	switch shows {
	case certificate:
		cfg.Certificates = []tls.Certificate{us.cert}
	case rawKey:
		id, err := mayfly.NewIdentity(us.key)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Identity = id
	}
	cfg.Peers = mayfly.NoClientAuth()
	switch {
	case sees == plainPSK || sees == importedPSK:
		cfg.Peers = mayfly.PSKs(c.psk(t))
	case sees == rawKey || sees == certificate && c.auth.pin:
		cfg.Peers = mayfly.MustParsePins(them.pin)
	case sees == certificate:
		cfg.Peers = mayfly.Roots(keys.pool)
	}
	return cfg
}

// open makes our end of a cell's connection.
func open(t *testing.T, c cell, inner net.Conn) (*mayfly.Conn, *wiretap) {
	t.Helper()
	return openWith(t, c, c.ours(t), inner)
}

func openWith(t *testing.T, c cell, cfg *mayfly.Config, inner net.Conn) (*mayfly.Conn, *wiretap) {
	t.Helper()
	tap := tapped(inner)
	conn := mayfly.Client(tap, cfg)
	if c.role == asClient {
		conn = mayfly.Server(tap, cfg)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		t.Fatalf("our handshake: %v", err)
	}
	return conn, tap
}

// tapOf is the wiretap below a connection.
func tapOf(c *mayfly.Conn) *wiretap { return c.NetConn().(*wiretap) }

// checkPeer checks who we take the other side for.
func (c cell) checkPeer(t *testing.T, ours *mayfly.Conn) {
	t.Helper()
	_, them := c.identities(t)
	sees := c.auth.server
	if c.role == asClient {
		sees = c.auth.client
	}
	peer := ours.Peer()
	want := map[credential]mayfly.PeerKind{certificate: mayfly.X509, rawKey: mayfly.RawKey, plainPSK: mayfly.PSK, importedPSK: mayfly.PSK}[sees]
	if peer.Kind != want {
		t.Errorf("the peer is %v, want %v", peer.Kind, want)
	}
	switch {
	case want == mayfly.PSK:
		if string(peer.PSKIdentity) != pskIdentity {
			t.Errorf("the key is called %q, want %q", peer.PSKIdentity, pskIdentity)
		}
	case sees != nothing && peer.Pin.String() != them.pin:
		t.Errorf("the peer's pin is %s, want %s", peer.Pin, them.pin)
	}
	if verified := len(peer.Chains) > 0; verified != (sees == certificate && !c.auth.pin) {
		t.Errorf("the peer's certificate has a verified chain: %v", verified)
	}
}

// A rekeyLog counts changes of keys, by what asked for them.
type rekeyLog struct {
	mu    sync.Mutex
	count map[mayfly.RekeyReason]int
}

func watchRekeys(cfg *mayfly.Config) *rekeyLog {
	l := &rekeyLog{count: make(map[mayfly.RekeyReason]int)}
	cfg.Trace = &mayfly.Trace{Rekeyed: func(_ context.Context, info mayfly.RekeyInfo) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.count[info.Reason]++
	}}
	return l
}

func (l *rekeyLog) of(reason mayfly.RekeyReason) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count[reason]
}

// rekeyOften makes us change our keys a few times in a cell's bulk data.
func rekeyOften(cfg *mayfly.Config, bytes uint64) {
	cfg.Rekey = mayfly.RekeyPolicy{Bytes: bytes, MinInterval: -time.Nanosecond}
}
