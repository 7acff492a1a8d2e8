// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/record"
)

// A diary is a Trace that writes down what it is told, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// read returns the lines that begin with one of the prefixes; all without any.
func (d *diary) read(prefixes ...string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.lines), func(line string) bool {
		return len(prefixes) > 0 && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) })
	})
}

func (d *diary) trace() *Trace {
	keys := func(info KeyInfo) string {
		if info.Handshake {
			return info.Direction.String() + " handshake"
		}
		return fmt.Sprintf("%v %d", info.Direction, info.Generation)
	}
	failed := map[bool]string{true: "failed", false: "well"}
	return &Trace{
		HandshakeStart: func(_ context.Context, info HandshakeStartInfo) { d.note("start") },
		HandshakeDone:  func(_ context.Context, info HandshakeInfo) { d.note("done %s", failed[info.Err != nil]) },
		KeysInstalled:  func(_ context.Context, info KeyInfo) { d.note("%s installed", keys(info)) },
		KeysDestroyed:  func(_ context.Context, info KeyInfo) { d.note("%s destroyed", keys(info)) },
		Rekeyed: func(_ context.Context, info RekeyInfo) {
			d.note("%v %d rekeyed: %v", info.Direction, info.Generation, info.Reason)
		},
		Closed: func(_ context.Context, info CloseInfo) { d.note("closed %s", failed[info.Err != nil]) },
	}
}

// balance checks that each set of keys that was installed is destroyed, once and
// after it, and that Start is the first line, and Closed the last if there is one.
func (d *diary) balance(t *testing.T, closed bool) {
	t.Helper()
	lines := d.read()
	installed := make(map[string]int)
	for i, line := range lines {
		if name, ok := strings.CutSuffix(line, " installed"); ok {
			if _, again := installed[name]; again {
				t.Errorf("%s was installed twice", name)
			}
			installed[name] = 0
		}
		if name, ok := strings.CutSuffix(line, " destroyed"); ok {
			if _, ok := installed[name]; !ok {
				t.Errorf("%s was destroyed before it was installed", name)
			}
			installed[name]++
		}
		if first := line == "start"; first != (i == 0) {
			t.Errorf("line %d is %q", i, line)
		}
		if last := strings.HasPrefix(line, "closed"); last != (closed && i == len(lines)-1) {
			t.Errorf("line %d of %d is %q", i, len(lines), line)
		}
	}
	for name, n := range installed {
		if n != 1 {
			t.Errorf("%s was destroyed %d times", name, n)
		}
	}
	if len(installed) == 0 {
		t.Error("no keys at all: the test shows nothing")
	}
	if t.Failed() {
		t.Log(strings.Join(lines, "\n"))
	}
}

// tracedPair returns a pair over TCP of which each side keeps a diary. Their
// handshakes are not done.
func tracedPair(t *testing.T, policy RekeyPolicy, pin *Identity) (c, s *Conn, cd, sd *diary) {
	t.Helper()
	id, err := GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if pin == nil {
		pin = id
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cd, sd = new(diary), new(diary)
	c = Client(a, &Config{Peers: Pins(pin.Pin()), Rekey: policy, Trace: cd.trace()})
	s = Server(b, &Config{Identity: id, Peers: NoClientAuth(), Trace: sd.trace()})
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return c, s, cd, sd
}

// handshakes runs both sides'.
func handshakes(t *testing.T, c, s *Conn) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := errors.Join(c.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
}

// TestTrace follows a connection from its first byte to Close: every hook of both
// sides, in order.
func TestTrace(t *testing.T) {
	c, s, cd, sd := tracedPair(t, RekeyPolicy{Records: 2, Bytes: 100, Age: -1, MinInterval: -1}, nil)
	handshakes(t, c, s)
	step := func(from, to *Conn, n int) {
		t.Helper()
		if _, err := from.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		step(c, s, 1) // by the third, two records are under the key
	}
	step(c, s, 100) // too many bytes
	c.out.rekey.policy.Age = time.Nanosecond
	step(c, s, 0)
	c.out.rekey.policy.Bytes = 1000
	step(c, s, 1) // too old
	c.out.rekey.policy.Age = -1
	if err := c.Rekey(t.Context()); err != nil {
		t.Fatal(err)
	}
	step(c, s, 1)
	step(s, c, 1) // with what is owed
	if err := errors.Join(c.CloseWrite(), s.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	cd.balance(t, true)
	sd.balance(t, true)
	compare(t, "client", cd.read("sending", "start", "done", "closed"), `start
sending handshake installed
sending handshake destroyed
sending 0 installed
done well
sending 0 destroyed
sending 1 installed
sending 1 rekeyed: records
sending 1 destroyed
sending 2 installed
sending 2 rekeyed: bytes
sending 2 destroyed
sending 3 installed
sending 3 rekeyed: age
sending 3 destroyed
sending 4 installed
sending 4 rekeyed: asked
sending 4 destroyed
closed well`)
	compare(t, "client", cd.read("receiving", "start", "done", "closed"), `start
receiving handshake installed
receiving handshake destroyed
receiving 0 installed
done well
receiving 0 destroyed
receiving 1 installed
receiving 1 rekeyed: peer
receiving 1 destroyed
closed well`)
	compare(t, "server", sd.read("sending", "start", "done", "closed"), `start
sending handshake installed
sending handshake destroyed
sending 0 installed
done well
sending 0 destroyed
sending 1 installed
sending 1 rekeyed: owed
sending 1 destroyed
closed well`)
	// Six sets come and go, and four changes have a reason.
	if n := len(sd.read("receiving")); n != 2*6+4 {
		t.Errorf("of the server's receiving keys %d lines tell", n)
	}
}

func compare(t *testing.T, who string, got []string, want string) {
	t.Helper()
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("%s:\n%s\nwant\n%s", who, s, want)
	}
}

// TestTraceEnds ends connections in other ways: keys are told to be destroyed when
// the error comes, and once.
func TestTraceEnds(t *testing.T) {
	stranger, err := GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		pin  *Identity
		end  func(t *testing.T, c, s *Conn)
	}{
		{"a forged record", nil, func(t *testing.T, c, s *Conn) {
			handshakes(t, c, s)
			if _, err := s.inner.Write(append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...)); err != nil {
				t.Fatal(err)
			}
			_, _ = c.Read(make([]byte, 1))
			_, _ = s.Read(make([]byte, 1))
		}},
		{"the peer's alert", nil, func(t *testing.T, c, s *Conn) {
			handshakes(t, c, s)
			_ = s.hostile(record.Alert, []byte{2, 80})
			_, _ = c.Read(make([]byte, 1))
			_, _ = c.Write(make([]byte, 1))
			_ = s.Close()
		}},
		{"MaxLifetime", nil, func(t *testing.T, c, s *Conn) {
			handshakes(t, c, s)
			c.expire()
			_, _ = s.Read(make([]byte, 1))
		}},
		{"another pin", stranger, func(t *testing.T, c, s *Conn) {
			done := make(chan error, 1)
			go func() { done <- s.Handshake() }()
			if c.Handshake() == nil || <-done == nil {
				t.Fatal("the handshake succeeded")
			}
		}},
		{"a cut in mid-handshake", nil, func(t *testing.T, c, s *Conn) {
			done := make(chan error, 1)
			go func() { done <- s.Handshake() }()
			b := make([]byte, 1<<10)
			if err := begin(c); err != nil {
				t.Fatal(err)
			}
			if _, err := c.inner.Read(b); err != nil { // the server has sent its flight, and its keys are installed
				t.Fatal(err)
			}
			_ = c.inner.Close()
			if <-done == nil {
				t.Fatal("the handshake succeeded")
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, s, cd, sd := tracedPair(t, RekeyPolicy{}, test.pin)
			test.end(t, c, s)
			for who, d := range map[*Conn]*diary{c: cd, s: sd} {
				before := d.read("sending", "receiving")
				_ = who.Close()
				if len(before) > 0 {
					d.balance(t, true)
				}
				if after := d.read("sending", "receiving"); len(after) != len(before) && who == c {
					t.Errorf("keys were left until Close: %q", after[len(before):])
				}
			}
			if len(sd.read("closed")) != 1 || len(sd.read("done")) != 1 {
				t.Errorf("%q", sd.read())
			}
		})
	}
}

// begin sends the client's first flight.
func begin(c *Conn) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if err := c.begin(context.Background(), context.Background()); err != nil {
		return err
	}
	return c.flush()
}
