// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-tls/mayfly/internal/stream"
	"github.com/mayfly-tls/mayfly/record"
)

// TestRekeyDue holds the policy against a table: there is no clock in it.
func TestRekeyDue(t *testing.T) {
	const full = record.MaxPlaintext
	byRecords := RekeyPolicy{Records: 100, MinInterval: -1}
	byBytes := RekeyPolicy{Bytes: 1000, MinInterval: -1}
	byAge := RekeyPolicy{Age: time.Minute, MinInterval: -1}
	seldom := RekeyPolicy{Records: 1, Bytes: 1, Age: 1, MinInterval: time.Second}
	for _, test := range []struct {
		name      string
		policy    RekeyPolicy
		age       time.Duration // of the key
		records   uint64        // under it
		bytes     uint64
		n         int // bytes to come, in next records
		next      uint64
		owed      bool
		remaining uint64
		want      RekeyReason
	}{
		{"a new key", byRecords, 0, 0, 0, 1, 1, false, math.MaxUint64, 0},
		{"the last record", byRecords, 0, 99, 99, 1, 1, false, math.MaxUint64, 0},
		{"one too many", byRecords, 0, 100, 100, 1, 1, false, math.MaxUint64, RekeyRecords},
		{"several that fit", byRecords, 0, 92, 0, 8 * full, 8, false, math.MaxUint64, 0},
		{"several that do not", byRecords, 0, 93, 0, 8 * full, 8, false, math.MaxUint64, RekeyRecords},
		{"the last bytes", byBytes, 0, 1, 900, 100, 1, false, math.MaxUint64, 0},
		{"one byte too many", byBytes, 0, 1, 900, 101, 1, false, math.MaxUint64, RekeyBytes},
		{"more than the policy, under a new key", byBytes, 0, 0, 0, 5000, 1, false, math.MaxUint64, 0},
		{"a young key", byAge, time.Minute - 1, 1, 1, 1, 1, false, math.MaxUint64, 0},
		{"an old key", byAge, time.Minute, 1, 1, 1, 1, false, math.MaxUint64, RekeyAge},
		{"an old key that nothing was sealed under", byAge, time.Hour, 0, 0, 1, 1, false, math.MaxUint64, 0},
		{"no age", RekeyPolicy{Age: -1, MinInterval: -1}, 1e6 * time.Hour, 1, 1, 1, 1, false, math.MaxUint64, 0},
		{"too soon", seldom, time.Second - 1, 9, 9, 9, 1, false, math.MaxUint64, 0},
		{"soon enough", seldom, time.Second, 9, 9, 9, 1, false, math.MaxUint64, RekeyRecords},
		{"owed too soon", seldom, 0, 0, 0, 9, 1, true, math.MaxUint64, RekeyOwed},
		{"at the limit", byRecords, 0, 1, 1, 9, 1, false, 1, 0},
		{"past the limit", byRecords, 0, 1, 1, 9, 1, false, 0, RekeyLimit},
		{"past the limit too soon", seldom, 0, 0, 0, 1, 8, false, 7, RekeyLimit},
		{"past the limit and owed", byRecords, 0, 1, 1, 9, 1, true, 0, RekeyLimit},
		{"the defaults, at their limit", RekeyPolicy{}, time.Hour - 1, defaultRekeyRecords - 8, defaultRekeyBytes - 8*full, 8 * full, 8, false, 8, 0},
		{"the default number", RekeyPolicy{}, time.Second, defaultRekeyRecords, 0, 1, 1, false, 8, RekeyRecords},
		{"the default volume", RekeyPolicy{}, time.Second, 1, defaultRekeyBytes, 1, 1, false, 8, RekeyBytes},
		{"the default age", RekeyPolicy{}, time.Hour, 1, 1, 1, 1, false, 8, RekeyAge},
		{"the default interval", RekeyPolicy{Records: 1}, defaultRekeyInterval - 1, 1, 1, 1, 1, false, 8, 0},
	} {
		s := rekeyState{policy: test.policy.withDefaults(), records: test.records, bytes: test.bytes}
		if got := s.due(test.age, test.n, test.next, test.owed, test.remaining); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// keyEvents has the Rekeyed hooks of a connection tell a test.
func keyEvents(c *Conn) <-chan RekeyInfo {
	events := make(chan RekeyInfo, 100)
	told := c.tell()
	told.trace = &Trace{Rekeyed: func(_ context.Context, info RekeyInfo) { events <- info }}
	c.teller.Store(&told)
	return events
}

// nearLimit gives c keys that may seal n records, and their reserve.
func nearLimit(t *testing.T, c *Conn, n uint64) {
	t.Helper()
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	msg, next := c.out.sender.KeyUpdate(false)
	b, err := c.out.sealer.SealReserved(nil, record.Handshake, msg)
	if err != nil {
		t.Fatal(err)
	}
	limited := *next.Suite
	limited.Limit = n + record.Reserve
	next.Suite = &limited
	c.out.sealer.SetKeys(next)
	c.out.pending = append(c.out.pending, b...)
}

// TestRekeyAtLimit has a key come to its limit: keys are changed by themselves,
// whatever the policy says, and the peer opens every record, each under the next
// sequence number.
func TestRekeyAtLimit(t *testing.T) {
	victim, peer := hostilePair(t)
	nearLimit(t, victim, 10)
	events := keyEvents(victim)
	got := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(peer, make([]byte, 50))
		got <- err
	}()
	for range 50 {
		if _, err := victim.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 {
		t.Fatalf("%d changes of keys", len(events))
	}
	if e := <-events; e.Reason != RekeyLimit || e.Direction != Sending || e.Generation != 2 {
		t.Errorf("%+v", e)
	}
}

// TestHardLimitEnds has a key come to its limit when keys cannot be changed any
// more: Write returns an error, the peer learns why out of the reserve, and every
// record before opens.
func TestHardLimitEnds(t *testing.T) {
	victim, peer := hostilePair(t)
	nearLimit(t, victim, 10)
	victim.out.sender.Wipe() // as after 2^48-1 changes
	got := make(chan error, 2)
	go func() {
		_, err := io.ReadFull(peer, make([]byte, 10))
		got <- err
		_, err = peer.Read(make([]byte, 1))
		got <- err
	}()
	for range 10 {
		if _, err := victim.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	n, err := victim.Write([]byte("y"))
	var local, remote *AlertError
	if n != 0 || !errors.Is(err, record.ErrLimit) || !errors.As(err, &local) || local.Remote {
		t.Fatalf("Write past the limit: %d, %v", n, err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.As(err, &remote) || !remote.Remote || remote.Code.String() != "internal_error" {
		t.Errorf("the peer's Read: %v", err)
	}
	if _, again := victim.Write([]byte("z")); again != err {
		t.Errorf("Write after it: %v", again)
	}
	if _, again := victim.Read(make([]byte, 1)); again != err {
		t.Errorf("Read after it: %v", again)
	}
}

// A flood is a transport whose Read never ends: it is full of what next makes.
type flood struct {
	net.Conn
	next func() []byte
	rest []byte

	read, reads int
	written     []byte
}

func (f *flood) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(f.rest) == 0 {
			if f.rest = f.next(); f.rest == nil {
				break
			}
		}
		k := copy(p[n:], f.rest)
		n, f.rest = n+k, f.rest[k:]
	}
	f.read += n
	f.reads++
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *flood) Write(p []byte) (int, error) {
	f.written = append(f.written, p...)
	return len(p), nil
}

// update seals a KeyUpdate and changes the keys; nothing is written.
func (c *Conn) update(t *testing.T, b []byte, request bool) []byte {
	t.Helper()
	msg, next := c.out.sender.KeyUpdate(request)
	b, err := c.out.sealer.SealReserved(b, record.Handshake, msg)
	if err != nil {
		t.Fatal(err)
	}
	c.out.sealer.SetKeys(next)
	return b
}

// many is 10^5, and a tenth of it under the race detector, which has little to
// find in one goroutine.
var many = map[bool]int{false: 100_000, true: 10_000}[underRace]

// TestKeyUpdateFlood has 10^5 KeyUpdates ready for a victim that reads as much as
// it likes: it takes in one buffer of them, opens no more than its budget, and
// ends the connection with an alert.
func TestKeyUpdateFlood(t *testing.T) {
	for _, request := range []bool{false, true} {
		victim, hostile := hostilePair(t)
		made := 0
		f := &flood{Conn: victim.inner, next: func() []byte {
			if made++; made > many {
				return nil
			}
			return hostile.update(t, nil, request)
		}}
		victim.inner = f
		_, err := victim.Read(make([]byte, 1))
		var e *AlertError
		if !errors.As(err, &e) || e.Remote || e.Code.String() != "unexpected_message" {
			t.Fatal(err)
		}
		if n := victim.Stats().KeysReceived; n > maxKeyUpdates {
			t.Errorf("%d changes were carried out", n)
		}
		if f.reads > 1 || f.read > stream.RecordBuffer || !victim.in.Empty() || victim.in.assembler.Pending() {
			t.Errorf("%d bytes in %d reads; a buffer is left: %v", f.read, f.reads, !victim.in.Empty())
		}
		if _, again := victim.Read(make([]byte, 1)); again != err || f.reads > 1 {
			t.Errorf("another Read: %v, %d reads", again, f.reads)
		}
		typ, alert, err := hostile.in.opener.Open(f.written)
		if err != nil || typ != record.Alert || alert[1] != byte(e.Code) {
			t.Errorf("the victim wrote %d bytes, not one alert: %v", len(f.written), err)
		}
	}
}

// TestKeyUpdatesWithData receives 10^5 KeyUpdates that each come with a byte of
// data, half of them asking for one of ours, and holds no more memory for it.
func TestKeyUpdatesWithData(t *testing.T) {
	victim, peer := hostilePair(t)
	made := 0
	f := &flood{Conn: victim.inner, next: func() []byte {
		if made++; made > many {
			return nil
		}
		b := peer.update(t, nil, made%2 == 0)
		b, err := peer.out.sealer.Seal(b, record.ApplicationData, []byte{byte(made)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}}
	victim.inner = f
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b := make([]byte, 64)
	for n := 0; n < many; {
		k, err := victim.Read(b)
		if err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
		for _, c := range b[:k] {
			if n++; c != byte(n) {
				t.Fatalf("byte %d is %d", n, c)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := victim.Stats().KeysReceived; n != uint64(many) {
		t.Errorf("%d changes of keys", n)
	}
	if after.HeapAlloc > before.HeapAlloc+1<<20 {
		t.Errorf("%d bytes are held, %d were before", after.HeapAlloc, before.HeapAlloc)
	}
	if len(f.written) != 0 {
		t.Error("the read path wrote")
	}
	// What was asked for many times is answered once, before the next data.
	for range 2 {
		if _, err := victim.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if n := victim.Stats().KeysSent; n != 1 {
		t.Errorf("%d answers", n)
	}
	typ, _, err := peer.in.opener.Open(f.written[:record.HeaderLen+5+1+16])
	if err != nil || typ != record.Handshake {
		t.Errorf("the first record of the answer: %v, %v", typ, err)
	}
}

// TestKeyUpdatesInOneRecord refuses messages behind a KeyUpdate under the old key,
// and a KeyUpdate that goes on in the next record under any key.
func TestKeyUpdatesInOneRecord(t *testing.T) {
	update := []byte{24, 0, 0, 1, 0}
	for name, content := range map[string][]byte{
		"two":          append(update[:5:5], update...),
		"three":        append(append(update[:5:5], update...), update...),
		"one and part": append(update[:5:5], 24),
	} {
		victim, hostile := hostilePair(t)
		go func() { _ = hostile.hostile(record.Handshake, content) }()
		go func() { _, _ = io.Copy(io.Discard, hostile.inner) }()
		var e *AlertError
		if _, err := victim.Read(make([]byte, 1)); !errors.As(err, &e) || e.Remote || e.Code.String() != "unexpected_message" {
			t.Errorf("%s: %v", name, err)
		}
		if n := victim.Stats().KeysReceived; n != 0 {
			t.Errorf("%s: %d changes were carried out", name, n)
		}
	}
}

// TestReadBesideBlockedWrite has a peer that reads nothing ask for new keys: our
// Read keeps to its deadline and goes on reading, and the answer goes before our
// next data.
func TestReadBesideBlockedWrite(t *testing.T) { synctest.Test(t, readBesideBlockedWrite) }

func readBesideBlockedWrite(t *testing.T) {
	victim, hostile := hostilePair(t)
	events := keyEvents(victim)
	wrote := make(chan error, 1)
	go func() {
		_, err := victim.Write(make([]byte, 100)) // a pipe takes nothing that is not read
		wrote <- err
	}()
	synctest.Wait() // now it is sealed: the answer cannot go before it
	sent := make(chan error, 1)
	go func() {
		var err error
		for range 5 {
			err = errors.Join(err, hostile.hostileUpdate(true))
		}
		sent <- err
	}()
	const patience = 50 * time.Millisecond // of the bubble's clock
	started := time.Now()
	_ = victim.SetReadDeadline(started.Add(patience))
	_, err := victim.Read(make([]byte, 1))
	if took := time.Since(started); !errors.Is(err, os.ErrDeadlineExceeded) || took != patience {
		t.Fatalf("Read: %v after %v", err, took)
	}
	_ = victim.SetReadDeadline(time.Time{})
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	go func() { sent <- hostile.hostile(record.ApplicationData, []byte("d")) }()
	if _, err := victim.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-wrote:
		t.Fatalf("the Write was not blocked: %v", err)
	default:
	}
	received := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(hostile, make([]byte, 101))
		received <- err
	}()
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if n := victim.Stats().KeysSent; n != 0 {
		t.Errorf("%d changes before the blocked Write was done", n)
	}
	if _, err := victim.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-received; err != nil {
		t.Fatal(err)
	}
	owed := 0
	for len(events) > 0 {
		if e := <-events; e.Direction == Sending {
			if owed++; e.Reason != RekeyOwed {
				t.Errorf("%+v", e)
			}
		}
	}
	if owed != 1 {
		t.Errorf("five requests were answered %d times", owed)
	}
}

// TestOneRequest asks the peer for new keys once while it has not answered, however
// often Rekey is called.
func TestOneRequest(t *testing.T) {
	victim, peer := hostilePair(t)
	var records []byte
	victim.inner = &flood{Conn: victim.inner}
	for range 5 {
		if err := victim.Rekey(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	records = victim.inner.(*flood).written
	requests := 0
	for len(records) > 0 {
		_, n, err := record.ParseHeader(records)
		if err != nil {
			t.Fatal(err)
		}
		_, content, err := peer.in.opener.Open(records[:record.HeaderLen+n])
		if err != nil {
			t.Fatal(err)
		}
		requests += int(content[4])
		if err := peer.dispatch(record.Handshake, content); err != nil {
			t.Fatal(err)
		}
		records = records[record.HeaderLen+n:]
	}
	if requests != 1 || peer.Stats().KeysReceived != 5 {
		t.Errorf("%d requests in %d changes", requests, peer.Stats().KeysReceived)
	}
}

// TestWaitPeerEnds has the answer never come.
func TestWaitPeerEnds(t *testing.T) {
	for name, end := range map[string]func(victim, peer *Conn){
		"the peer's close_notify": func(_, peer *Conn) { _ = peer.hostile(record.Alert, []byte{1, 0}) },
		"a fatal alert":           func(_, peer *Conn) { _ = peer.hostile(record.Alert, []byte{2, 80}) },
		"a cut":                   func(_, peer *Conn) { _ = peer.inner.Close() },
		"our Close":               func(victim, _ *Conn) { _ = victim.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			victim, peer := hostilePair(t)
			if err := victim.WaitPeer(t.Context()); err != nil {
				t.Fatalf("nothing was asked for: %v", err)
			}
			go func() { _, _ = io.Copy(io.Discard, peer.inner) }()
			if err := victim.Rekey(t.Context()); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = victim.Read(make([]byte, 1)) }()
			waited := make(chan error, 1)
			go func() { waited <- victim.WaitPeer(t.Context()) }()
			end(victim, peer)
			if err := <-waited; !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestRekeyWithinWrite holds the policy in the midst of one long Write, and ignores
// a request when keys cannot be changed any more.
func TestRekeyWithinWrite(t *testing.T) {
	for _, test := range []struct {
		policy  RekeyPolicy
		changes uint64 // in 64 full records
	}{
		{RekeyPolicy{Records: 1, MinInterval: -1}, 63},
		{RekeyPolicy{Records: 3, MinInterval: -1}, 21},
		{RekeyPolicy{Records: 16, MinInterval: -1}, 3},
		{RekeyPolicy{Bytes: 1, MinInterval: -1}, 63},
		{RekeyPolicy{Bytes: 4 * record.MaxPlaintext, MinInterval: -1}, 15},
		{RekeyPolicy{Records: 1, MinInterval: time.Hour}, 0},
	} {
		victim, _ := hostilePair(t)
		victim.inner = &flood{Conn: victim.inner}
		victim.out.rekey.policy = test.policy.withDefaults()
		if _, err := victim.Write(make([]byte, 64*record.MaxPlaintext)); err != nil {
			t.Fatal(err)
		}
		if s := victim.Stats(); s.KeysSent != test.changes || s.RecordsSent != 64 {
			t.Errorf("%+v: %d changes in %d records", test.policy, s.KeysSent, s.RecordsSent)
		}
	}
	victim, _ := hostilePair(t)
	victim.inner = &flood{Conn: victim.inner}
	victim.out.sender.Wipe()
	victim.out.owed.Store(true)
	if _, err := victim.Write([]byte("x")); err != nil {
		t.Errorf("Write: %v", err)
	}
	if err := victim.Rekey(t.Context()); err == nil {
		t.Error("Rekey changed keys that cannot be changed")
	}
	if _, err := victim.Write([]byte("x")); err != nil {
		t.Errorf("Write after Rekey: %v", err)
	}
}
