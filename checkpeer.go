// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"errors"
)

// CheckPeer asks config's Peers, and its VerifyConnection, about the peer of an open
// connection: whether a handshake with this peer would be accepted now. The peer proves
// nothing again. A nil error means that it is accepted. The connection stays open in any
// case: a caller that revokes peers closes it. [Listener.CloseIf] does so for the
// connections of one Listener; CheckPeer is also for a client's connections and for those
// that came from another process (see [Receiver.Attach]).
//
// The error is that of a handshake: an [AlertError], with ErrPeerRefused in its chain
// where a list does not name the peer. It has ErrConfig in its chain where config cannot
// work. Certificates are checked at config.Time.
//
// CheckPeer may be called at any time after the handshake, also after Close, and
// concurrently with all other methods.
func (c *Conn) CheckPeer(ctx context.Context, config *Config) error {
	if !c.done.Load() {
		return errors.New("mayfly: there is no peer before the handshake is done")
	}
	memory := c.intro.known.memory
	s, err := config.settle(c.server, memory.ServerName)
	if err != nil {
		return err
	}
	peer, err := memory.Peer()
	if err != nil {
		return err
	}
	check := &introduction{settings: s, ctx: ctx, local: c.intro.local, remote: c.intro.remote, known: c.intro.known, selected: c.intro.selected}
	if err := check.judgeKnown(peer); err != nil {
		return localError(err)
	}
	return nil
}
