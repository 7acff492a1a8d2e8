// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package volatile

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLockProcess locks a child process, which asks the kernel what came of it.
func TestLockProcess(t *testing.T) {
	if what := os.Getenv("MAYFLY_TEST_LOCK"); what != "" {
		lockChild(t, what)
		return
	}
	if err := LockProcess(); err != nil && !strings.Contains(err.Error(), "RLIMIT_MEMLOCK") {
		t.Error(err) // in this process, which may or may not
	}
	for _, what := range []string{"locked", "refused"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLockProcess$", "-test.v")
		cmd.Env = append(os.Environ(), "MAYFLY_TEST_LOCK="+what)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		if strings.Contains(string(out), "--- SKIP") {
			t.Logf("%s: skipped\n%s", what, out)
		}
	}
}

func lockChild(t *testing.T, what string) {
	if what == "refused" {
		// Without the right and without the limit, for this thread alone.
		runtime.LockOSThread()
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 4096, Max: 4096}); err != nil {
			t.Skip(err)
		}
		var none [2]unix.CapUserData
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			t.Skip(err)
		}
		if err := LockProcess(); err == nil || !strings.Contains(err.Error(), "RLIMIT_MEMLOCK is 4096 bytes") {
			t.Errorf("got %v", err)
		}
		return
	}
	if err := LockProcess(); err != nil {
		t.Skip(err) // whoever runs this may not
	}
	if n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || n != 0 {
		t.Errorf("dumpable: %d, %v", n, err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmLck:") && strings.Fields(line)[1] == "0" {
			t.Errorf("nothing is locked: %s", line)
		}
	}
	if err := LockProcess(); err != nil {
		t.Errorf("again: %v", err)
	}
}
