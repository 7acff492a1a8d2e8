// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/record"
)

// The defaults of RekeyPolicy, far inside the ciphers' limits: RFC 9846, Section
// 5.5 allows 2^24.5 full records under one AES-GCM key.
const (
	defaultRekeyRecords  = 1 << 22
	defaultRekeyBytes    = 1 << 36
	defaultRekeyAge      = time.Hour
	defaultRekeyInterval = 150 * time.Millisecond // GnuTLS takes 8 changes a second
)

// withDefaults fills in what is zero, and turns negative into "none".
func (p RekeyPolicy) withDefaults() RekeyPolicy {
	if p.Records == 0 {
		p.Records = defaultRekeyRecords
	}
	if p.Bytes == 0 {
		p.Bytes = defaultRekeyBytes
	}
	if p.Age == 0 {
		p.Age = defaultRekeyAge
	}
	switch {
	case p.MinInterval == 0:
		p.MinInterval = defaultRekeyInterval
	case p.MinInterval < 0:
		p.MinInterval = 0
	}
	return p
}

// rekeyState is what a policy is applied to: the use of the present key.
type rekeyState struct {
	policy  RekeyPolicy
	since   time.Time // when the key came into use
	bytes   uint64    // plaintext sealed under it
	records uint64    // application records sealed under it
}

// due says whether keys of that age are to be changed before n more bytes are sealed in
// so many records, and why; 0 means not yet. owed is the peer's request, remaining
// what the cipher's limit leaves. It is a pure function of its arguments.
func (s *rekeyState) due(age time.Duration, n int, records uint64, owed bool, remaining uint64) RekeyReason {
	switch {
	case remaining < records:
		return RekeyLimit
	case owed:
		return RekeyOwed
	case s.records == 0 || age < s.policy.MinInterval:
		return 0
	case s.records+records > s.policy.Records:
		return RekeyRecords
	case s.bytes+uint64(n) > s.policy.Bytes:
		return RekeyBytes
	case s.policy.Age > 0 && age >= s.policy.Age:
		return RekeyAge
	}
	return 0
}

// chunk is how much of most may be sealed between two questions whether a change is
// due: what the policy leaves under this key, or allows under the next, and a full
// record at least.
func (s *rekeyState) chunk(most int) int {
	n := min(left(s.policy.Records, s.records), uint64(most)/record.MaxPlaintext) * record.MaxPlaintext
	return int(max(min(n, left(s.policy.Bytes, s.bytes)), record.MaxPlaintext))
}

// left is what is left of limit, or all of it when it is used up.
func left(limit, used uint64) uint64 {
	if used < limit {
		return limit - used
	}
	return limit
}

// rekeyIfDue seals a KeyUpdate into b and changes the keys, where that is due
// before n more bytes are sealed, and counts those. c.out.mu is held.
func (c *Conn) rekeyIfDue(b []byte, n int) ([]byte, error) {
	out := c.out
	records := uint64(out.sealer.RecordsFor(n))
	reason := out.rekey.due(time.Since(out.rekey.since), n, records, out.owed.Load(), out.sealer.Remaining())
	if reason != 0 {
		// Where there are no more keys (RFC 9846, Section 4.7.3) the present
		// ones serve until their limit, and a request is ignored.
		var err error
		if b, err = c.sealKeyUpdate(b, reason); err != nil && err != errNoMoreKeys {
			return b, err
		}
	}
	out.rekey.records += records
	out.rekey.bytes += uint64(n)
	out.counts.records.Add(records)
	out.counts.bytes.Add(uint64(n))
	return b, nil
}

// errNoMoreKeys is returned after 2^48-1 changes of keys.
var errNoMoreKeys = errors.New("mayfly: keys were changed as often as they may be")

// sealKeyUpdate appends a KeyUpdate under the present key and installs the next
// (RFC 9846, Section 4.7.3). Only Rekey asks the peer for a change of its own,
// and not while an earlier request is unanswered. c.out.mu is held.
func (c *Conn) sealKeyUpdate(b []byte, reason RekeyReason) ([]byte, error) {
	out := c.out
	out.owed.Store(false)
	request := reason == RekeyAsked && out.awaited.Load() == nil
	msg, next := out.sender.KeyUpdate(request)
	if next == nil {
		return b, errNoMoreKeys
	}
	b, err := out.sealer.SealReserved(b, record.Handshake, msg)
	if err != nil {
		next.Wipe()
		return b, err
	}
	if request {
		ch := make(chan struct{})
		out.awaited.Store(&ch)
	}
	generation := out.sender.Generation()
	out.sealer.SetKeys(next)
	c.tellKeys(&out.told, Sending, handshake.EpochApplication, generation, next)
	c.tell().rekeyed(RekeyInfo{Direction: Sending, Generation: generation, Reason: reason})
	out.counts.keys.Store(generation)
	out.rekey.since, out.rekey.bytes, out.rekey.records = time.Now(), 0, 0
	return b, nil
}

// Rekey changes the keys under which this side sends, now, and asks the peer to
// change its own. It returns when this side's are changed and the peer has been
// told; WaitPeer waits for the peer's. While an earlier request of this side is
// unanswered the peer is not asked again (RFC 9846, Section 4.7.3). Peers bound the
// KeyUpdates that they take in a row: crypto/tls ends the connection at the 17th without
// application data between them.
//
// New keys are derived from the old: an attacker who has stolen a key can follow.
// Rekey runs the handshake if that has not been done. A deadline for writing
// applies, and ctx's, whichever comes first.
func (c *Conn) Rekey(ctx context.Context) error {
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	c.out.callers.Add(1)
	defer c.out.callers.Add(-1)
	if err := c.out.mu.LockContext(ctx); err != nil {
		return err
	}
	defer c.unlockOut()
	defer c.deadlines.BoundBy(ctx, &c.deadlines.Write)()
	if err := c.writable(); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return c.writeErrorBy(ctx, err)
	}
	b, err := c.sealKeyUpdate(nil, RekeyAsked)
	if err == errNoMoreKeys {
		return err
	} else if err != nil {
		return c.writeError(err)
	}
	if err := c.send(b); err != nil {
		return c.writeErrorBy(ctx, err)
	}
	return nil
}

// writeErrorBy is writeError where a deadline may have been ctx's.
func (c *Conn) writeErrorBy(ctx context.Context, err error) error {
	err = c.writeError(err)
	if isTimeout(err) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// WaitPeer waits until the peer has changed its keys in answer to Rekey, and
// returns at once where no request is unanswered. Any change of the peer's after the
// request counts as the answer (RFC 9846, Section 4.7.3). Another goroutine must be in Read
// meanwhile, which finds the peer's KeyUpdate among the data. A mayfly peer answers just
// before its next data, or at Close: WaitPeer waits for as long as that peer has nothing to
// write, so bound it by ctx. It returns
// ctx's error, or net.ErrClosed when nothing more will be received.
func (c *Conn) WaitPeer(ctx context.Context) error {
	ch := c.out.awaited.Load()
	if ch == nil {
		return nil
	}
	select {
	case <-*ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.deaf.Done():
		return net.ErrClosed
	}
}

// peerUpdated notes that the peer has changed its keys, and owes it a change of
// ours where it asked for one. It runs in the read path and waits for nothing.
func (c *Conn) peerUpdated(requested bool, generation uint64) {
	if ch := c.out.awaited.Swap(nil); ch != nil {
		close(*ch)
	}
	if requested {
		c.out.owed.Store(true)
	}
	c.in.counts.keys.Store(generation)
	c.tell().rekeyed(RekeyInfo{Direction: Receiving, Generation: generation, Reason: RekeyPeer})
}
