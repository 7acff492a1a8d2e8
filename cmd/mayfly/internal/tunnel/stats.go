// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// Stats are counts since a tunnel began.
type Stats struct {
	Live int // connections that are there

	Accepted    uint64 // that came in, and found a place
	Ended       uint64 // of those, which ended orderly, both halves by themselves
	Cut         uint64 // that a failure or a limit has ended; Idle and Revoked among them
	Idle        uint64
	Revoked     uint64 // cut by Recheck
	Crowded     uint64 // closed at once, because as many as are allowed were there
	Unreachable uint64 // targets, or servers, that did not answer
	Refused     uint64 // handshakes in which one side did not accept the other
	Failed      uint64 // handshakes that failed for another reason
	HandedOn    uint64 // given to another process
	TakenOver   uint64 // taken from another process

	Sent, Received uint64 // bytes of data over mayfly, of connections that are there, too
}

// Stats returns the counts so far.
func (t *Tunnel) Stats() Stats {
	c := &t.counts
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Stats{
		Live:     t.opening + len(t.pairs),
		Accepted: c.accepted.Load(), Ended: c.orderly.Load(), Cut: c.cut.Load(), Idle: c.idle.Load(), Revoked: c.revoked.Load(),
		Crowded: c.crowded.Load(), Unreachable: c.unreachable.Load(),
		Refused: c.refused.Load(), Failed: c.failed.Load(),
		HandedOn: c.handedOn.Load(), TakenOver: c.takenOver.Load(),
		Sent: c.sent.Load(), Received: c.received.Load(),
	}
	for p := range t.pairs {
		s.Sent += p.up.bytes.Load()
		s.Received += p.down.bytes.Load()
	}
	return s
}

type counts struct {
	accepted, orderly, cut, idle, revoked, crowded, unreachable, refused, failed, handedOn, takenOver atomic.Uint64
	sent, received                                                                                    atomic.Uint64 // of pairs that are no more
}

// ended counts a pair that has been forgotten.
func (c *counts) ended(p *pair, err error) {
	c.sent.Add(p.up.bytes.Load())
	c.received.Add(p.down.bytes.Load())
	switch {
	case err == nil:
		c.orderly.Add(1)
		return
	case errors.Is(err, mayfly.ErrDetached):
		return
	}
	c.cut.Add(1)
	switch {
	case errors.Is(err, errIdle):
		c.idle.Add(1)
	case errors.Is(err, errRevoked):
		c.revoked.Add(1)
	case refusal(err):
		c.refused.Add(1) // in TLS 1.3 a client learns of it when it reads
	}
}

// countDial counts a server that could not be reached.
func (c *counts) countDial(err error) {
	_, upstream := errors.AsType[*upstreamError](err)
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" || upstream || errors.Is(err, context.DeadlineExceeded) {
		c.unreachable.Add(1)
		return
	}
	c.countHandshake(err)
}

func (c *counts) countHandshake(err error) {
	if refusal(err) {
		c.refused.Add(1)
	} else {
		c.failed.Add(1)
	}
}

// refusal reports whether one side did not accept the other.
func refusal(err error) bool {
	if errors.Is(err, mayfly.ErrPeerRefused) {
		return true
	}
	e, ok := errors.AsType[*mayfly.AlertError](err)
	if !ok {
		return false
	}
	switch e.Code.String() {
	case "bad_certificate", "unsupported_certificate", "certificate_revoked", "certificate_expired",
		"certificate_unknown", "certificate_required", "unknown_ca", "access_denied", "unrecognized_name":
		return true
	}
	return false
}

// trace tells, on a server, of connections that are not handed out.
func (t *Tunnel) trace() *mayfly.Trace {
	failed := func(remote net.Addr, err error) {
		t.mu.Lock()
		t.counts.countHandshake(err)
		t.changed()
		t.mu.Unlock()
		if unsaid, ok := t.quota.take(time.Now()); ok {
			t.log.Warn("handshake failed", "remote", text(remote), "error", err, "unsaid", unsaid)
		}
	}
	return &mayfly.Trace{
		HandshakeDone: func(_ context.Context, i mayfly.HandshakeInfo) {
			if i.Err != nil {
				failed(i.RemoteAddr, i.Err)
			}
		},
		AcceptError: func(_ context.Context, i mayfly.AcceptErrorInfo) {
			if i.RemoteAddr != nil {
				failed(i.RemoteAddr, i.Err)
				return
			}
			if failures, ok := t.unaccepted.Take(time.Now()); ok {
				t.log.Warn(notAccepted, "error", i.Err, "failures", failures)
			}
		},
	}
}

// say logs what concerns a connection that has come in. Strangers and a target that is
// away can cause any number of such lines.
func (t *Tunnel) say(level slog.Level, what string, in net.Conn, attrs ...any) {
	unsaid, ok := t.quota.take(time.Now())
	if !ok {
		return
	}
	attrs = append([]any{"remote", text(in.RemoteAddr())}, attrs...)
	if secure, ok := in.(*mayfly.Conn); ok {
		attrs = append(attrs, peerFacts(secure.Peer())...)
	}
	if unsaid > 0 {
		attrs = append(attrs, "unsaid", unsaid)
	}
	t.log.Log(t.ctx, level, what, attrs...)
}

// facts are what a log says of a pair.
func (t *Tunnel) facts(p *pair) []any {
	facts := []any{"secure", text(p.secure.RemoteAddr()), "plain", text(p.plain.RemoteAddr())}
	return append(facts, peerFacts(p.secure.Peer())...)
}

func peerFacts(peer mayfly.Peer) []any {
	facts := []any{"kind", peer.Kind.String()}
	if peer.Pin != (mayfly.Pin{}) {
		facts = append(facts, "pin", peer.Pin.String())
	}
	if peer.Name != "" {
		facts = append(facts, "peer", peer.Name)
	}
	return facts
}

func text(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// linesPerSecond is how many lines about failures the log gets in a second.
const linesPerSecond = 10

// A quota bounds what strangers can write into the log.
type quota struct {
	mu             sync.Mutex
	second         int64
	said, leftOver int
}

// take asks for one line; unsaid is how many were not granted since the last.
func (q *quota) take(now time.Time) (unsaid int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := now.Unix(); s != q.second {
		q.second, q.said = s, 0
	}
	if q.said >= linesPerSecond {
		q.leftOver++
		return 0, false
	}
	q.said++
	unsaid, q.leftOver = q.leftOver, 0
	return unsaid, true
}
