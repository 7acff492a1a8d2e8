// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A disk is what a machine that stops would have after that: what was synced, of files their
// content and of folders their names.
type disk struct {
	mu      sync.Mutex
	content map[uint64][]byte
	names   map[uint64]map[string]uint64
}

func inode(info os.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Ino) }

func (d *disk) sync(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.IsDir() {
		b := make([]byte, info.Size())
		g, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd())) // it may be open for writing only
		if err != nil {
			return err
		}
		defer g.Close()
		if _, err := g.ReadAt(b, 0); err != nil && len(b) > 0 {
			return err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.content[inode(info)] = b
		return nil
	}
	entries, err := f.ReadDir(-1)
	if err != nil {
		return err
	}
	names := make(map[string]uint64)
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // else it is gone by now
			names[e.Name()] = inode(info)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[inode(info)] = names
	return nil
}

// read returns the content of a file after a stop, nil if it is not there.
func (d *disk) read(root uint64, path string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := root, true
	for name := range strings.SplitSeq(path, "/") {
		if at, ok = d.names[at][name]; !ok {
			return nil
		}
	}
	return d.content[at]
}

// An ackedConn calls a function before each answer of the receiver.
type ackedConn struct {
	net.Conn
	before func()
}

func (c *ackedConn) Write(p []byte) (int, error) {
	c.before()
	return c.Conn.Write(p)
}

// TestAcknowledgedFilesSurviveAStop models a disk that loses what was not synced. Before each
// answer of the receiver all files of earlier batches are on it, under their names. Files that
// have their name and are not complete are never on it.
func TestAcknowledgedFilesSurviveAStop(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("there is no /proc")
	}
	from := filepath.Join(t.TempDir(), "tree")
	for n := range 2*maxBatch + 300 {
		write(t, filepath.Join(from, fmt.Sprint(n%7), fmt.Sprint(n%3), fmt.Sprint(n)), content(byte(n), 100+n%1000), 0o640)
	}
	write(t, filepath.Join(from, "unreadable to its owner"), content(1, 100), 0o200)
	r, to := receiver(t)
	d := &disk{content: make(map[uint64][]byte), names: make(map[uint64]map[string]uint64)}
	r.Inbox.sync = d.sync
	info, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	list, err := new(Sender).List(from)
	if err != nil {
		t.Fatal(err)
	}
	answers, acked, checked := 0, 0, 0
	a, b := wire(t)
	conn := &ackedConn{b, func() {
		for i, s := range list.sources {
			if s.Dir {
				continue
			}
			want, err := os.ReadFile(s.name)
			if err != nil {
				if !errors.Is(err, os.ErrPermission) {
					t.Error(err)
				}
				continue
			}
			got := d.read(inode(info), string(s.Path))
			if i < acked {
				checked++
			}
			if got == nil && i < acked || got != nil && !bytes.Equal(got, want) {
				t.Errorf("before answer %d, file %d (%s) is %d bytes on the disk, want %d", answers, i, s.Path, len(got), len(want))
				return
			}
		}
		answers++
		acked += nextBatch(list.sources[acked:])
	}}
	done := make(chan error, 1)
	go func() { _, err := r.Receive(conn); done <- err }()
	if _, err := new(Sender).Send(a, list); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if answers != 4 || checked < 5*maxBatch {
		t.Errorf("%d answers, %d files checked", answers, checked)
	}
}

// TestHoles sends files with holes at their beginning, middle and end, once with a cut in a
// hole: the holes stay. Zeros of a file without holes stay, too.
func TestHoles(t *testing.T) {
	t.Parallel()
	from := filepath.Join(t.TempDir(), "sparse")
	const size = 8 << 20
	for name, data := range map[string][]int64{"all": nil, "begin": {0, 5000}, "middle": {3<<20 + 17}, "end": {size - 10}, "several": {100, 1 << 20, 5<<20 - 1}} {
		path := filepath.Join(from, name)
		write(t, path, nil, 0o600)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range data {
			if _, err := f.WriteAt([]byte("some data"), at); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(from, "zeros"), make([]byte, size), 0o600)
	blocks := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return int64(info.Sys().(*syscall.Stat_t).Blocks) * 512
	}
	if blocks(filepath.Join(from, "all")) > 0 {
		t.Skip("the file system has no holes")
	}
	dense := blocks(filepath.Join(from, "zeros")) // less than its size where the file system compresses
	r, to := receiver(t)
	if _, _, err, _ := carry(t, r, 3*size+size/2, from); err == nil {
		t.Fatal("it was not cut")
	}
	sent, _, err, err2 := carry(t, r, -1, from)
	if err != nil || err2 != nil || sent.Saved < 3*size {
		t.Fatal(err, err2, sent)
	}
	same(t, from, filepath.Join(to, "sparse"))
	for _, name := range []string{"all", "begin", "middle", "end", "several"} {
		if got, want := blocks(filepath.Join(to, "sparse", name)), blocks(filepath.Join(from, name)); got > want+64<<10 {
			t.Errorf("%s has %d bytes on the disk, and %d at the sender", name, got, want)
		}
	}
	if got := blocks(filepath.Join(to, "sparse", "zeros")); got < dense {
		t.Errorf("the file of zeros has %d bytes on the disk, want %d", got, dense)
	}
}
