// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// canMeasure says whether another process's memory can be read here.
const canMeasure = true

// readMemory calls f with all writable memory of a process, piece by piece; pieces
// overlap, so that nothing hides between two. Its error is errNotMeasured where
// that is not allowed, as in some containers.
func readMemory(pid int, f func([]byte)) error {
	maps, err := openProc(pid, "maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	mem, err := openProc(pid, "mem")
	if err != nil {
		return err
	}
	defer mem.Close()
	buf := make([]byte, 1<<20)
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var from, to uint64
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights); err != nil {
			return err
		}
		if !strings.HasPrefix(rights, "rw") {
			continue
		}
		for at := from; at < to; at += uint64(len(buf)) - window {
			n, err := mem.ReadAt(buf[:min(uint64(len(buf)), to-at)], int64(at))
			f(buf[:n])
			if err != nil && !errors.Is(err, io.EOF) {
				break // a mapping of the kernel's, or one that has just gone
			}
		}
	}
	return lines.Err()
}

func openProc(pid int, name string) (*os.File, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil, errNotMeasured
	}
	return f, err
}
