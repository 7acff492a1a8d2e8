// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !goexperiment.runtimesecret || !linux || !(amd64 || arm64)

package volatile

import "unsafe"

// scrubRegisters overwrites the registers, which a signal would save in memory, with
// zeros: what is at b, of 768 bytes at least.
//
// On amd64, clearing 512 bytes ends by zeroing the upper halves of vector registers,
// and a move of 256 bytes, if its size is unknown when compiled, goes through the
// lower halves of all sixteen. On others, the move may do without them.
//
//go:noinline
func scrubRegisters(b []byte) {
	zeros := b[256:768]
	Wipe(zeros)
	copy(b[:256], zeros)
	turn((*[32]float64)(unsafe.Pointer(&zeros[0])))
	turn((*[32]uint)(unsafe.Pointer(&zeros[0])))
}

// turn reverses an array. All of it has to be loaded before any of it is stored,
// which takes every register of the kind.
//
//go:noinline
func turn[T float64 | uint](a *[32]T) {
	a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7],
		a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15],
		a[16], a[17], a[18], a[19], a[20], a[21], a[22], a[23],
		a[24], a[25], a[26], a[27], a[28], a[29], a[30], a[31] =
		a[31], a[30], a[29], a[28], a[27], a[26], a[25], a[24],
		a[23], a[22], a[21], a[20], a[19], a[18], a[17], a[16],
		a[15], a[14], a[13], a[12], a[11], a[10], a[9], a[8],
		a[7], a[6], a[5], a[4], a[3], a[2], a[1], a[0]
}
