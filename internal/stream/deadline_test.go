// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package stream

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A recorder notes the deadlines that are set on a connection.
type recorder struct {
	net.Conn
	read, write time.Time
	sets        int
}

func (r *recorder) SetReadDeadline(t time.Time) error  { r.read, r.sets = t, r.sets+1; return nil }
func (r *recorder) SetWriteDeadline(t time.Time) error { r.write, r.sets = t, r.sets+1; return nil }

func newDeadlines() (*Deadlines, *recorder) {
	r, d := new(recorder), new(Deadlines)
	d.Init(r)
	return d, r
}

func at(second int64) time.Time { return time.Unix(1_700_000_000+second, 0) }

func TestEarliestDeadlineIsSet(t *testing.T) {
	d, r := newDeadlines()
	_ = d.Read.SetCaller(at(20))
	lift10, _ := d.Read.Bound(at(10))
	lift30, _ := d.Read.Bound(at(30))
	if r.read != at(10) || !r.write.IsZero() {
		t.Errorf("read %v, write %v", r.read, r.write)
	}
	if lift10(); r.read != at(20) {
		t.Errorf("without the bound: %v", r.read)
	}
	if _ = d.Read.SetCaller(time.Time{}); r.read != at(30) {
		t.Errorf("without the caller's: %v", r.read)
	}
	if lift30(); !r.read.IsZero() {
		t.Errorf("without any: %v", r.read)
	}
}

func TestLastReplacesAllOthers(t *testing.T) {
	d, r := newDeadlines()
	_ = d.Write.SetCaller(at(1))
	_, _ = d.Write.Bound(at(2))
	if d.Write.Last(at(3)); r.write != at(3) {
		t.Errorf("Last: %v", r.write)
	}
	if _, err := d.Write.Bound(Past); err != nil || r.write != at(3) {
		t.Errorf("a bound in the past after Last: %v, %v", r.write, err)
	}
}

func TestReleaseLiftsDeadlinesForGood(t *testing.T) {
	d, r := newDeadlines()
	_ = d.Read.SetCaller(at(1))
	d.Release()
	sets := r.sets
	if _, _ = d.Write.Bound(at(2)); !r.read.IsZero() || r.sets != sets {
		t.Errorf("after Release: read %v, %d more were set", r.read, r.sets-sets)
	}
}

func TestBoundByEndsWithItsContext(t *testing.T) {
	d, r := newDeadlines()
	ctx, cancel := context.WithCancel(t.Context())
	lift := d.BoundBy(ctx, &d.Read)
	cancel()
	if lift(); !r.read.IsZero() || r.sets < 2 {
		t.Errorf("after the lift: %v, set %d times", r.read, r.sets)
	}
}

func TestAcquireReturnsAtTheCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDeadlines()
		m, over := NewChanMutex(), make(chan struct{})
		if err := d.Read.Acquire(m, over); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_ = d.Read.SetCaller(begin.Add(time.Second))
		if err := d.Read.Acquire(m, over); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		_ = d.Read.SetCaller(time.Time{})
		go close(over)
		if err := d.Read.Acquire(m, over); !errors.Is(err, net.ErrClosed) {
			t.Errorf("when it is over: %v", err)
		}
		m.Unlock()
		if !m.TryLock() || m.TryLock() || m.LockWithin(time.Second) {
			t.Error("a mutex that is locked was locked again, or one that is not was not")
		}
	})
}
