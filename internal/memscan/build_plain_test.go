// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !goexperiment.runtimesecret

package memscan_test

const build = "plain"

// erasesRegisters says whether nothing stays of registers that the runtime saved
// when it interrupted a goroutine. In the plain build those of records may stay in
// its own memory (the thread's signal stack, the state of the preempted goroutine)
// until the next time. So that is measured by itself.
const erasesRegisters = false
