// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"io"

	"github.com/mayfly-tls/mayfly/record"
)

// An inbox holds what the transport has brought and nobody has opened. It has no
// buffer while nothing is there.
type inbox struct {
	waiter *waiter // nil where the transport is no socket

	buf     *[]byte // nil while nothing is buffered
	r, w    int     // what of buf is not yet opened
	bulk    bool    // the transport has more than a record at a time
	poor    bool    // the peer has proved nothing yet: no more is held for it than one record takes
	workers workers
}

// hold takes an empty buffer for n bytes.
func (in *inbox) hold(n int) {
	in.buf, in.r, in.w = getBuffer(n), 0, 0
}

// drop forgets what was not opened.
func (in *inbox) drop() { in.r, in.w = 0, 0 }

// release gives the buffer back when nothing is left in it.
func (in *inbox) release() {
	if in.buf != nil && in.r == in.w {
		putBuffer(in.buf)
		in.buf, in.r, in.w = nil, 0, 0
	}
}

// next returns the length of the first record, header included, and whether all of it
// is there. The error is that of a header that is wrong.
func (in *inbox) next() (n int, whole bool, err error) {
	if in.buf == nil {
		return 0, false, nil
	}
	return firstOf((*in.buf)[in.r:in.w])
}

func firstOf(b []byte) (n int, whole bool, err error) {
	if len(b) < record.HeaderLen {
		return 0, false, nil
	}
	_, n, err = record.ParseHeader(b)
	n += record.HeaderLen
	return n, len(b) >= n, err
}

// ready reports whether fetch has an answer without waiting.
func (in *inbox) ready() bool {
	_, whole, err := in.next()
	return whole || err != nil
}

// whole appends to records those that come next, as far as records has room and they are
// whole and not small, and returns their total length. They stay in the buffer.
func (in *inbox) whole(records [][]byte) (_ [][]byte, size int) {
	for ahead := (*in.buf)[in.r:in.w]; len(records) < cap(records); {
		n, whole, err := firstOf(ahead[size:])
		if !whole || err != nil || n*cap(records) < minParallel {
			break
		}
		records = append(records, ahead[size:size+n:size+n])
		size += n
	}
	return records, size
}

// fetch returns the next whole record, a part of the buffer.
func (in *inbox) fetch(src io.Reader) ([]byte, error) {
	for {
		switch n, whole, err := in.next(); {
		case err != nil:
			return nil, err
		case whole:
			b := (*in.buf)[in.r : in.r+n : in.r+n]
			in.r += n
			return b, nil
		}
		if err := in.fill(src); err != nil {
			return nil, err
		}
	}
}

// fill reads once from the transport, behind what is there.
func (in *inbox) fill(src io.Reader) error {
	if in.buf == nil {
		return in.wait(src)
	}
	in.makeRoom()
	room := (*in.buf)[in.w:]
	n, err := readSome(src, room)
	in.w += n
	in.judge(n, len(room))
	return err
}

// judge notes whether data comes in bulk, after n bytes were read into room for more.
func (in *inbox) judge(n, room int) {
	in.bulk = !in.poor && (n == room || in.bulk && n >= recordBuffer)
}

// chunk is how large a buffer should be.
func (in *inbox) chunk() int {
	n, _, _ := in.next()
	switch {
	case in.poor && n <= helloBuffer:
		return helloBuffer
	case !in.bulk:
		return recordBuffer
	}
	return parallelBuffer
}

// makeRoom moves what is there to the start of the buffer, or of another.
func (in *inbox) makeRoom() {
	from := *in.buf
	rest := from[in.r:in.w]
	if want := in.chunk(); want != len(from) && want > len(rest) {
		old := in.buf
		defer putBuffer(old)
		in.hold(want)
	}
	in.r, in.w = 0, copy(*in.buf, rest)
}

// wait is fill where nothing is buffered: no large buffer is held until there is
// something to put into it.
func (in *inbox) wait(src io.Reader) error {
	if in.waiter != nil {
		buf, n, err := in.waiter.wait(in.chunk())
		if errors.Is(err, io.EOF) {
			err = ErrTruncated
		}
		if in.buf, in.r, in.w = buf, 0, n; n > 0 {
			in.judge(n, len(*buf))
		}
		return err
	}
	small := getBuffer(waitBuffer)
	defer putBuffer(small)
	n, err := readSome(src, *small)
	if n > 0 {
		in.hold(max(n, in.chunk()))
		in.w = copy(*in.buf, (*small)[:n])
	}
	return err
}

// readSome reads once from the transport. Where it returns bytes there is no error:
// that comes again with the next call.
func readSome(src io.Reader, p []byte) (int, error) {
	for range 100 {
		n, err := src.Read(p)
		switch {
		case n < 0 || n > len(p):
			return 0, errors.New("the transport's Read returned an impossible count")
		case n > 0:
			return n, nil
		case errors.Is(err, io.EOF):
			return 0, ErrTruncated // never io.EOF, however it is wrapped
		case err != nil:
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}
