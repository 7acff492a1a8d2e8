// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !goexperiment.runtimesecret

package memscan_test

const build = "plain"

// preempted says whether the child is interrupted by the runtime's signals, with
// which it preempts goroutines. In the plain build what the registers held then
// stays on the thread's signal stack until its next signal: a piece of a secret
// now and then, wherever the signal came. So there are none of them here.
const preempted = false
