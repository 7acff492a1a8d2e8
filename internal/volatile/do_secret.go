// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build goexperiment.runtimesecret && linux && (amd64 || arm64)

package volatile

import (
	"runtime"
	"runtime/secret"
)

// Do runs f, and erases the stack and the registers that it used, the thread's signal
// stack, and what it allocated as soon as the garbage collector finds it unreachable. It
// does so if f panics, too.
func Do(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer scrubSignalStack()
	secret.Do(f)
}

// DoPinned is Do for HMAC, X25519, the keys of AEADs, and records. The caller's goroutine
// is pinned to its thread. f must not block and must not panic: both end the process. It
// must be short, for the garbage collector waits for it: a few records, not many.
func DoPinned(f func()) {
	procPin()
	defer procUnpin()
	secret.Do(f)
	scrubSignalStack()
}

// Move copies src to dst, which must not overlap, and wipes what it has copied. The
// registers through which it goes are erased, too.
func Move(dst, src []byte) (n int) {
	DoPinned(func() {
		n = copy(dst, src)
		Wipe(src[:n])
	})
	return n
}
