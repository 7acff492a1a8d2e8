// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !goexperiment.runtimesecret || !linux || !(amd64 || arm64)

package volatile

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// TestStackStays has the garbage collector run while a function works on secrets, on a
// goroutine whose stack an earlier call has made large.
func TestStackStays(t *testing.T) {
	bare := func(f func()) { f() }
	moved := 0
	for n := 0; n < 50 && moved == 0; n++ { // the collector may be elsewhere for a while
		moved = movesOf(bare)
	}
	if moved == 0 {
		t.Error("the stack stays without Do: the test does not work")
	}
	for name, do := range map[string]func(func()){"Do": Do, "DoPinned": DoPinned} {
		if moved := movesOf(do); moved > 0 {
			t.Errorf("%s: the stack has moved %d times of 10", name, moved)
		}
	}
}

// movesOf returns how often of ten the stack moves while do runs a function.
func movesOf(do func(func())) (moved int) {
	var stop atomic.Bool
	stopped := make(chan bool)
	go func() {
		defer close(stopped)
		for !stop.Load() {
			runtime.GC()
		}
	}()
	for range 10 {
		done := make(chan bool)
		go func() {
			defer close(done)
			deep(400)
			do(func() {
				var here byte
				before := uintptr(unsafe.Pointer(&here))
				for end := time.Now().Add(10 * time.Millisecond); time.Now().Before(end); {
					spin(&here)
				}
				if uintptr(unsafe.Pointer(&here)) != before {
					moved++
				}
			})
		}()
		<-done
	}
	stop.Store(true)
	<-stopped
	return moved
}

// deep uses n KiB of the stack.
//
//go:noinline
func deep(n int) byte {
	var frame [1 << 10]byte
	frame[n] = 1
	if n > 0 {
		return frame[n/2] + deep(n-1)
	}
	return frame[0]
}

//go:noinline
func spin(b *byte) {
	for range 1000 {
		*b++
	}
}

// TestStackHasItsRoomFromTheStart has the garbage collector run while Do begins, and the
// function use all of the stack that it may.
func TestStackHasItsRoomFromTheStart(t *testing.T) {
	var stop atomic.Bool
	stopped := make(chan bool)
	go func() {
		defer close(stopped)
		for !stop.Load() {
			runtime.GC()
		}
	}()
	for range 20_000 {
		Do(func() {
			var here byte
			before := uintptr(unsafe.Pointer(&here))
			deep(room>>10 - 6) // a frame of deep is larger than 1 KiB
			if spin(&here); uintptr(unsafe.Pointer(&here)) != before {
				t.Error("the stack has moved")
			}
		})
		if t.Failed() {
			break
		}
	}
	stop.Store(true)
	<-stopped
}
