// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !race

package volatile

import (
	"bytes"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pattern is the secret that the registers are filled with.
var pattern = [8]byte{0xd1, 0xc2, 0xb3, 0xa4, 0x95, 0x86, 0x77, 0x68}

// TestDoLeavesNothingOnTheSignalStack has signals come while the registers hold a secret,
// and looks for that where the kernel saves registers: on the thread's signal stack.
func TestDoLeavesNothingOnTheSignalStack(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // one sends, beside a pinned goroutine
	bare := func(f func()) { f() }
	left := 0
	for n := 0; n < 50 && left == 0; n++ { // a later signal may overwrite what an earlier one saved
		left = leftBy(t, bare)
	}
	if left == 0 {
		t.Error("without Do nothing is on the signal stack: the test does not work")
	}
	for name, do := range map[string]func(func()){"Do": Do, "DoPinned": DoPinned} {
		if n := leftBy(t, do); n > 0 {
			t.Errorf("%s: %d registers are on the signal stack", name, n)
		}
		if n := leftBy(t, func(f func()) { do(func() { do(func() {}); do(f) }) }); n > 0 {
			t.Errorf("%s within %s: %d registers are on the signal stack", name, name, n)
		}
	}
}

// leftBy returns how many registers with the pattern a thread's signal stack holds
// after f has filled them, within do, while signals were sent. do may have f run on
// another thread than this one.
func leftBy(t *testing.T, do func(func())) int {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid := unix.Getpid()
	var thread int
	var stack []byte
	var sent atomic.Bool
	ready := make(chan bool, 1) // fill is pinned
	go func() {
		<-ready
		for range 200 { // soon over: the runtime's own signals would overwrite these
			_ = unix.Tgkill(pid, thread, unix.SIGUSR1)
		}
		sent.Store(true)
	}()
	before := make(chan os.Signal, 1)
	signal.Notify(before, unix.SIGUSR1) // which ends a program that does not ask for it
	defer signal.Stop(before)
	do(func() {
		thread, stack = unix.Gettid(), stackOfSignals()
		ready <- true
		fill(&sent)
	})
	n := bytes.Count(stack, pattern[:])
	clear(stack) // nothing is left for the next
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
			reverse(&words)
			reverse(&numbers)
		}
	}
}

// stackOfSignals returns the thread's signal stack; nil if there is none.
func stackOfSignals() []byte {
	var s signalStack
	if _, _, e := unix.RawSyscall(unix.SYS_SIGALTSTACK, 0, uintptr(unsafe.Pointer(&s)), 0); e != 0 {
		return nil
	}
	return unsafe.Slice((*byte)(s.base), s.size)
}

// TestEverySignalMarksTheEndOfTheSignalStack is what scrubSignalStack goes by.
func TestEverySignalMarksTheEndOfTheSignalStack(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the mark is known on amd64 and arm64 only; on others the stack is always wiped")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stack := stackOfSignals()
	pid, thread, wiped := unix.Getpid(), unix.Gettid(), make([]byte, len(stack))
	for range 1000 {
		var marked, scrubbed bool
		procPin() // no other signal comes from the runtime
		clear(stack)
		_, _, _ = unix.RawSyscall(unix.SYS_TGKILL, uintptr(pid), uintptr(thread), uintptr(unix.SIGURG))
		marked = usedSignalStack(stack)
		scrubSignalStack()
		scrubbed = bytes.Equal(stack, wiped)
		procUnpin()
		if !marked || !scrubbed {
			t.Fatalf("marked by a signal: %v; wiped: %v", marked, scrubbed)
		}
	}
}

// TestDoAllowsPreemptionAfterwards has f leave Do in every way.
func TestDoAllowsPreemptionAfterwards(t *testing.T) {
	for name, do := range map[string]func(func()){"Do": Do, "DoPinned": DoPinned} {
		for how, f := range map[string]func(){"returned": func() {}, "panicked": func() { panic("cause") }, "ended": runtime.Goexit} {
			if name == "DoPinned" && how == "panicked" {
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
					if b := blocked(); b != (unix.Sigset_t{}) && (name != "Do" || b != preemptSignal) {
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

// reverse loads all of an array before it stores any of it, which takes every register of
// the kind.
//
//go:noinline
func reverse[T float64 | uint](a *[32]T) {
	a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7],
		a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15],
		a[16], a[17], a[18], a[19], a[20], a[21], a[22], a[23],
		a[24], a[25], a[26], a[27], a[28], a[29], a[30], a[31] =
		a[31], a[30], a[29], a[28], a[27], a[26], a[25], a[24],
		a[23], a[22], a[21], a[20], a[19], a[18], a[17], a[16],
		a[15], a[14], a[13], a[12], a[11], a[10], a[9], a[8],
		a[7], a[6], a[5], a[4], a[3], a[2], a[1], a[0]
}

func BenchmarkScrubSignalStack(b *testing.B) {
	b.Run("untouched", func(b *testing.B) {
		for b.Loop() {
			scrubSignalStack()
		}
	})
	b.Run("after a signal", func(b *testing.B) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		stack := stackOfSignals()
		for b.Loop() {
			stack[len(stack)-8] = 1
			scrubSignalStack()
		}
	})
}
