// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/testnet"
)

// patience is how long a connection may take that takes milliseconds: longer is a
// hang.
const patience = 20 * time.Second

// A result is what the victim of a peer has seen.
type result struct {
	handshake error
	end       error // of Read
	read      []byte
	written   int
	write     error
	exported  []byte
	late      []error // of calls after the end, which must fail
	peer      mayfly.Peer
}

// play runs a connection of the library against a peer, and returns both when it
// is over.
func play(t testing.TB, s *scenario, b *breach) (*result, *peer) {
	t.Helper()
	before := runtime.NumGoroutine()
	far, near := testnet.Pipe(testnet.Path{Segments: s.segments}, testnet.Path{})
	keys := new(ledger)
	var conn *mayfly.Conn
	if s.server {
		conn = mayfly.Client(patient{near}, s.config(keys.trace()))
	} else {
		conn = mayfly.Server(patient{near}, s.config(keys.trace()))
	}
	p := newPeer(s, b, far)
	results, done := make(chan *result, 1), make(chan any, 1)
	go func() { results <- suffer(conn, s) }()
	go func() {
		defer func() { done <- recover() }()
		p.run()
	}()
	timeout := time.NewTimer(2 * patience)
	defer timeout.Stop()
	var r *result
	for r == nil || done != nil {
		select {
		case r = <-results:
		case fault := <-done:
			if done = nil; fault != nil {
				_ = far.CloseWrite()
				t.Fatalf("the peer: %v", fault)
			}
		case <-timeout.C:
			stacks := make([]byte, 1<<20)
			t.Fatalf("it hangs:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
	if left := leftIn(conn); left != "" {
		t.Errorf("keys are left: %s", left)
	}
	if n := keys.open(); n != 0 {
		t.Errorf("%d more keys were installed than destroyed", n)
	}
	checkGoroutines(t, before)
	return r, p
}

// patient takes everything, however late it comes: how long an alert may take is not
// what is asked here.
type patient struct{ *testnet.Conn }

func (patient) SetWriteDeadline(time.Time) error { return nil }

// suffer is the victim.
func suffer(conn *mayfly.Conn, s *scenario) *result {
	r := new(result)
	if r.handshake = conn.Handshake(); r.handshake == nil {
		r.peer = conn.Peer()
		r.exported, _ = conn.ExportKeyingMaterial("EXPORTER-mayfly-fuzz", nil, 32)
		if r.written, r.write = conn.Write(s.payload); r.write == nil && s.half {
			r.write = conn.CloseWrite()
		}
	}
	buf := make([]byte, s.readSize)
	for r.end == nil {
		var n int
		n, r.end = conn.Read(buf)
		r.read = append(r.read, buf[:n]...)
	}
	if r.end != io.EOF {
		_, late := conn.ExportKeyingMaterial("EXPORTER-mayfly-fuzz", nil, 32)
		if errors.Is(r.end, io.ErrUnexpectedEOF) && r.handshake == nil {
			late = r.end // what was exported before the cut is worth as much as after it
		}
		r.late = append(r.late, late)
	}
	_, again := conn.Read(buf)
	r.late = append(r.late, again)
	_ = conn.Close()
	_, late := conn.Write([]byte("late"))
	_, exported := conn.ExportKeyingMaterial("EXPORTER-mayfly-fuzz", nil, 32)
	r.late = append(r.late, late, exported)
	return r
}

// A ledger counts the keys of a connection.
type ledger struct {
	mu sync.Mutex
	n  int
}

func (l *ledger) trace() *mayfly.Trace { return ledgerTrace(l.add) }

func (l *ledger) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n += n
}

func (l *ledger) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// leftIn names the places in a connection where keys are left. It looks where the
// library keeps them, and panics where that has changed.
func leftIn(c *mayfly.Conn) string {
	var left []string
	v := reflect.ValueOf(c).Elem()
	for _, path := range []string{"in.opener.keys", "out.sealer.keys", "keys.exporter", "keys.machine", "keys.resumption", "machine"} {
		at := v
		for name := range strings.SplitSeq(path, ".") {
			if at.Kind() == reflect.Pointer {
				at = at.Elem()
			}
			at = at.FieldByName(name)
		}
		if !at.IsNil() {
			left = append(left, path)
		}
	}
	if v.FieldByName("in").Elem().FieldByName("plain").Len() > 0 {
		left = append(left, "in.plain")
	}
	return strings.Join(left, ", ")
}

// checkGoroutines waits until no more goroutines of the library's are left than
// before.
func checkGoroutines(t testing.TB, before int) {
	t.Helper()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().Before(end) {
			continue
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if bytes.Contains(stacks, []byte("mayfly.(*Conn)")) {
			t.Errorf("goroutines are left:\n%s", stacks)
		}
		return
	}
}

// check holds a result against the verdict.
func check(t testing.TB, s *scenario, b *breach, r *result, p *peer) {
	t.Helper()
	v := b.verdict
	complain := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s\nhandshake: %v\nread %d of %d: %v\nwrite: %v\npeer: %v, alert %v\nbreach: %+v", fmt.Sprintf(format, args...),
			r.handshake, len(r.read), len(s.all()), r.end, r.write, p.err, p.alert, *b)
	}
	if errors.Is(r.handshake, mayfly.ErrHandshakeTimeout) {
		complain("it hung until its deadline")
	}
	if !bytes.HasPrefix(s.all(), r.read) && v.outcome != either {
		complain("what was read is not what was sent")
	}
	if r.handshake != nil && (len(r.read) > 0 || r.end == io.EOF) {
		complain("data, or an end, after a handshake that failed")
	}
	for i, err := range r.late {
		if err == nil {
			complain("call %d after the end succeeded", i)
		}
	}
	whole := r.handshake == nil && r.end == io.EOF
	switch v.outcome {
	case succeed:
		checkSuccess(s, r, p, complain)
	case ends:
		if !whole {
			complain("it should have ended in order")
		}
	case failHandshake, fail:
		if v.outcome == failHandshake && r.handshake == nil || whole {
			complain("it should have failed")
			return
		}
	}
	if !whole {
		err := r.handshake
		if err == nil {
			err = r.end
		}
		checkFailure(v, err, p, complain)
	}
}

func checkSuccess(s *scenario, r *result, p *peer, complain func(string, ...any)) {
	if r.handshake != nil || r.end != io.EOF || r.write != nil {
		complain("it should have succeeded")
		return
	}
	if !bytes.Equal(r.read, s.all()) || !bytes.Equal(p.received, s.payload) {
		complain("data was lost: %d and %d bytes arrived", len(r.read), len(p.received))
	}
	if p.err != io.EOF || p.alert == nil || *p.alert != alert.CloseNotify {
		complain("the peer did not see an end in order")
	}
	exported, err := p.exporter.Export("EXPORTER-mayfly-fuzz", nil, 32)
	if err != nil || !bytes.Equal(exported, r.exported) {
		complain("the sides export different keys")
	}
	kind, who := mayfly.Anonymous, p.scenario
	if s.isResumed() {
		who = s.earlier.scenario
	}
	if own := who.own(); own != nil {
		kind = map[bool]mayfly.PeerKind{true: mayfly.X509, false: mayfly.RawKey}[own.Leaf != nil]
	}
	if who.psk {
		kind = mayfly.PSK
	}
	if r.peer.Kind != kind || r.peer.Resumed != s.isResumed() {
		complain("the peer is of the kind %v, resumed %v", r.peer.Kind, r.peer.Resumed)
	}
}

// checkFailure looks at the error, and at whether the peer was told.
func checkFailure(v verdict, err error, p *peer, complain func(string, ...any)) {
	var e *mayfly.AlertError
	switch {
	case v.cut:
		if err != mayfly.ErrTruncated {
			complain("a cut was reported otherwise")
		}
	case errors.As(err, &e):
		if v.remote != e.Remote && v.outcome != either {
			complain("who gave up?")
		}
		if v.code != 0 && alert.Code(e.Code) != v.code {
			complain("the alert should have been %v", v.code)
		}
		if !e.Remote && (e.Code == mayfly.AlertInternalError || e.Code == mayfly.AlertCloseNotify) {
			complain("an alert that blames nobody")
		}
		if told := (p.err == io.EOF || p.err == errAlert) && !p.half; !e.Remote && told && (p.alert == nil || *p.alert != alert.Code(e.Code)) {
			complain("the peer was not told")
		}
	case err == mayfly.ErrTruncated:
		if v.code != 0 {
			complain("the alert should have been %v", v.code)
		}
	case err == io.EOF && v.outcome == either:
	default:
		complain("an error without an alert")
	}
}
