// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !race && (!goexperiment.runtimesecret || !(amd64 || arm64))

package volatile

import (
	"bytes"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pattern is the secret that the registers are filled with.
var pattern = [8]byte{0xd1, 0xc2, 0xb3, 0xa4, 0x95, 0x86, 0x77, 0x68}

// TestDoKeepsSignalsAway has signals come while the registers hold a secret, and
// looks for that where the kernel saves registers: on the thread's signal stack.
func TestDoKeepsSignalsAway(t *testing.T) {
	bare := func(f func()) { f() }
	if n := leftBy(t, bare); n == 0 {
		t.Error("without Do nothing is on the signal stack: the test does not work")
	}
	for name, do := range map[string]func(func()){"Do": Do, "DoShallow": DoShallow} {
		if n := leftBy(t, do); n > 0 {
			t.Errorf("%s: %d registers are on the signal stack", name, n)
		}
		if n := leftBy(t, func(f func()) { do(func() { do(func() {}); do(f) }) }); n > 0 {
			t.Errorf("%s within %s: %d registers are on the signal stack", name, name, n)
		}
	}
}

// leftBy returns how many registers with the pattern a thread's signal stack holds
// after f has filled them, within do, until signals were sent. do may have f run on
// another thread than this one.
func leftBy(t *testing.T, do func(func())) int {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid := unix.Getpid()
	var thread int
	var stack []byte
	var sent atomic.Bool
	ready := make(chan bool)
	go func() {
		<-ready
		for range 20 {
			_ = unix.Tgkill(pid, thread, unix.SIGURG)
			time.Sleep(100 * time.Microsecond)
		}
		sent.Store(true)
	}()
	do(func() {
		thread, stack = unix.Gettid(), signalStack(t)
		close(ready)
		fill(&sent)
	})
	n := bytes.Count(stack, pattern[:])
	_ = unix.Tgkill(pid, thread, unix.SIGURG) // nothing is left for the next
	return n
}

// fill keeps the pattern in registers until told to stop.
func fill(stop *atomic.Bool) {
	word := *(*uint)(unsafe.Pointer(&pattern))
	number := *(*float64)(unsafe.Pointer(&pattern))
	var words [32]uint
	var numbers [32]float64
	for i := range words {
		words[i], numbers[i] = word, number
	}
	for !stop.Load() {
		for range 1000 {
			turn(&words)
			turn(&numbers)
		}
	}
}

// signalStack returns the thread's.
func signalStack(t *testing.T) []byte {
	var stack struct {
		base  *byte
		flags int32
		size  uintptr
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SIGALTSTACK, 0, uintptr(unsafe.Pointer(&stack)), 0); e != 0 {
		t.Fatal(e)
	}
	return unsafe.Slice(stack.base, stack.size)
}

// TestDoTakesSignalsAfterwards has f leave Do in every way.
func TestDoTakesSignalsAfterwards(t *testing.T) {
	for name, do := range map[string]func(func()){"Do": Do, "DoShallow": DoShallow} {
		for how, f := range map[string]func(){"returned": func() {}, "panicked": func() { panic("cause") }, "ended": runtime.Goexit} {
			if name == "DoShallow" && how == "panicked" {
				continue // which would end the process
			}
			done := make(chan unix.Sigset_t)
			go func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				defer func() {
					_ = recover()
					done <- blocked()
				}()
				do(func() {
					if b := blocked(); b.Val[0]&(1<<(unix.SIGURG-1)) == 0 || b.Val[0]&(1<<(unix.SIGSEGV-1)) != 0 {
						t.Errorf("%s: blocked is %x", name, b.Val[0])
					}
					f()
				})
			}()
			if b := <-done; b != (unix.Sigset_t{}) {
				t.Errorf("%s: after f has %s, blocked is %x", name, how, b.Val)
			}
		}
	}
}

func blocked() (set unix.Sigset_t) {
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, nil, &set)
	return set
}
