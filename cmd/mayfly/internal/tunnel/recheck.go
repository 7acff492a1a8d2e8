// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var errRevoked = errors.New("the peer is no longer accepted")

// Recheck asks the present Config about the peer of each connection, and cuts those that
// it no longer accepts: the connections that came in, those under way, and those that came
// from another process. It returns how many it has cut. A certificate that has expired
// since the handshake counts only with Config.CutExpired.
//
// A connection about which the Config says neither, as a file cannot be read, goes on.
func (t *Tunnel) Recheck() (cut int) {
	t.mu.Lock()
	t.rechecked = true
	pairs := slices.Collect(maps.Keys(t.pairs))
	t.mu.Unlock()
	var (
		revoked atomic.Int64
		workers sync.WaitGroup
		next    = make(chan *pair)
	)
	for range min(len(pairs), recheckWorkers) {
		workers.Go(func() {
			for p := range next {
				if t.revoke(p) {
					revoked.Add(1)
				}
			}
		})
	}
	for _, p := range pairs {
		next <- p
	}
	close(next)
	workers.Wait()
	return int(revoked.Load())
}

// recheckWorkers is how many connections Recheck asks about at once.
const recheckWorkers = 4

// add puts a pair on the list. The Config may have changed since the handshake: after
// add, either this goroutine or Recheck has asked about the peer.
func (t *Tunnel) add(p *pair) {
	t.mu.Lock()
	t.pairs[p] = struct{}{}
	rechecked := t.rechecked
	t.changed()
	t.mu.Unlock()
	if rechecked {
		t.revoke(p)
	}
}

// revoke cuts a pair whose peer is no longer accepted, and reports whether it has.
func (t *Tunnel) revoke(p *pair) bool {
	config := t.config.Security()
	if !t.config.CutExpired {
		config = config.Clone()
		config.Time = func() time.Time { return p.began }
	}
	err := p.secure.CheckPeer(t.ctx, config)
	switch {
	case err == nil:
		return false
	case !refusal(err):
		if dropped, ok := t.quota.take(time.Now()); ok {
			t.log.Error("a peer cannot be checked again; its connection goes on", append(t.facts(p), "error", err, "unsaid", dropped)...)
		}
		return false
	}
	// %v, as err is an alert that was not sent: the transport is cut.
	return p.cut(fmt.Errorf("%w: %v", errRevoked, err))
}
