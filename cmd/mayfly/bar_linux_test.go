// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal makes one, and returns what is written to it, as it comes.
func terminal(t *testing.T) (slave *os.File, written <-chan []byte) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	out := make(chan []byte, 100)
	go func() {
		defer close(out)
		for {
			b := make([]byte, 4096)
			n, err := master.Read(b)
			if err != nil {
				return
			}
			out <- b[:n]
		}
	}()
	return slave, out
}

// TestProgress has a terminal show how far a file is while it is sealed, and while it is
// read for the first time to be opened, when nothing of it may be written yet.
func TestProgress(t *testing.T) {
	t.Parallel()
	m := newMailbox(t)
	m.want(0, "", "seal", "-r", m.receiver, "-o", m.file("sealed"), m.file("plain"))
	sealed, err := os.ReadFile(m.file("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]struct {
		in   []byte
		args []string
	}{
		"seal": {m.plain, []string{"seal", "-r", m.receiver, "-o", m.file("sealed again")}},
		"open": {sealed, []string{"open", "-i", m.key, "-o", m.file("out")}},
	} {
		slave, written := terminal(t)
		cmd := exec.CommandContext(bounded(t), program, v.args...)
		cmd.Stderr = slave
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		slave.Close()
		last := len(v.in) - 1
		if _, err := in.Write(v.in[:last]); err != nil {
			t.Fatal(err)
		}
		var shown []byte
		for !bytes.Contains(shown, []byte("iB")) { // KiB or MiB
			b, ok := <-written
			if !ok {
				t.Fatalf("%s: the terminal shows %q", name, shown)
			}
			shown = append(shown, b...)
		}
		if _, err := in.Write(v.in[last:]); err != nil {
			t.Fatal(err)
		}
		in.Close()
		go func() { // the program does not end before all is read
			for range written {
			}
		}()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.same("out")
}

// TestSystemLinks writes to what the links of the system lead to, and leaves them where
// they are.
func TestSystemLinks(t *testing.T) {
	t.Parallel()
	m := newMailbox(t)
	m.want(0, "", "seal", "-r", m.receiver, "-o", m.file("sealed"), m.file("plain"))
	before, err := os.Readlink("/dev/stdout")
	if err != nil {
		t.Skip(err)
	}
	if out := m.want(0, "", "open", "-i", m.key, "-o", "/dev/stdout", m.file("sealed")); out != string(m.plain) {
		t.Error("/dev/stdout is something else")
	}
	if after, err := os.Readlink("/dev/stdout"); err != nil || after != before {
		t.Fatalf("/dev/stdout is %q now, %v", after, err)
	}

	r, w, err := os.Pipe() // as for >(…)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.CommandContext(bounded(t), program, "open", "-i", m.key, "-o", "/dev/fd/3", m.file("sealed"))
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, m.plain) {
		t.Errorf("/dev/fd/3: %d bytes, %v", len(b), err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}

	m.put("precious", []byte("untouched"))
	file, err := os.OpenFile(m.file("precious"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd = exec.CommandContext(bounded(t), program, "open", "-i", m.key, "-o", "/dev/fd/3", m.file("sealed"))
	cmd.ExtraFiles = []*os.File{file}
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("stands for a file")) {
		t.Errorf("%v, %s", err, out)
	}
	if b, err := os.ReadFile(m.file("precious")); err != nil || string(b) != "untouched" {
		t.Errorf("%q, %v", b, err)
	}
}
