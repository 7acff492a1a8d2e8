// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-tls/mayfly"
)

// TestLockMemory has a child process lock its memory, where it may and where the limit
// does not allow it, which the error says.
func TestLockMemory(t *testing.T) {
	t.Parallel()
	const variable = "MAYFLY_TEST_LOCK_MEMORY"
	switch os.Getenv(variable) {
	case "locked":
		locksMemory(t)
		return
	case "refused":
		mayNotLock(t)
		return
	}
	for _, what := range []string{"locked", "refused"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockMemory$", "-test.v")
		cmd.Env = append(os.Environ(), variable+"="+what)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		} else if strings.Contains(string(out), "--- SKIP") {
			t.Logf("%s: skipped\n%s", what, out)
		}
	}
}

func locksMemory(t *testing.T) {
	err := mayfly.LockMemory()
	if err != nil && strings.Contains(err.Error(), "RLIMIT_MEMLOCK") {
		t.Skip(err) // this user may not
	} else if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`VmLck:\s+[1-9]`).Match(status) {
		t.Errorf("no memory is locked:\n%s", status)
	}
	if n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || n != 0 {
		t.Errorf("dumpable: %d, %v", n, err)
	}
}

func mayNotLock(t *testing.T) {
	runtime.LockOSThread() // whose limit and rights these are
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 4096, Max: 4096}); err != nil {
		t.Skip(err)
	}
	var none [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		t.Skip(err)
	}
	if err := mayfly.LockMemory(); err == nil || !strings.HasPrefix(err.Error(), "mayfly: memory cannot be locked: RLIMIT_MEMLOCK is 4096 bytes") {
		t.Error(err)
	}
}
