// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package stream

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mayfly-tls/mayfly/internal/callback"
)

// Past is a deadline that has passed.
var Past = time.Unix(1, 0)

// Deadlines keeps the caller's deadlines apart from the library's own bounds, and
// sets the earliest on the inner connection: a handshake's limit, a context's end
// and Close's hurry never overwrite one another, nor what the caller set.
type Deadlines struct{ Read, Write Deadline }

// A Deadline is that of one direction. It is safe for concurrent use.
type Deadline struct {
	inner net.Conn
	set   func(net.Conn, time.Time) error // the inner connection's

	mu      sync.Mutex
	caller  time.Time
	bounds  []*time.Time
	ending  bool          // Last was called
	changed chan struct{} // closed at the caller's next change; nil while nobody waits
}

// Init sets the inner connection.
func (d *Deadlines) Init(inner net.Conn) {
	d.Read.inner, d.Read.set = inner, net.Conn.SetReadDeadline
	d.Write.inner, d.Write.set = inner, net.Conn.SetWriteDeadline
}

// Release lifts all deadlines from the inner connection, which is another's from now
// on: nothing that is under way here can set one any more.
func (d *Deadlines) Release() {
	for _, side := range []*Deadline{&d.Read, &d.Write} {
		side.mu.Lock()
		_ = side.set(side.inner, time.Time{})
		side.set = func(net.Conn, time.Time) error { return nil }
		side.mu.Unlock()
	}
}

// Last sets the deadline of what ends the connection, in place of all others; the zero
// time is none.
func (d *Deadline) Last(t time.Time) {
	d.mu.Lock()
	d.bounds, d.ending = []*time.Time{&t}, true
	d.mu.Unlock()
	_ = d.SetCaller(time.Time{})
}

// SetCaller sets what the caller wants.
func (d *Deadline) SetCaller(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.caller = t
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
	return d.apply()
}

// Bound adds a limit of ours until lift is called; after Last, none in the past. err is the
// inner connection's, of those that have no deadlines.
func (d *Deadline) Bound(t time.Time) (lift func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending && t.Equal(Past) {
		return func() {}, nil
	}
	b := &t
	d.bounds = append(d.bounds, b)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.bounds = slices.DeleteFunc(d.bounds, func(c *time.Time) bool { return c == b })
		_ = d.apply()
	}, d.apply()
}

// apply sets the earliest on the inner connection. d.mu is held.
func (d *Deadline) apply() error {
	t := d.caller
	for _, b := range d.bounds {
		if t.IsZero() || b.Before(t) {
			t = *b
		}
	}
	return d.set(d.inner, t)
}

// Expired reports whether the caller's deadline has passed.
func (d *Deadline) Expired() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Expired(d.caller)
}

// BoundBy bounds sides by ctx until lift is called. A connection without deadlines
// is closed when ctx ends.
func (d *Deadlines) BoundBy(ctx context.Context, sides ...*Deadline) (lift func()) {
	done := make(chan struct{})
	var lifts []func()
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		for _, side := range sides {
			lift, err := side.Bound(Past)
			if lifts = append(lifts, lift); err != nil {
				_ = side.inner.Close()
			}
		}
	})
	return func() {
		if !stop() {
			<-done
			for _, lift := range lifts {
				lift()
			}
		}
	}
}

// Acquire locks m, unless the caller's deadline passes or the
// connection is over first.
func (d *Deadline) Acquire(m ChanMutex, over <-chan struct{}) error {
	for {
		d.mu.Lock()
		when := d.caller
		if d.changed == nil {
			d.changed = make(chan struct{})
		}
		changed := d.changed
		d.mu.Unlock()
		if Expired(when) {
			return os.ErrDeadlineExceeded
		}
		var passed <-chan time.Time
		if !when.IsZero() {
			t := time.NewTimer(time.Until(when))
			defer t.Stop()
			passed = t.C
		}
		select {
		case <-m:
			return nil
		case <-over:
			return net.ErrClosed
		case <-passed:
		case <-changed:
		}
	}
}

// Expired reports whether the deadline t, if it is one, has passed.
func Expired(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// Meanwhile calls step on a goroutine of its own until it returns false, or stop is
// called. stop sets a deadline in the past, so that a step which reads returns. It closes
// a connection without deadlines, or one whose deadlines have no effect. A panic of the
// connection is logged.
func (d *Deadline) Meanwhile(log *callback.Log, step func() bool) (stop func()) {
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for more := true; more && !stopped.Load(); {
			more = false
			callback.Isolate(log, func() { more = step() })
		}
	}()
	return func() {
		stopped.Store(true)
		lift, err := d.Bound(Past)
		if err != nil {
			_ = d.inner.Close()
		}
		defer time.AfterFunc(100*time.Millisecond, func() { _ = d.inner.Close() }).Stop()
		<-done
		lift()
	}
}
