// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package transfer

import (
	"io/fs"
	"syscall"
)

// hasHoles reports whether a file has fewer bytes on the disk than its size says.
func hasHoles(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Blocks*512 < info.Size()
}
