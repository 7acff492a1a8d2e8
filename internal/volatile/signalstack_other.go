// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !linux || mips || mipsle || mips64 || mips64le

package volatile

// scrubSignalStack does nothing: only Linux lets a thread find its signal stack by a
// system call that Go programs may make.
func scrubSignalStack() {}
