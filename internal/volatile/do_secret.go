// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build goexperiment.runtimesecret && linux && (amd64 || arm64)

package volatile

import "runtime/secret"

// Do runs f, and erases the stack and the registers that it used, and what it
// allocated as soon as the garbage collector finds it unreachable. It does so if
// f panics, too.
func Do(f func()) { secret.Do(f) }

// DoShallow is Do for HMAC, X25519 and the keys of AEADs. f must not block and must not
// panic: in the other build both end the process.
func DoShallow(f func()) { secret.Do(f) }

// DoRecord is DoShallow for one record.
func DoRecord(f func()) { secret.Do(f) }

// Move copies src to dst, which must not overlap, and wipes what it has copied. The
// registers through which it goes are erased, too.
func Move(dst, src []byte) (n int) {
	secret.Do(func() {
		n = copy(dst, src)
		Wipe(src[:n])
	})
	return n
}
