// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix && !darwin

package transfer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// oddNames are files that Unix takes.
func oddNames() []string {
	return []string{
		"-rf", " ", "a b", "quote\"'$(x)`", "new\nline", "tab\t\x1b[31m", `back\slash`, `..\up`, "…", "..a", "a..", "...",
		"\xff\xfe", "\xff\xfd", "caf\xe9", "cafe\u0301", "caf\u00e9", "\ufffd\ufffd", "CON", "nul.txt",
		strings.Repeat("n", maxName), strings.Repeat("n", maxName-1) + "m", strings.Repeat("ü", maxName/2) + "m",
	}
}

// Each name arrives as the bytes that it is, beside those that look like it; and the sum
// is that of sha256sum's lines.
func TestNames(t *testing.T) {
	t.Parallel()
	from := filepath.Join(t.TempDir(), "odd")
	names := oddNames()
	for i, name := range names {
		write(t, filepath.Join(from, name), content(byte(i), 1000+i), 0o644)
	}
	r, to := receiver(t)
	sent, _, err, err2 := carry(t, r, -1, from)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	same(t, from, filepath.Join(to, "odd"))
	if sent.Files != int64(len(names)) {
		t.Errorf("%d files were sent, of %d", sent.Files, len(names))
	}

	sha256sum, err := exec.LookPath("sha256sum")
	if err != nil {
		t.Skip("sha256sum is not there")
	}
	slices.Sort(names) // as WalkDir does
	args := []string{"--"}
	for _, name := range names {
		args = append(args, "odd/"+name)
	}
	cmd := exec.CommandContext(t.Context(), sha256sum, args...)
	cmd.Dir = to
	lines, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(lines); !bytes.Equal(sent.Sum, want[:]) {
		t.Errorf("%x is not the sum of\n%s", sent.Sum, lines)
	}
}

// What is not whole of files with the longest names is found again.
func TestPartsOfLongNames(t *testing.T) {
	t.Parallel()
	from := filepath.Join(t.TempDir(), "long")
	first, second := strings.Repeat("n", maxName-1)+"1", strings.Repeat("n", maxName-1)+"2"
	write(t, filepath.Join(from, first), content(1, 500_000), 0o644)
	write(t, filepath.Join(from, second), content(2, 500_000), 0o644)
	r, to := receiver(t)
	if _, _, err, _ := carry(t, r, 900_000, from); err == nil {
		t.Fatal("it was not cut")
	}
	sent, _, err, err2 := carry(t, r, -1, from)
	if err != nil || err2 != nil || sent.Saved < 800_000 {
		t.Error(err, err2, sent)
	}
	same(t, from, filepath.Join(to, "long"))
}

// What an inbox keeps of its senders is none of the next transfer's files.
func TestStateIsNotSent(t *testing.T) {
	t.Parallel()
	from := filepath.Join(t.TempDir(), "inbox")
	write(t, filepath.Join(from, "file"), content(1, 10), 0o644)
	write(t, filepath.Join(from, stateFolder, "sender", arrivalsFile), content(2, 10), 0o600)
	if err := Check(filepath.Join(from, stateFolder)); err == nil || !strings.Contains(err.Error(), "keeps of its senders") {
		t.Error(err)
	}
	r, to := receiver(t)
	sent, _, err, err2 := carry(t, r, -1, from)
	if err != nil || err2 != nil || sent.Files != 1 {
		t.Fatal(err, err2, sent)
	}
	if entries, err := os.ReadDir(filepath.Join(to, "inbox")); err != nil || len(entries) != 1 {
		t.Error(entries, err)
	}
}

// Who cannot look into a folder at the sender cannot at the receiver; one that is there
// stays as it is.
func TestFolders(t *testing.T) {
	t.Parallel()
	from := filepath.Join(t.TempDir(), "folder")
	modes := map[string]fs.FileMode{"private": 0o700, "group": 0o770, "read": 0o555, "open": 0o777, "there": 0o777}
	for name, mode := range modes {
		write(t, filepath.Join(from, name, "file"), []byte(name), 0o600)
		if err := os.Chmod(filepath.Join(from, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(from, "read"), 0o755) })
	r, to := receiver(t)
	if err := errors.Join(os.MkdirAll(filepath.Join(to, "folder", "there"), 0o700), os.Chmod(filepath.Join(to, "folder", "there"), 0o710)); err != nil {
		t.Fatal(err)
	}
	if _, _, err, err2 := carry(t, r, -1, from); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	modes["read"], modes["there"] = 0o755, 0o710
	for name, mode := range modes {
		info, err := os.Stat(filepath.Join(to, "folder", name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
}

// What cannot be sent is told before anything is.
func TestCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "same"), nil, 0o644)
	write(t, filepath.Join(dir, "b", "same"), nil, 0o644)
	for want, names := range map[string][]string{
		"":                               {dir, filepath.Join(dir, "a")},
		"same name":                      {filepath.Join(dir, "a", "same"), filepath.Join(dir, "b", "same")},
		"no such file":                   {dir, filepath.Join(dir, "nothing")},
		"no name":                        {"/"},
		"is neither a file nor a folder": {os.DevNull},
	} {
		if err := Check(names...); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", names, err, want)
		}
	}
}
