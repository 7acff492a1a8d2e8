// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/record"
)

// TestAlertLevels opens what a connection sends at its end: a close_notify is a warning,
// other alerts are fatal, and a record holds one of them (RFC 9846, Sections 5.1 and 6).
func TestAlertLevels(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*Conn)
		want []byte
	}{
		"Close":      {func(c *Conn) { _ = c.Close() }, []byte{1, 0}},
		"CloseWrite": {func(c *Conn) { _ = c.CloseWrite() }, []byte{1, 0}},
		"Abort":      {func(c *Conn) { _ = c.Abort(AlertCode(80)) }, []byte{2, 80}},
	} {
		victim, hostile := hostilePair(t)
		done := make(chan bool)
		go func() { test.end(victim); close(done) }()
		var head [record.HeaderLen]byte
		var raw []byte
		for {
			if _, err := io.ReadFull(hostile.inner, head[:]); err != nil {
				t.Fatal(name, err)
			}
			body := make([]byte, int(head[3])<<8|int(head[4]))
			if _, err := io.ReadFull(hostile.inner, body); err != nil {
				t.Fatal(name, err)
			}
			raw = append(slices.Clone(head[:]), body...)
			kind, content, err := hostile.in.opener.Open(raw)
			if err != nil {
				t.Fatal(name, err)
			}
			if kind == record.Alert {
				if !slices.Equal(content, test.want) {
					t.Errorf("%s sends %x, not %x", name, content, test.want)
				}
				break
			}
		}
		_ = hostile.inner.Close()
		<-done
	}
}

// TestTicketAgeAdd has each ticket come with a number of its own (RFC 9846, Section
// 4.7.1).
func TestTicketAgeAdd(t *testing.T) {
	id, err := GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[uint32]bool)
	for range 4 {
		a, b := net.Pipe()
		cache := NewSessionCache(0)
		c := Client(a, &Config{Peers: Pins(id.Pin()), Sessions: cache, ServerName: "server"})
		s := Server(b, &Config{Identity: id, Peers: NoClientAuth(), TicketKeys: NewTicketRing(GenerateSealingKey()), Tickets: TicketPolicy{Count: 3}})
		done := make(chan error, 1)
		go func() { done <- s.Handshake() }()
		if err := errors.Join(c.Confirm(t.Context()), <-done); err != nil {
			t.Fatal(err)
		}
		for {
			session, err := cache.Take(t.Context(), "server")
			if err != nil {
				t.Fatal(err)
			}
			if session == nil {
				break
			}
			if seen[session.state.AgeAdd] {
				t.Error("two tickets have the same ticket_age_add")
			}
			seen[session.state.AgeAdd] = true
		}
		_, _ = a.Close(), b.Close()
		_, _ = c.Close(), s.Close()
	}
	if len(seen) < 8 {
		t.Errorf("only %d tickets have come", len(seen))
	}
}

// TestNamedTwice has lists in which something is named twice: it is offered once.
func TestNamedTwice(t *testing.T) {
	c := &Config{
		Peers:            InsecureAnyServer(),
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.X25519},
		CipherSuites:     []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_128_GCM_SHA256},
	}
	s, err := c.settle(false, "")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.groups, []kex.Group{kex.X25519, kex.P256}) || !slices.Equal(s.suites, []suite.ID{suite.AES128GCM}) {
		t.Errorf("%v, %v", s.groups, s.suites)
	}
}
