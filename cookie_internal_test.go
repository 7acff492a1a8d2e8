// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"net"
	"testing"
)

// TestCookieJar opens cookies for the client alone that they were baked for, unchanged,
// and while there is a key.
func TestCookieJar(t *testing.T) {
	t.Parallel()
	key := GenerateSealingKey()
	here := newCookieJar(key, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1})
	cookie, err := here.Seal([]byte("state"))
	if err != nil {
		t.Fatal(err)
	}
	if state, ok := here.Open(cookie); !ok || string(state) != "state" {
		t.Fatalf("%q, %t", state, ok)
	}
	for name, jar := range map[string]*cookieJar{
		"another port": newCookieJar(key, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 2}),
		"no address":   newCookieJar(key, nil),
		"another key":  newCookieJar(GenerateSealingKey(), &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}),
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
