// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !linux

package volatile

import "errors"

// LockProcess keeps all memory of the process from being written to swap space or
// a core dump. It is there on Linux alone.
func LockProcess() error {
	return errors.New("memory can be locked on Linux alone")
}
