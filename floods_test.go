// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/record"
)

// hostilePair returns a client, and a server whose records the test makes.
func hostilePair(t *testing.T) (victim, hostile *Conn) {
	t.Helper()
	id, err := GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	victim = Client(a, &Config{Peers: Pins(id.Pin())})
	hostile = Server(b, &Config{Identity: id, Peers: NoClientAuth()})
	t.Cleanup(func() { _ = a.Close(); _ = b.Close(); _ = victim.Close(); _ = hostile.Close() })
	done := make(chan error, 1)
	go func() { done <- hostile.Handshake() }()
	if err := errors.Join(victim.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	victim.firstRecord.Fire() // Close waits for none
	return victim, hostile
}

// hostile seals a record of any type and writes it.
func (c *Conn) hostile(t record.ContentType, content []byte) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	b, err := c.out.sealer.Seal(nil, t, content)
	if err != nil {
		return err
	}
	_ = c.inner.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, err = c.inner.Write(b)
	return err
}

// hostileUpdate changes the keys without any data.
func (c *Conn) hostileUpdate(request bool) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	msg, next := c.out.sender.KeyUpdate(request)
	b, err := c.out.sealer.SealReserved(nil, record.Handshake, msg)
	if err != nil {
		return err
	}
	c.out.sealer.SetKeys(next)
	_ = c.inner.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, err = c.inner.Write(b)
	return err
}

// TestFloods sends what is tolerated a few times, far too often: each is cut off
// within its budget.
func TestFloods(t *testing.T) {
	ticket := []byte{4, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 't', 0, 0}
	for _, test := range []struct {
		name   string
		budget int
		send   func(*Conn) error
	}{
		{"key updates", maxKeyUpdates, func(c *Conn) error { return c.hostileUpdate(false) }},
		{"key updates that ask", maxKeyUpdates, func(c *Conn) error { return c.hostileUpdate(true) }},
		{"empty records", maxEmptyRecords, func(c *Conn) error { return c.hostile(record.ApplicationData, nil) }},
		{"tickets", maxTickets, func(c *Conn) error { return c.hostile(record.Handshake, ticket) }},
		{"warnings", maxWarnings, func(c *Conn) error { return c.hostile(record.Alert, []byte{1, 90}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			victim, hostile := hostilePair(t)
			go func() { _, _ = io.Copy(io.Discard, hostile.inner) }() // the victim's alert
			result := make(chan error, 1)
			go func() {
				_, err := victim.Read(make([]byte, 1))
				result <- err
				_ = victim.inner.Close()
			}()
			sent := 0
			for ; sent < 1000; sent++ {
				if test.send(hostile) != nil {
					break
				}
			}
			var e *AlertError
			if err := <-result; !errors.As(err, &e) || e.Remote || e.Code.String() != "unexpected_message" {
				t.Fatalf("after %d: %v", sent, err)
			}
			if sent < test.budget-1 || sent > test.budget+3 {
				t.Errorf("cut off after %d, the budget is %d", sent, test.budget)
			}
		})
	}
}

// TestBudgetsAreRestored sends as much again and again, with data between.
func TestBudgetsAreRestored(t *testing.T) {
	victim, hostile := hostilePair(t)
	const rounds = 100
	result := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(victim, make([]byte, rounds))
		result <- err
	}()
	for range rounds {
		for range maxKeyUpdates {
			if err := hostile.hostileUpdate(true); err != nil {
				t.Fatal(err)
			}
		}
		if err := hostile.hostile(record.ApplicationData, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

// TestAfterHandshake sends records that have no place on an open connection, each
// refused with its alert.
func TestAfterHandshake(t *testing.T) {
	for _, test := range []struct {
		name    string
		t       record.ContentType
		content []byte
		alert   string
	}{
		{"a malformed alert", record.Alert, []byte{2}, "decode_error"},
		{"a ClientHello", record.Handshake, []byte{1, 0, 0, 0}, "unexpected_message"},
		{"a CertificateRequest", record.Handshake, []byte{13, 0, 0, 1, 0}, "unexpected_message"},
		{"a Finished", record.Handshake, []byte{20, 0, 0, 1, 0}, "unexpected_message"},
		{"a KeyUpdate of a strange kind", record.Handshake, []byte{24, 0, 0, 1, 2}, "illegal_parameter"},
		{"a KeyUpdate and more", record.Handshake, []byte{24, 0, 0, 1, 0, 24}, "unexpected_message"},
		{"a message that is too long", record.Handshake, []byte{4, 0xff, 0xff, 0xff}, "illegal_parameter"},
		{"half a message, then data", record.Handshake, []byte{4, 0, 0, 9}, "unexpected_message"},
	} {
		t.Run(test.name, func(t *testing.T) {
			victim, hostile := hostilePair(t)
			go func() {
				if hostile.hostile(test.t, test.content) == nil {
					_ = hostile.hostile(record.ApplicationData, []byte("data"))
				}
			}()
			go func() { _, _ = io.Copy(io.Discard, hostile.inner) }()
			var e *AlertError
			if n, err := victim.Read(make([]byte, 9)); n != 0 || !errors.As(err, &e) || e.Remote || e.Code.String() != test.alert {
				t.Errorf("%d, %v, want %s", n, err, test.alert)
			}
			if _, err := victim.Write([]byte("x")); !errors.As(err, &e) {
				t.Errorf("Write after it: %v", err)
			}
		})
	}
}
