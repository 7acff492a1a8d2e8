// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/testnet"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// plain is a handshake with everything in it: both sides show a key of type t, and
// a HelloRetryRequest comes before.
func plain(server bool, t credential.Type) *scenario {
	s := &scenario{
		server: server, suite: suite.AES128GCM, group: kex.X25519, retry: true,
		serverOwner: people().serverEd, serverType: t, clientOwner: people().client, clientType: t, clientAuth: shown,
		protocols: true, compat: true, tickets: 1, updates: 1, data: [][]byte{pattern(100, 0)}, payload: pattern(10, 'v'), readSize: 64,
	}
	return s
}

// steps is how many steps the script of a scenario has.
func steps(t *testing.T, s *scenario) int {
	t.Helper()
	r, p := play(t, s, new(breach))
	check(t, s, new(breach), r, p)
	return p.steps
}

// TestImpostors lets somebody show a key, and not prove it as it must be proved: a raw
// key and a certificate, as the server and as the client.
func TestImpostors(t *testing.T) {
	for _, server := range []bool{true, false} {
		for _, kind := range []credential.Type{credential.RawPublicKey, credential.X509} {
			for i := range uint64(firstOfKeys) {
				t.Run(fmt.Sprintf("server %v/%v/%d", server, kind, i), func(t *testing.T) {
					s, b := plain(server, kind), &breach{kind: impostor, arg: i}
					r, p := play(t, s, b)
					if b.verdict.outcome != failHandshake {
						t.Fatalf("nobody pretended: %+v", b.verdict)
					}
					check(t, s, b, r, p)
				})
			}
		}
	}
}

// TestKeyImpostors is TestImpostors for those who know each other by a pre-shared key,
// or resume a session.
func TestKeyImpostors(t *testing.T) {
	for server, ways := range map[bool][]uint64{
		true:  {otherFinished, zeroFinished, shortFinished, longFinished, secondKey, withoutKey},
		false: {otherFinished, zeroFinished, shortFinished, longFinished, otherName, otherShared, zeroBinder},
	} {
		for _, retry := range []bool{false, true} {
			for _, i := range ways {
				for _, resumes := range []bool{false, true} {
					s, b := plain(server, credential.X509), &breach{kind: impostor, arg: i}
					s.retry = retry
					if resumes {
						s.resume(t)
					} else {
						s.useKey()
					}
					r, p := play(t, s, b)
					if b.verdict.outcome != failHandshake {
						t.Fatalf("nobody pretended: %+v", b.verdict)
					}
					if check(t, s, b, r, p); t.Failed() {
						t.Fatalf("server %v, retry %v, resumes %v, %d", server, retry, resumes, i)
					}
				}
			}
		}
	}
}

// TestAlerts sends every alert in every state, under the keys of the time and in the
// clear. Two are no failure, in their places; the others end the connection and are
// told. In the clear nobody believes them once there are keys, but that a server takes
// a client's refusal before the first record under them (RFC 9846, Appendix A.1).
func TestAlerts(t *testing.T) {
	codes := []alert.Code{1, 19, 90, 91, 117, 121, 255}
	for c := range alert.Code(130) {
		if !strings.HasPrefix(c.String(), "alert(") {
			codes = append(codes, c)
		}
	}
	if len(codes) < 30 {
		t.Fatalf("only %d alerts", len(codes))
	}
	for _, server := range []bool{true, false} {
		n := steps(t, plain(server, credential.RawPublicKey))
		for at := range n {
			for i, code := range codes {
				for _, clear := range []bool{false, true} {
					level := byte(1 + i%2)
					s := plain(server, credential.RawPublicKey)
					b := &breach{at: at, instead: func(p *peer, _ step) { sayAlert(p, level, code, clear) }}
					r, p := play(t, s, b)
					if check(t, s, b, r, p); t.Failed() {
						t.Fatalf("server %v, before step %d, %v, level %d, in the clear: %v", server, at, code, level, clear)
					}
				}
			}
		}
	}
}

func sayAlert(p *peer, level byte, code alert.Code, clear bool) {
	protected := p.keys != nil
	first := !p.server && !p.done && p.seq == 0 && code != alert.CloseNotify && code != alert.UserCanceled
	p.breach.must(p, code)
	switch {
	case protected && clear && !first:
		p.breach.verdict.code = alert.UnexpectedMessage
	case code == alert.CloseNotify && p.done:
		p.breach.verdict = verdict{outcome: ends}
	case code == alert.CloseNotify:
		p.breach.verdict.cut = true
	case code == alert.UserCanceled:
		p.breach.verdict = verdict{}
	default:
		p.breach.verdict.remote = true
	}
	keys := p.keys
	if clear {
		p.keys = nil
	}
	p.record(record.Alert, []byte{level, byte(code)})
	p.keys = keys
}

// TestOneByteAtATime cuts everything into records of one byte, which come in segments
// of one byte.
func TestOneByteAtATime(t *testing.T) {
	for _, server := range []bool{true, false} {
		for _, kind := range []credential.Type{credential.RawPublicKey, credential.X509} {
			s := plain(server, kind)
			s.group = kex.X25519MLKEM768 // with the largest hello
			s.manner.sizes, s.segments, s.readSize = []int{1}, []int{1}, 1
			b := new(breach)
			r, p := play(t, s, b)
			check(t, s, b, r, p)
			if least := 10 * (1000 + len(s.all())); int(p.net.Sent()) < least {
				t.Errorf("only %d bytes were sent", p.net.Sent())
			}
		}
	}
}

// TestForged changes each byte of a record, and gets the same answer for each: it
// does not open, and nothing says why.
func TestForged(t *testing.T) {
	for _, server := range []bool{true, false} {
		s := plain(server, credential.RawPublicKey)
		s.tickets, s.updates = 0, 0
		last := 0
		probe := new(breach)
		if _, p := play(t, s, probe); p.err != nil {
			last = probe.records - 2 // the one before close_notify: data
		}
		texts := make(map[string]int)
		for i := range record.HeaderLen + 100 + 1 + 16 {
			if i < record.HeaderLen && i != 2 {
				continue // that is no forgery of what a record holds
			}
			s := plain(server, credential.RawPublicKey)
			s.tickets, s.updates = 0, 0
			b := &breach{kind: flip, at: last, arg: uint64(i)}
			r, p := play(t, s, b)
			if b.verdict.code != alert.BadRecordMAC || b.verdict.outcome != fail {
				t.Fatalf("byte %d is not one of the record's: %+v", i, b.verdict)
			}
			check(t, s, b, r, p)
			texts[r.end.Error()]++
			if len(r.read) > 0 {
				t.Errorf("%d bytes of a forged record were read", len(r.read))
			}
		}
		if len(texts) != 1 {
			t.Errorf("there are several answers: %v", texts)
		}
	}
}

// TestNeverFinished begins a message and does not end it: what a peer may send before
// it is known is bounded, by the message and in all.
func TestNeverFinished(t *testing.T) {
	long := func(name wire.MessageType, n int) string {
		return string([]byte{byte(name), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	for _, server := range []bool{true, false} {
		for _, test := range []struct {
			name   string
			at     int
			header string
			rest   int // bytes of the message that come
			size   int // of records
			code   alert.Code
		}{
			{"a hello or answer of 68 KiB", 0, long(1, 68<<10), 0, 1 << 14, alert.IllegalParameter},
			{"a message of 16 MiB", 2, "\x0b\xff\xff\xff", 0, 1 << 14, alert.IllegalParameter},
			{"a message without an end", 2, long(11, 100<<10), 50 << 10, 1 << 14, 0},
			{"a message in records of one byte", 2, long(11, 100<<10), 50 << 10, 1, alert.UnexpectedMessage},
		} {
			t.Run(fmt.Sprintf("server %v/%s", server, test.name), func(t *testing.T) {
				s := plain(server, credential.X509)
				s.manner.sizes = []int{test.size}
				b := &breach{at: test.at}
				b.instead = func(p *peer, _ step) {
					b.must(p, test.code)
					b.verdict.cut = test.code == 0
					p.pending = append([]byte(test.header), make([]byte, test.rest)...)
					p.flush()
					p.err = errScript // no more comes
				}
				r, p := play(t, s, b)
				check(t, s, b, r, p)
			})
		}
	}
}

// TestReflected sends a client's own bytes back to it, and a server's own flight
// back to that.
func TestReflected(t *testing.T) {
	for _, server := range []bool{true, false} {
		s := plain(server, credential.RawPublicKey)
		keys := new(ledger)
		far, near := testnet.Pipe(testnet.Path{}, testnet.Path{})
		conn := mayfly.Client(near, s.config(keys.trace()))
		if !server {
			conn = mayfly.Server(near, s.config(keys.trace()))
			p := newPeer(s, new(breach), far)
			p.cipher = suite.ByID(s.suite)
			p.play(say(wire.ClientHelloType, p.clientHello().Marshal))
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(far, far)
			_ = far.Close()
		}()
		err := conn.Handshake()
		_ = conn.Close()
		<-done
		var e *mayfly.AlertError
		if !errors.As(err, &e) || e.Remote || e.Code != mayfly.AlertUnexpectedMessage {
			t.Errorf("server %v: %v", server, err)
		}
		if leftIn(conn) != "" || keys.open() != 0 {
			t.Errorf("keys are left: %s", leftIn(conn))
		}
	}
}

// TestSessionCacheGrowth lets servers give more sessions than a client wants to keep.
func TestSessionCacheGrowth(t *testing.T) {
	const capacity = 5
	store := mayfly.NewSessionCache(capacity)
	for range 3 {
		s := plain(true, credential.RawPublicKey)
		s.tickets, s.updates = 8, 0
		for i := range 8 {
			s.data = append(s.data, []byte{byte(i)})
		}
		s.earlier = &earlier{sessions: store}
		r, p := play(t, s, new(breach))
		check(t, s, new(breach), r, p)
		if n := store.Len(); n != capacity || len(p.tickets) != 8 {
			t.Errorf("%d sessions are kept of %d", n, len(p.tickets))
		}
		store.Wipe()
	}
}
