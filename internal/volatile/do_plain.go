// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !goexperiment.runtimesecret || !linux || !(amd64 || arm64)

package volatile

// The stack that f may use below Do with nothing of it left behind. The deepest of
// what this module calls is the making of an ML-KEM-1024 key, at 19 KiB; a signature
// with Ed25519 takes up to 3.1 KiB, X25519 and HMAC less; a record, 1.4 KiB where the
// processor has no instructions for AES, and what lies between here and there as much as
// 0.5 KiB. TestRoom knows.
const (
	room        = 24 << 10
	roomShallow = 4<<10 + 512
	roomOften   = 2<<10 + 512
)

// Do runs f, and scrubs the stack and the registers that it used. It does so if f
// panics, too. Meanwhile the thread takes no signals on Linux: they would save
// registers in memory that is the runtime's. So f should wait for nothing, and start
// no process, to which that would pass on.
//
// The runtime moves a stack that grows, and leaves the old one behind as it was. So
// the stack is made large enough before f runs. The garbage collector moves a stack
// of which less than a quarter is in use, to one half as large. So f runs below a
// shelf as large as its room, with which more than a quarter of the stack that was
// made is in use.
//
//go:noinline
func Do(f func()) {
	reserve(nil)
	var q quiet
	q.begin()
	defer q.end()
	if p := shelter(nil, f); p != nil {
		panic(p)
	}
}

// DoShallow is Do for what calls nothing deep, such as HMAC, X25519 and Ed25519: it
// costs less, most of all on a goroutine whose stack is small.
//
//go:noinline
func DoShallow(f func()) {
	reserveShallow(nil)
	var q quiet
	q.begin()
	defer q.end()
	if p := shelterShallow(nil, f); p != nil {
		panic(p)
	}
}

// DoOften is DoShallow for what is done with each record, which calls little, and where
// it would cost too much to keep signals away.
//
//go:noinline
func DoOften(f func()) {
	reserveOften(nil)
	if p := shelterOften(nil, f); p != nil {
		panic(p)
	}
}

// Move copies src to dst, which must not overlap, and wipes what it has copied.
func Move(dst, src []byte) int {
	n := copy(dst, src)
	Wipe(src[:n])
	return n
}

// reserve grows the stack: its frame is large, and it uses nothing of it.
//
//go:noinline
func reserve(never *[2 * room]byte) {
	if never != nil {
		frame := *never
		Wipe(frame[:])
	}
}

//go:noinline
func reserveShallow(never *[2 * roomShallow]byte) {
	if never != nil {
		frame := *never
		Wipe(frame[:])
	}
}

//go:noinline
func reserveOften(never *[2 * roomOften]byte) {
	if never != nil {
		frame := *never
		Wipe(frame[:])
	}
}

// shelter runs f below the shelf, its own frame, and scrubs the room that f had. It
// returns what f panicked with.
//
//go:noinline
func shelter(never *[room]byte, f func()) any {
	if never != nil {
		shelf := *never
		Wipe(shelf[:])
	}
	p := try(f)
	scrub()
	return p
}

//go:noinline
func shelterShallow(never *[roomShallow]byte, f func()) any {
	if never != nil {
		shelf := *never
		Wipe(shelf[:])
	}
	p := try(f)
	scrubShallow()
	return p
}

//go:noinline
func shelterOften(never *[roomOften]byte, f func()) any {
	if never != nil {
		shelf := *never
		Wipe(shelf[:])
	}
	p := try(f)
	scrubOften()
	return p
}

//go:noinline
func try(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

// scrub zeroes the stack where f's frames were.
//
//go:noinline
func scrub() {
	var frame [room]byte
	scrubRegisters(frame[:])
}

//go:noinline
func scrubShallow() {
	var frame [roomShallow]byte
	scrubRegisters(frame[:])
}

//go:noinline
func scrubOften() {
	var frame [roomOften]byte
	scrubRegisters(frame[:])
}
