// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build darwin || freebsd || netbsd

package transfer

import (
	"io/fs"
	"syscall"
)

// changedAt is when anything of a file has changed last, in nanoseconds. Users cannot set it.
func changedAt(info fs.FileInfo) int64 {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return s.Ctimespec.Nano()
}
