// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package memscan

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// maxStretch bounds how much is read at once.
const maxStretch = 1 << 20

// A page that was never touched is not read: there are gigabytes of them. The bits
// of /proc/PID/pagemap say that a page is in memory, or in swap space.
const (
	pageTouched = 3 << 62
	pageEntry   = 8
)

// readMemory calls f with the memory that a process can write to. Neighbouring
// stretches overlap, so that no piece is cut.
func readMemory(pid int, f func(where string, address uint64, b []byte)) error {
	var files [3]*os.File
	for i, name := range []string{"maps", "pagemap", "mem"} {
		file, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			return fmt.Errorf("memscan: %w", err)
		}
		defer file.Close()
		files[i] = file
	}
	lines := bufio.NewScanner(files[0])
	buf := make([]byte, maxStretch+window-1)
	for lines.Scan() {
		var low, high uint64
		var permissions string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &low, &high, &permissions); err != nil {
			return fmt.Errorf("memscan: a mapping: %w", err)
		}
		if !strings.HasPrefix(permissions, "rw") {
			continue
		}
		where := "anonymous"
		if fields := strings.Fields(lines.Text()); len(fields) > 5 {
			where = strings.Join(fields[5:], " ")
		}
		err := touched(files[1], low, high, func(from, to uint64) {
			for at := from; at < to; at += maxStretch {
				n, _ := files[2].ReadAt(buf[:min(uint64(len(buf)), to-at)], int64(at))
				f(where, at, buf[:n])
			}
		})
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

// touched calls f with each run of pages from low to high that were touched.
func touched(pagemap io.ReaderAt, low, high uint64, f func(from, to uint64)) error {
	page := uint64(os.Getpagesize())
	entries := make([]byte, pageEntry<<16)
	from := high // of the run, high if there is none
	for at := low; at < high; {
		n, err := pagemap.ReadAt(entries[:min(uint64(len(entries)), (high-at)/page*pageEntry)], int64(at/page*pageEntry))
		if n < pageEntry {
			return fmt.Errorf("memscan: /proc/PID/pagemap: %w", err)
		}
		for e := range slices.Chunk(entries[:n/pageEntry*pageEntry], pageEntry) {
			switch is := binary.LittleEndian.Uint64(e)&pageTouched != 0; {
			case is && from == high:
				from = at
			case !is && from != high:
				f(from, at)
				from = high
			}
			at += page
		}
	}
	if from != high {
		f(from, high)
	}
	return nil
}
