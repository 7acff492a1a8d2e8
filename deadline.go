// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// deadlines keeps the caller's deadlines apart from the library's own bounds, and
// sets the earliest on the inner connection: a handshake's limit, a context's end
// and Close's hurry never overwrite one another, nor what the caller set.
type deadlines struct{ read, write deadline }

// deadline is that of one direction.
type deadline struct {
	inner net.Conn
	set   func(net.Conn, time.Time) error // the inner connection's

	mu      sync.Mutex
	caller  time.Time
	bounds  []*time.Time
	ending  bool          // last was called
	changed chan struct{} // closed at the caller's next change; nil while nobody waits
}

func (d *deadlines) init(inner net.Conn) {
	d.read.inner, d.read.set = inner, net.Conn.SetReadDeadline
	d.write.inner, d.write.set = inner, net.Conn.SetWriteDeadline
}

// release lifts all deadlines from the inner connection, which is another's from now
// on: nothing that is under way here can set one any more.
func (d *deadlines) release() {
	for _, side := range []*deadline{&d.read, &d.write} {
		side.mu.Lock()
		_ = side.set(side.inner, time.Time{})
		side.set = func(net.Conn, time.Time) error { return nil }
		side.mu.Unlock()
	}
}

// last sets the deadline of what ends the connection, in place of all others; the zero
// time is none.
func (d *deadline) last(t time.Time) {
	d.mu.Lock()
	d.bounds, d.ending = []*time.Time{&t}, true
	d.mu.Unlock()
	_ = d.setCaller(time.Time{})
}

// setCaller sets what the caller wants.
func (d *deadline) setCaller(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.caller = t
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
	return d.apply()
}

// bound adds a limit of ours until lift is called; after last, none in the past. err is the
// inner connection's, of those that have no deadlines.
func (d *deadline) bound(t time.Time) (lift func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending && t.Equal(aLongTimeAgo) {
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
func (d *deadline) apply() error {
	t := d.caller
	for _, b := range d.bounds {
		if t.IsZero() || b.Before(t) {
			t = *b
		}
	}
	return d.set(d.inner, t)
}

// expired reports whether the caller's deadline has passed.
func (d *deadline) expired() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return expired(d.caller)
}

// boundBy bounds sides by ctx until lift is called. A connection without deadlines
// is closed when ctx ends.
func (d *deadlines) boundBy(ctx context.Context, sides ...*deadline) (lift func()) {
	done := make(chan struct{})
	var lifts []func()
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		for _, side := range sides {
			lift, err := side.bound(aLongTimeAgo)
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

// acquire takes the token from baton, unless the caller's deadline passes or the
// connection is over first.
func (d *deadline) acquire(baton gate, over <-chan struct{}) error {
	for {
		d.mu.Lock()
		when := d.caller
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

// expired reports whether the deadline t, if it is one, has passed.
func expired(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }
