// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !linux

package volatile

// blockPreemption does nothing: only Linux has a system call for it that Go programs may
// make.
func blockPreemption() (restore func()) { return func() {} }
