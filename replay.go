// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/replay"
)

// A ReplayGuard sees to it that early data is accepted once for each ticket (RFC
// 9846, Section 8). Where several servers accept each other's tickets they must share
// one, or the early data of a ticket can be replayed to each of them.
type ReplayGuard interface {
	// Admit reports whether this is the first use of its Token, and remembers it
	// until use.Until at least. The two must be one step. Where that cannot be
	// said for certain (memory is full, or was lost since use.Issued, or a
	// store does not answer) it returns false or an error: early data is refused
	// then, and the handshake goes on. It is called by many handshakes at the
	// same time, each of which waits for it: ctx ends with the handshake's.
	Admit(ctx context.Context, use EarlyUse) (bool, error)
}

// An EarlyUse is an attempt to send early data under a ticket, or, for
// TicketPolicy.Once, to resume with one.
type EarlyUse struct {
	Token  [32]byte  // stands for the ticket
	Issued time.Time // when the ticket was made
	Now    time.Time // by the server's clock, Config.Time
	Until  time.Time // when a replay would be refused for its age alone
}

// NewReplayGuard returns a ReplayGuard in memory that remembers at most size
// tickets; with size 0, 65536, of about 100 bytes each. For its first 20 seconds, or twice
// Config.MaxTicketAgeSkew, it refuses tickets that are older than itself, or of the same
// millisecond: an earlier run of the program may have accepted them. A clock that was set back makes what was
// forgotten fresh again: it refuses all tickets until the clock is where it was before.
// It cannot know of a clock that was set back between two runs of the program: where the
// ticket keys outlive these, and clocks are not to be trusted, so should the guard. Configs
// that share it best have the same MaxTicketAgeSkew: one with a larger one that comes later
// has it begin anew.
func NewReplayGuard(size int) ReplayGuard {
	return newMemoryGuard(size, time.Now())
}

func newMemoryGuard(size int, now time.Time) *memoryGuard {
	return &memoryGuard{replay.NewGuard(size, now, replayWindow)}
}

type memoryGuard struct{ *replay.Guard }

// replayWindow is for how long a use can be replayed before it is refused for its
// age: what the client's clock may be behind, and what it may be ahead. It is longer
// where Config.MaxTicketAgeSkew is.
const replayWindow = 2 * (freshness + time.Millisecond)

func (g *memoryGuard) Admit(_ context.Context, use EarlyUse) (bool, error) {
	return g.Guard.Admit(replay.Use(use)), nil
}

// acceptEarly decides about early data under a session that is being resumed. The
// binder was checked and the peer judged before.
func (i *introduction) acceptEarly(psk *handshake.PSK) bool {
	origin, ok := psk.Origin.(*session)
	guard := i.settings.replay
	if !ok || guard == nil || !i.wantsEarly {
		return false
	}
	i.earlyRefusal = EarlyDataTicketAge
	issued, expected := origin.times()
	fresh := i.settings.maxTicketAgeSkew()
	now := i.settings.now()
	// Tickets count in milliseconds: what is less than one beyond the limit is fresh.
	if skew := now.Sub(expected); skew >= fresh+time.Millisecond || skew <= -fresh-time.Millisecond {
		return false // RFC 9846, Section 8.3
	}
	i.earlyRefusal = EarlyDataReplayed
	first, err := guard.Admit(i.ctx, EarlyUse{
		Token: sha256.Sum256(psk.Identity), Issued: issued, Now: now, Until: expected.Add(fresh + time.Millisecond),
	})
	return err == nil && first
}

// skippedEarlyData is more than a client may have sent of refused early data, in bytes
// without the overhead of their records: a full record where no ticket of ours is known,
// and what the Config or the client's ticket allows, whichever is more, twice, as padding
// cannot be told from data.
func (i *introduction) skippedEarlyData() int {
	return 1<<14 + 2*max(i.settings.MaxEarlyData, i.ticketEarly) + 1
}
