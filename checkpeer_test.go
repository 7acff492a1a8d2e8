// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"errors"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestCheckPeer asks both ends of an open connection about the other, by Configs that
// accept it and that do not. The connection goes on.
func TestCheckPeer(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	other, _ := mayflytest.Configs(t)
	client, server := mayflytest.PairConfig(t, cc, sc)
	for _, side := range []struct {
		name   string
		conn   *mayfly.Conn
		config *mayfly.Config
	}{{"client", client, cc}, {"server", server, sc}} {
		if err := side.conn.CheckPeer(t.Context(), side.config); err != nil {
			t.Errorf("the %s no longer accepts its peer: %v", side.name, err)
		}
		without := side.config.Clone()
		without.Peers = mayfly.NewPinSet(other.Identity.Pin())
		if err := side.conn.CheckPeer(t.Context(), without); !errors.Is(err, mayfly.ErrPeerRefused) {
			t.Errorf("the %s, by a list without its peer: %v; want ErrPeerRefused", side.name, err)
		}
		without.Peers = mayfly.NewPinSet()
		if err := side.conn.CheckPeer(t.Context(), without); err == nil {
			t.Errorf("the %s accepts its peer by an empty list", side.name)
		}
	}
	go func() { _, _ = client.Write([]byte("x")) }()
	if n, err := server.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d bytes, %v; want the connection to go on", n, err)
	}
	if err := mayfly.Client(nil, cc).CheckPeer(t.Context(), cc); err == nil {
		t.Error("a peer is accepted before there is one")
	}
}
