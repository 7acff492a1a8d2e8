// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestKeyFilesOfRoot has a process that is not root use key files of root, as in a pod with
// a Kubernetes secret and fsGroup. A group may read them. A group may not write them, and
// others may do nothing. A file of another user must be that user's only.
func TestKeyFilesOfRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	const user, group, other = 65533, 65532, 65531
	dir, err := os.MkdirTemp("", "mayfly")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "mayfly")
	if err := errors.Join(os.WriteFile(mine, binary, 0o755), os.Chmod(mine, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	key, pin := keygen(t)
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		owner int
		mode  os.FileMode
		taken bool
	}{
		{"readable by the group", 0, 0o640, true},
		{"only readable by the group", 0, 0o440, true},
		{"writable by the group", 0, 0o660, false},
		{"executable by the group", 0, 0o650, false},
		{"readable by others", 0, 0o644, false},
		{"of another user", other, 0o640, false},
		{"of the user, readable by the group", user, 0o640, false},
		{"of the user", user, 0o600, true},
	} {
		file := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-"))
		if err := errors.Join(os.WriteFile(file, text, 0o600), os.Chown(file, c.owner, group), os.Chmod(file, c.mode)); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"dial", "--key", file, "--peer", pin, "127.0.0.1:1"},
			{"open", "-i", file, os.DevNull},
		} {
			cmd := exec.CommandContext(bounded(t), mine, args...)
			cmd.Dir = dir
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: group}}
			out, err := cmd.CombinedOutput()
			refused := strings.Contains(string(out), "open to others than its owner")
			if err == nil || refused == c.taken || !refused && strings.Contains(string(out), "permission denied") {
				t.Errorf("%s, %s: %v, %s", args[0], c.name, err, out)
			}
		}
	}
}
