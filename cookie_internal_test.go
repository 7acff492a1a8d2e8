// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"net"
	"testing"
)

// TestCookieJar opens cookies on the connection alone that they were sealed for,
// unchanged, and while there is a key.
func TestCookieJar(t *testing.T) {
	t.Parallel()
	key := GenerateSealingKey()
	here := newCookieJar(key, 1)
	cookie, err := here.Seal([]byte("state"))
	if err != nil {
		t.Fatal(err)
	}
	if state, ok := here.Open(cookie); !ok || string(state) != "state" {
		t.Fatalf("%q, %t", state, ok)
	}
	for name, jar := range map[string]*cookieJar{
		"another connection": newCookieJar(key, 11),
		"another key":        newCookieJar(GenerateSealingKey(), 1),
	} {
		if _, ok := jar.Open(cookie); ok {
			t.Errorf("%s: it opens", name)
		}
	}
	for i := range cookie {
		cookie[i] ^= 1
		if _, ok := here.Open(cookie); ok {
			t.Errorf("it opens with byte %d changed", i)
		}
		if _, ok := here.Open(cookie[:i]); ok {
			t.Errorf("%d bytes of it open", i)
		}
		cookie[i] ^= 1
	}
	key.Wipe()
	if _, ok := here.Open(cookie); ok {
		t.Error("it opens without a key")
	}
	if _, err := here.Seal([]byte("state")); err == nil {
		t.Error("a cookie is made without a key")
	}
}

// TestCookieOfAnother has a Listener's connections come from one address: none takes the
// cookie of another.
func TestCookieOfAnother(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	id, err := GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewListener(inner, &Config{Identity: id, Peers: AnyKey()})
	if err != nil {
		t.Fatal(err)
	}
	l.CookieAbove = 1
	for range 3 {
		near, far := net.Pipe()
		defer far.Close()
		l.admit(near)
	}
	l.mu.Lock()
	first, second := l.pending[1].cookies, l.pending[2].cookies
	l.mu.Unlock()
	cookie, err := first.Seal([]byte("state"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := second.Open(cookie); ok {
		t.Error("the second takes the cookie of the first")
	}
	if _, ok := first.Open(cookie); !ok {
		t.Error("the first does not take its own")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := first.Open(cookie); ok {
		t.Error("the key outlives the Listener")
	}
}
