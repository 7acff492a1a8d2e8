// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !mips && !mipsle && !mips64 && !mips64le

package volatile

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// signalStack is stack_t of sigaltstack(2).
type signalStack struct {
	base  unsafe.Pointer
	flags int32
	size  uintptr
}

// ssDisable is the flag of a thread without a signal stack, from signal.h.
const ssDisable = 2

// scrubSignalStack wipes the signal stack of the thread. A signal that interrupted the
// work on a secret had the kernel save the registers there. The caller keeps its thread
// from before that work until scrubSignalStack has returned, so no handler is running on
// this stack: a handler that interrupts the wiping returns before that goes on.
//
//go:norace
//go:noinline
func scrubSignalStack() {
	var s signalStack
	_, _, errno := unix.RawSyscall(unix.SYS_SIGALTSTACK, 0, uintptr(unsafe.Pointer(&s)), 0)
	if errno != 0 || s.flags&ssDisable != 0 || s.base == nil {
		return
	}
	stack := unsafe.Slice((*byte)(s.base), s.size)
	if usedSignalStack(stack) {
		clear(stack)
	}
}

// usedSignalStack reports whether a signal may have come since the stack was wiped. The
// kernel begins a frame at the stack's upper end. On amd64 the last word of the frame is
// FP_XSTATE_MAGIC2, on arm64 the last two are the frame pointer and the link register:
// they are not all zero.
//
//go:norace
//go:nosplit
func usedSignalStack(stack []byte) bool {
	const end = 256
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" || len(stack) < end {
		return true
	}
	var any uint64
	for _, w := range (*[end / 8]uint64)(unsafe.Pointer(&stack[len(stack)-end])) {
		any |= w
	}
	return any != 0
}
