// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// A register is a guard that forgets nothing, and fails while it is told to.
type register struct {
	mu   sync.Mutex
	away error
	uses []mayfly.EarlyUse
	seen map[[32]byte]bool
}

func (r *register) Admit(_ context.Context, use mayfly.EarlyUse) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away != nil {
		return false, r.away
	}
	if r.seen == nil {
		r.seen = make(map[[32]byte]bool)
	}
	r.uses = append(r.uses, use)
	first := !r.seen[use.Token]
	r.seen[use.Token] = true
	return first, nil
}

// A ticket that was used leads to a full handshake, and so does a guard that fails.
func TestTicketsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	once := new(register)
	r.server.Tickets.Once = once
	again := &replayingStore{put: make(chan struct{}, 16)}
	r.client.Sessions = again
	r.connect(t)
	<-again.put
	for n, resumed := range []bool{true, false, false} {
		c, s := r.connect(t)
		if c.Peer().Resumed != resumed || s.Peer().Resumed != resumed || s.Peer().Pin != r.client.Identity.Pin() {
			t.Errorf("connection %d: resumed: %v and %v", n, c.Peer().Resumed, s.Peer().Resumed)
		}
	}
	if len(once.uses) != 3 || once.uses[0].Token != once.uses[2].Token {
		t.Fatalf("the guard saw %v", once.uses)
	}
	if use := once.uses[0]; use.Until.Sub(use.Issued) != 24*time.Hour {
		t.Errorf("it was told to remember until %v a ticket of %v", use.Until, use.Issued)
	}

	r = newRig(t)
	once = new(register)
	r.server.Tickets.Once = once
	told := make(chan mayfly.SessionErrorInfo, 1)
	r.server.Trace = &mayfly.Trace{SessionError: func(_ context.Context, info mayfly.SessionErrorInfo) { told <- info }}
	r.connect(t)
	once.away = errors.New("the store is away")
	if c, _ := r.connect(t); c.Peer().Resumed {
		t.Error("resumed without the guard's word")
	}
	if info := <-told; info.Action != "once" || !errors.Is(info.Err, once.away) {
		t.Errorf("%+v", info)
	}
	once.away = nil
	if c, _ := r.connect(t); !c.Peer().Resumed {
		t.Error("not resumed when the guard was back")
	}
}

// Who does not hold the session uses up nobody's ticket.
func TestTicketsOnceProof(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	once := new(register)
	r.server.Tickets.Once = once
	r.connect(t)
	r.server.Peers = mayfly.AllOf(r.server.Peers, mayfly.Verify(func(_ context.Context, p mayfly.Peer) error {
		if p.Resumed {
			return errors.New("not by a session")
		}
		return nil
	}))
	if c, _ := r.connect(t); c.Peer().Resumed || len(once.uses) != 0 {
		t.Errorf("resumed: %v; the guard saw %v of a session that Peers refused", c.Peer().Resumed, once.uses)
	}
}

func TestTicketsOnceConfig(t *testing.T) {
	r := newRig(t)
	r.server.Tickets.Once = mayfly.NewReplayGuard(0)
	if _, err := mayfly.Listen("tcp", "127.0.0.1:0", r.server); err == nil || !strings.Contains(err.Error(), "Tickets.Once") {
		t.Errorf("a guard that forgets was taken: %v", err)
	}
}
