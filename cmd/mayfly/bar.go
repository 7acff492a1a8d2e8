// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A bar shows how far a long task is, on a terminal alone.
type bar struct {
	stderr io.Writer
	shown  *progressbar.ProgressBar // nil: nobody sees it
	at     int64                    // in what it follows
}

const barEvery = 200 * time.Millisecond

func newBar(stderr io.Writer) *bar { return &bar{stderr: stderr} }

// begin shows the bar, of so many bytes; 0: it is not known how many come.
func (b *bar) begin(_, bytes int64) {
	f, ok := file(b.stderr)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	if bytes == 0 {
		bytes = -1
	}
	b.shown = progressbar.NewOptions64(bytes,
		progressbar.OptionSetWriter(b.stderr),
		progressbar.OptionShowBytes(true),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionShowTotalBytes(true),
		progressbar.OptionThrottle(barEvery),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(),
	)
}

// add says that so many bytes more are done.
func (b *bar) add(n int64) {
	if b.shown != nil {
		_ = b.shown.Add64(n)
	}
}

// Write counts what is written beside it.
func (b *bar) Write(p []byte) (int, error) {
	b.add(int64(len(p)))
	return len(p), nil
}

// follow returns r, of which the bar shows how much was read: from where it goes on, if
// it is sought in.
func (b *bar) follow(r io.Reader) io.Reader {
	f := &followed{r, b}
	if s, ok := r.(io.Seeker); ok {
		return &struct {
			io.Reader
			io.Seeker
		}{f, &followedSeeker{s, b}}
	}
	return f
}

type followed struct {
	r io.Reader
	b *bar
}

func (f *followed) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	f.b.at += int64(n)
	f.b.add(int64(n))
	return n, err
}

type followedSeeker struct {
	s io.Seeker
	b *bar
}

func (f *followedSeeker) Seek(offset int64, whence int) (int64, error) {
	at, err := f.s.Seek(offset, whence)
	if err == nil && at != f.b.at {
		f.b.at = at
		if f.b.shown != nil {
			f.b.shown.Reset()
			_ = f.b.shown.Set64(at)
		}
	}
	return at, err
}

// say prints a line.
func (b *bar) say(line string) {
	if b.shown != nil {
		_ = b.shown.Clear()
	}
	fmt.Fprintln(b.stderr, line)
}

// end takes the bar away.
func (b *bar) end() {
	if b.shown != nil {
		_ = b.shown.Exit()
		_ = b.shown.Clear()
		b.shown = nil
	}
}
