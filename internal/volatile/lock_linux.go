// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package volatile

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// LockProcess keeps all memory of the process, present and future, from being
// written to swap space, and the process from leaving a core dump. It may be
// called again.
//
// It is the whole process because Go puts copies of secrets where it will: on
// stacks that move, into the state of ciphers, among other objects of their size.
// Locking the pages of a few of them would promise more than it holds.
func LockProcess() error {
	// MCL_ONFAULT leaves what Go has reserved and not touched untouched.
	err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EAGAIN):
		var limit unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit)
		return fmt.Errorf("memory cannot be locked: RLIMIT_MEMLOCK is %d bytes, and a Go program needs it unlimited (ulimit -l unlimited, LimitMEMLOCK=infinity), or CAP_IPC_LOCK", limit.Cur)
	case err != nil:
		return fmt.Errorf("memory cannot be locked: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("core dumps cannot be switched off: %w", err)
	}
	return nil
}
