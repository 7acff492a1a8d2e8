// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"crypto/tls"
	"errors"
	"flag"
	"net"
	"runtime"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

var resumptions = flag.Int("resumptions", 1000, "how often TestManyResumptions resumes")

// TestManyResumptions resumes a session again and again, each time by a ticket of the
// last, and measures memory and goroutines: neither grows.
func TestManyResumptions(t *testing.T) {
	r := newRig(t)
	r.client.CurvePreferences = []tls.CurveID{tls.X25519}
	once := func(resumed bool) {
		a, b := net.Pipe()
		client, server := mayfly.Client(a, r.client), mayfly.Server(b, r.server)
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		if err := errors.Join(client.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		go func() { _, err := server.Write([]byte("x")); done <- err }()
		if _, err := client.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		mustBe(t, resumed, client, server)
		_ = a.Close()
		_ = client.Close()
		_ = server.Close()
	}
	once(false)
	for range 200 {
		once(true)
	}
	heap, goroutines := settled()
	for n := range *resumptions {
		once(true)
		if (n+1)%(max(10, *resumptions)/10) == 0 {
			now, _ := settled()
			t.Logf("after %d resumptions: %d KiB of heap", n+1, now>>10)
		}
	}
	now, left := settled()
	if now > heap+256<<10 {
		t.Errorf("the heap grew from %d to %d bytes in %d resumptions", heap, now, *resumptions)
	}
	if left > goroutines+8 {
		t.Errorf("there were %d goroutines, and are %d", goroutines, left)
	}
	if n := r.cache.Len(); n > 64 {
		t.Errorf("%d sessions are kept", n)
	}
}

// settled is how much of the heap is in use, and how many goroutines there are.
func settled() (heap uint64, goroutines int) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}
