// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// copyBuffer is how much is copied at a time: several parts of a message, which are
// sealed from where they are.
const copyBuffer = 1 << 20

// A task reads one file, or standard input, and writes another, or standard output.
type task struct {
	in   *os.File // nil: not a file
	r    io.Reader
	name string // of the input, for errors
	size int64  // of the input, 0 if it is not known

	w      io.Writer
	temp   *os.File // what is to become the target; nil if it is none
	direct *os.File // the target, where it is no file; nil if it is one
	target string
	mode   fs.FileMode // of the target
}

// newTask opens the files of a command. "" and "-" are standard input and output.
func newTask(ctx context.Context, from, to string, stdin io.Reader, stdout io.Writer) (*task, error) {
	t := &task{r: stdin, name: "standard input", w: stdout, target: to}
	if from != "" && from != "-" {
		f, err := os.Open(from)
		if err != nil {
			return nil, err
		}
		t.in, t.r, t.name = f, f, from
	} else if f, ok := stdin.(*os.File); ok {
		t.r = f
	}
	if f, ok := t.r.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			t.size = info.Size()
		}
	}
	if to != "" && to != "-" {
		if err := t.create(stdout); err != nil {
			t.abandon()
			return nil, err
		}
	}
	t.r = interruptible(ctx, t.r)
	return t, nil
}

// create opens the output: a file beside the target, which takes its place only when
// all of it is written. A symbolic link is replaced, and not followed, but for those of
// the system, such as /dev/stdout and what a shell puts for >(…). What is no file, but
// a device or a pipe, is written to where it is.
func (t *task) create(stdout io.Writer) error {
	t.mode = 0o600
	old, err := os.Lstat(t.target)
	if err == nil && old.Mode()&fs.ModeSymlink != 0 && ofTheSystem(t.target) {
		if old, err = os.Stat(t.target); err != nil {
			return err
		}
		if f, ok := stdout.(*os.File); ok {
			if info, err := f.Stat(); err == nil && os.SameFile(old, info) {
				return nil // it writes to stdout as it is
			}
		}
		if old.Mode().IsRegular() {
			return fmt.Errorf("%s stands for a file: say which", t.target)
		}
	}
	switch {
	case err != nil || old.Mode()&fs.ModeSymlink != 0:
	case old.Mode().IsRegular():
		if holdsKey(t.target) {
			return fmt.Errorf("%s holds a private key, which is never overwritten: name another file with -o", t.target)
		}
		t.mode = old.Mode().Perm()
	case old.IsDir():
		return fmt.Errorf("%s is a directory", t.target)
	default:
		return t.writeTo(old)
	}
	f, err := os.CreateTemp(filepath.Dir(t.target), ".mayfly-*")
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			e.Path = t.target // what was asked for
		}
		return err
	}
	t.temp, t.w = f, f
	return nil
}

// writeTo opens a target that is no file. What was put in its place meanwhile may be one
// that is not to be written to.
func (t *task) writeTo(old fs.FileInfo) error {
	f, err := os.OpenFile(t.target, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err != nil || !os.SameFile(old, info) {
		_ = f.Close()
		return fmt.Errorf("%s has become something else", t.target)
	}
	t.direct, t.w = f, f
	return nil
}

// ofTheSystem reports whether a symbolic link is none of a user's.
func ofTheSystem(link string) bool {
	dir, err := filepath.EvalSymlinks(filepath.Dir(link))
	return err == nil && (dir == "/dev" || strings.HasPrefix(dir, "/proc/"))
}

// holdsKey reports whether a file looks like a private key in PEM.
func holdsKey(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 64)
	n, _ := io.ReadFull(f, head)
	return bytes.Contains(head[:n], []byte("PRIVATE KEY-----"))
}

// finish puts the output in its place.
func (t *task) finish() error {
	defer t.abandon()
	if t.direct != nil {
		err := t.direct.Close()
		t.direct = nil
		return err
	}
	if t.temp == nil {
		return nil
	}
	name := t.temp.Name()
	err := errors.Join(t.temp.Chmod(t.mode), t.temp.Sync(), t.temp.Close())
	if err == nil {
		err = os.Rename(name, t.target)
	}
	if err != nil {
		_ = os.Remove(name)
	}
	t.temp = nil
	return err
}

// abandon closes the files, and removes an output that is not finished.
func (t *task) abandon() {
	if t.in != nil {
		_ = t.in.Close()
	}
	if t.direct != nil {
		_ = t.direct.Close()
		t.direct = nil
	}
	if t.temp != nil {
		_ = t.temp.Close()
		_ = os.Remove(t.temp.Name())
		t.temp = nil
	}
}

// fail says what went wrong with the input.
func (t *task) fail(err error) error {
	return connectionError{fmt.Errorf("%s: %s", t.name, strings.TrimPrefix(err.Error(), "message: "))}
}

// interruptible returns a reader that fails once ctx is done, and that can be sought
// in if r can.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	stop := &interruptReader{ctx, r}
	if s, ok := r.(io.ReadSeeker); ok {
		return &struct {
			io.Reader
			io.Seeker
		}{stop, s}
	}
	return stop
}

type interruptReader struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptReader) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}
