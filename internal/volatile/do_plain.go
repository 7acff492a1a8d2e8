// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !goexperiment.runtimesecret || !linux || !(amd64 || arm64)

package volatile

import "runtime"

// The stack that f may use below Do and DoPinned with nothing of it left behind. The
// deepest of what this module calls is the making of an ML-KEM-1024 key, at 19 KiB.
// X25519, HMAC and records use up to 1.6 KiB. TestRoom measures both.
const (
	room        = 24 << 10
	roomShallow = 4<<10 + 512

	// inUse is how much of its stack a goroutine of Do uses above that. The runtime halves
	// the stack of a goroutine that uses less than a quarter of it. A goroutine begins with
	// the stack that others use on average, so Do holds where that is less than 256 KiB.
	inUse = 64 << 10
)

// Do runs f, and scrubs the stack, the registers and the thread's signal stack, where a
// signal saves registers. It does so if f panics, too. f may block. On Linux the runtime
// does not preempt f meanwhile, so f should be short. f must not start a process, to which
// the blocked signal would pass on.
//
// The runtime moves a stack that grows, or of which less than a quarter is in use, and
// leaves the old one behind as it was. So f runs on a goroutine of its own, below a frame
// that keeps a quarter in use, and the stack is grown below that frame before f runs.
func Do(f func()) {
	var p any
	returned := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer blockPreemption()()
		defer scrubSignalStack()
		p = runBelow(nil, f)
		returned = true
	}()
	<-done
	switch {
	case !returned:
		runtime.Goexit() // as f did
	case p != nil:
		panic(p)
	}
}

// DoPinned is Do for HMAC, X25519, the keys of AEADs, and records. f runs on the caller's
// goroutine, which is pinned: its stack does not move, the runtime does not preempt it,
// and it keeps its thread. f must not block and must not panic: both end the process. It
// must be short, for the garbage collector waits for it: a few records, not many.
//
//go:noinline
func DoPinned(f func()) {
	procPin()
	defer procUnpin() // for runtime.Goexit, too
	growShallow(nil)
	f()
	scrubShallow()
	scrubSignalStack()
}

// Move copies src to dst, which must not overlap, and wipes what it has copied, and the
// registers through which that went.
func Move(dst, src []byte) (n int) {
	DoPinned(func() {
		n = copy(dst, src)
		Wipe(src[:n])
	})
	return n
}

// growStack grows the stack: its frame is large, and it uses nothing of it.
//
//go:noinline
func growStack(never *[2 * room]byte) {
	if never != nil {
		frame := *never
		Wipe(frame[:])
	}
}

//go:noinline
func growShallow(never *[2 * roomShallow]byte) {
	if never != nil {
		frame := *never
		Wipe(frame[:])
	}
}

// runBelow runs f below a frame of inUse bytes, and scrubs the room that f had. It returns
// what f panicked with.
//
//go:noinline
func runBelow(never *[inUse]byte, f func()) any {
	if never != nil {
		frame := *never
		Wipe(frame[:])
	}
	growStack(nil)
	p := try(f)
	scrub()
	return p
}

//go:noinline
func try(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

// scrub zeroes the stack where f's frames were.
//
//go:noinline
func scrub() {
	var frame [room]byte
	scrubRegisters(frame[:])
}

//go:noinline
func scrubShallow() {
	var frame [roomShallow]byte
	scrubRegisters(frame[:])
}
