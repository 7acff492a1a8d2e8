// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !goexperiment.runtimesecret || !(amd64 || arm64)

package volatile

import (
	"math/bits"
	"runtime"

	"golang.org/x/sys/unix"
)

// quiet is a time in which the thread takes no signals.
type quiet struct{ before unix.Sigset_t }

// begin starts it. The goroutine keeps its thread until end.
func (q *quiet) begin() {
	runtime.LockOSThread()
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &deferred, &q.before)
}

// end takes the signals that came in the meantime.
func (q *quiet) end() {
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &q.before, nil)
	runtime.UnlockOSThread()
}

// deferred are the signals that wait. Not among them are those that a thread brings
// upon itself, which would end the process instead of becoming a panic; and the
// first three real-time signals, with which the runtime and C libraries have all
// threads do something while they stand still.
var deferred = allBut(
	unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGSEGV, unix.SIGSYS, unix.SIGTRAP,
	32, 33, 34,
)

func allBut(signals ...unix.Signal) (set unix.Sigset_t) {
	for i := range set.Val {
		set.Val[i]--
	}
	for _, s := range signals {
		set.Val[(s-1)/bits.UintSize] &^= 1 << ((s - 1) % bits.UintSize)
	}
	return set
}
