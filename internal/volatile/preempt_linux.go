// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package volatile

import "golang.org/x/sys/unix"

// preemptSignal is the signal with which the runtime preempts a goroutine, as a set.
var preemptSignal = func() (set unix.Sigset_t) {
	set.Val[0] = 1 << (unix.SIGURG - 1)
	return set
}()

// blockPreemption keeps the thread from being preempted, which would save the vector
// registers in memory of the runtime. The caller has locked its goroutine to the thread.
// It returns what restores the thread's signal mask.
func blockPreemption() (restore func()) {
	var before unix.Sigset_t
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &preemptSignal, &before)
	return func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }
}
