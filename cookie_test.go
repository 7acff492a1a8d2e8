// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestCookieAbove lets clients in beside a few silent strangers: they are asked for a
// cookie, and are served as ever, crypto/tls among them.
func TestCookieAbove(t *testing.T) {
	cc, sc := mayflytest.Configs(t)
	cert, err := sc.Identity.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{}, 100)
	sc.Certificates, sc.Peers, sc.MaxEarlyData = []tls.Certificate{cert}, mayfly.NoClientAuth(), 100
	sc.Trace = &mayfly.Trace{HandshakeStart: func(context.Context, mayfly.HandshakeStartInfo) { started <- struct{}{} }}
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ln.CookieAbove = 2
	go func() {
		for {
			c, err := ln.AcceptEarly()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	cc.Identity, cc.Sessions = nil, mayfly.NewSessionCache(8)
	dialer := &mayfly.Dialer{Config: cc, Confirm: true}
	dial := func(early string, retried, resumed bool) {
		t.Helper()
		c, accepted, err := dialer.DialEarly(t.Context(), "tcp", ln.Addr().String(), []byte(early))
		if err != nil {
			t.Fatal(err)
		}
		askBack(t, c)
		state := c.ConnectionState()
		if state.HelloRetryRequest != retried || state.DidResume != resumed || accepted || retried && early != "" && c.EarlyDataReason() != mayfly.EarlyDataRetried {
			t.Errorf("retry %t, resumed %t, early data %t, %v", state.HelloRetryRequest, state.DidResume, accepted, c.EarlyDataReason())
		}
	}
	dial("", false, false)
	<-started
	for range 2 {
		silent, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		<-started
	}
	dial("", true, true)
	dial("early", true, true)
	dialer.Config = cc.Clone()
	dialer.Config.Sessions = nil
	dial("", true, false)
	dialer.Config.CurvePreferences, dialer.Config.KeyShares = []tls.CurveID{tls.X25519, tls.CurveP256}, []tls.CurveID{}
	dial("", true, false) // a share is asked for, too
	other, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	askBack(t, other)
	if !other.ConnectionState().HelloRetryRequest {
		t.Error("crypto/tls was not asked for a cookie")
	}
}

// askBack sends a word to a server that sends it back, and closes.
func askBack(t *testing.T, c interface {
	net.Conn
	CloseWrite() error
}) {
	t.Helper()
	_, err := c.Write([]byte("word"))
	err = errors.Join(err, c.CloseWrite())
	b, readErr := io.ReadAll(c)
	if err = errors.Join(err, readErr, c.Close()); err != nil || string(b) != "word" {
		t.Errorf("%q, %v", b, err)
	}
}
