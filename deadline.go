// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"net"
	"os"
	"sync"
	"time"
)

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// deadlines keeps the caller's deadlines apart from the library's own bounds,
// and sets the earlier of the two on the inner connection: a handshake's limit
// or Close's hurry never overwrites what the caller set.
type deadlines struct {
	inner net.Conn

	mu                sync.Mutex
	read, write       time.Time // the caller's
	maxRead, maxWrite time.Time // ours, zero when there is none
	life              time.Time // when MaxLifetime ends, zero when it does not

	changed chan struct{} // closed at the caller's next change; nil while nobody waits
}

// A direction says whose deadline is meant: a caller's of Read, or of Write.
type direction func(*deadlines) time.Time

func reading(d *deadlines) time.Time { return d.read }
func writing(d *deadlines) time.Time { return d.write }

// acquire takes the token from baton, unless the caller's deadline passes or the
// connection is over first.
func (d *deadlines) acquire(baton, over <-chan struct{}, whose direction) error {
	for {
		d.mu.Lock()
		when := whose(d)
		if d.changed == nil {
			d.changed = make(chan struct{})
		}
		changed := d.changed
		d.mu.Unlock()
		if expired(when) {
			return os.ErrDeadlineExceeded
		}
		var passed <-chan time.Time
		if !when.IsZero() {
			t := time.NewTimer(time.Until(when))
			defer t.Stop()
			passed = t.C
		}
		select {
		case <-baton:
			return nil
		case <-over:
			return net.ErrClosed
		case <-passed:
		case <-changed:
		}
	}
}

// notify wakes those who wait in acquire. d.mu is held.
func (d *deadlines) notify() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// setLife bounds everything from now on by t.
func (d *deadlines) setLife(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life = t
	_ = d.inner.SetReadDeadline(d.effective(d.read, d.maxRead))
	_ = d.inner.SetWriteDeadline(d.effective(d.write, d.maxWrite))
}

// lifeOver reports whether MaxLifetime has passed.
func (d *deadlines) lifeOver() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return expired(d.life)
}

func (d *deadlines) effective(callers, ours time.Time) time.Time {
	return earlier(earlier(callers, ours), d.life)
}

func (d *deadlines) setRead(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read = t
	d.notify()
	return d.inner.SetReadDeadline(d.effective(d.read, d.maxRead))
}

func (d *deadlines) setWrite(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write = t
	d.notify()
	return d.inner.SetWriteDeadline(d.effective(d.write, d.maxWrite))
}

// boundRead and boundWrite set our own limit, and lift it when t is zero.
func (d *deadlines) boundRead(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.maxRead = t
	_ = d.inner.SetReadDeadline(d.effective(d.read, d.maxRead))
}

func (d *deadlines) boundWrite(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.maxWrite = t
	_ = d.inner.SetWriteDeadline(d.effective(d.write, d.maxWrite))
}

// boundReadBy and boundWriteBy bound reading and writing by ctx, until the
// function that they return is called.
func (d *deadlines) boundReadBy(ctx context.Context) (stop func()) {
	return boundBy(ctx, d.boundRead)
}

func (d *deadlines) boundWriteBy(ctx context.Context) (stop func()) {
	return boundBy(ctx, d.boundWrite)
}

func boundBy(ctx context.Context, bound func(time.Time)) (stop func()) {
	done := make(chan struct{})
	end := context.AfterFunc(ctx, func() { bound(aLongTimeAgo); close(done) })
	return func() {
		if !end() {
			<-done
			bound(time.Time{})
		}
	}
}

// writeExpired reports whether the caller's deadline has passed.
func (d *deadlines) writeExpired() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return expired(d.write)
}

// expired reports whether the deadline t, if it is one, has passed.
func expired(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// earlier returns the earlier of two deadlines, where zero means none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
