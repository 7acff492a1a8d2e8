// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package memscan

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// stretch is how much is read at once, and overlap what is read again so that no
// piece is cut.
const (
	stretch = 1 << 20
	overlap = window - 1
)

// readMemory calls f with the memory that a process can write to.
func readMemory(pid int, f func(where string, address uint64, b []byte)) error {
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return fmt.Errorf("memscan: %w", err)
	}
	defer maps.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return fmt.Errorf("memscan: %w", err)
	}
	defer mem.Close()
	lines := bufio.NewScanner(maps)
	buf := make([]byte, stretch+overlap)
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
		for at := low; at < high; at += stretch {
			n, err := mem.ReadAt(buf[:min(uint64(len(buf)), high-at)], int64(at))
			if n == 0 && err != nil && err != io.EOF {
				break // [vvar] and the like cannot be read
			}
			f(where, at, buf[:n])
		}
	}
	return lines.Err()
}
