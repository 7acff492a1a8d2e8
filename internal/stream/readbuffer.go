// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package stream

import (
	"errors"
	"io"
	"net"

	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/record"
)

// A ReadBuffer holds what has arrived from the transport and is not opened. It has no
// memory while it is empty. It is not safe for concurrent use.
type ReadBuffer struct {
	raw       *rawReader // nil where the transport is no socket
	truncated error      // for a transport that ends

	buf             *[]byte // nil while nothing is buffered
	r, w            int     // what of buf is not opened
	large           bool    // the transport has more than a record at a time
	unauthenticated bool    // the peer has proved nothing: no more is held for it than one record takes
}

// NewReadBuffer returns the ReadBuffer of a connection whose peer is not authenticated.
// truncated is the error of Fetch when the transport ends.
func NewReadBuffer(inner net.Conn, truncated error) ReadBuffer {
	return ReadBuffer{raw: newRawReader(inner), truncated: truncated, unauthenticated: true}
}

// Authenticated allows larger buffers from now on.
func (in *ReadBuffer) Authenticated() { in.unauthenticated = false }

// Empty reports whether there is no memory.
func (in *ReadBuffer) Empty() bool { return in.buf == nil }

// Unopened returns what is not opened, a part of the buffer.
func (in *ReadBuffer) Unopened() []byte {
	if in.buf == nil {
		return nil
	}
	return (*in.buf)[in.r:in.w]
}

// Restore fills an empty ReadBuffer with plaintext, which it returns as a part of the
// buffer, and with what is not opened.
func (in *ReadBuffer) Restore(plaintext, unopened []byte) []byte {
	in.hold(len(plaintext) + len(unopened))
	n := len(volatile.Append((*in.buf)[:0], plaintext))
	in.r, in.w = n, n+copy((*in.buf)[n:], unopened)
	return (*in.buf)[:n:n]
}

// hold takes an empty buffer for n bytes.
func (in *ReadBuffer) hold(n int) {
	in.buf, in.r, in.w = GetBuffer(n), 0, 0
}

// Drop discards what is not opened.
func (in *ReadBuffer) Drop() { in.r, in.w = 0, 0 }

// Skip counts n bytes as opened.
func (in *ReadBuffer) Skip(n int) { in.r += n }

// Release gives the memory back if nothing is left in it.
func (in *ReadBuffer) Release() {
	if in.buf != nil && in.r == in.w {
		PutBuffer(in.buf)
		in.buf, in.r, in.w = nil, 0, 0
	}
}

// next returns the length of the first record, header included, and whether all of it
// is there. The error is that of a header that is wrong.
func (in *ReadBuffer) next() (n int, whole bool, err error) {
	return firstOf(in.Unopened())
}

func firstOf(b []byte) (n int, whole bool, err error) {
	if len(b) < record.HeaderLen {
		return 0, false, nil
	}
	_, n, err = record.ParseHeader(b)
	n += record.HeaderLen
	return n, len(b) >= n, err
}

// Ready reports whether Fetch has an answer without waiting.
func (in *ReadBuffer) Ready() bool {
	_, whole, err := in.next()
	return whole || err != nil
}

// Whole appends to records those that come next, as far as records has room and they are
// whole and not small, and returns their total length. They stay in the buffer.
func (in *ReadBuffer) Whole(records [][]byte) (_ [][]byte, size int) {
	for ahead := in.Unopened(); len(records) < cap(records); {
		n, whole, err := firstOf(ahead[size:])
		if !whole || err != nil || n*cap(records) < MinParallel {
			break
		}
		records = append(records, ahead[size:size+n:size+n])
		size += n
	}
	return records, size
}

// Fetch returns the next whole record, a part of the buffer.
func (in *ReadBuffer) Fetch(src io.Reader) ([]byte, error) {
	for {
		switch n, whole, err := in.next(); {
		case err != nil:
			return nil, err
		case whole:
			b := (*in.buf)[in.r : in.r+n : in.r+n]
			in.r += n
			return b, nil
		}
		if err := in.Fill(src); err != nil {
			return nil, err
		}
	}
}

// Fill reads once from the transport, behind what is there.
func (in *ReadBuffer) Fill(src io.Reader) error {
	if in.buf == nil {
		return in.wait(src)
	}
	in.makeRoom()
	room := (*in.buf)[in.w:]
	n, err := in.readSome(src, room)
	in.w += n
	in.observe(n, len(room))
	return err
}

// observe notes whether much data arrives at a time, after n bytes were read into room for more.
func (in *ReadBuffer) observe(n, room int) {
	in.large = !in.unauthenticated && (n == room || in.large && n >= RecordBuffer)
}

// chunk is how large a buffer should be.
func (in *ReadBuffer) chunk() int {
	n, _, _ := in.next()
	switch {
	case in.unauthenticated && n <= helloBuffer:
		return helloBuffer
	case !in.large:
		return RecordBuffer
	}
	return ParallelBuffer
}

// makeRoom moves what is there to the start of the buffer, or of another.
func (in *ReadBuffer) makeRoom() {
	from := *in.buf
	rest := from[in.r:in.w]
	if want := in.chunk(); want != len(from) && want > len(rest) {
		old := in.buf
		defer PutBuffer(old)
		in.hold(want)
	}
	in.r, in.w = 0, copy(*in.buf, rest)
}

// wait is Fill where nothing is buffered: no large buffer is held until there is
// something to put into it.
func (in *ReadBuffer) wait(src io.Reader) error {
	if in.raw != nil {
		buf, n, err := in.raw.wait(in.chunk())
		if errors.Is(err, io.EOF) {
			err = in.truncated
		}
		if in.buf, in.r, in.w = buf, 0, n; n > 0 {
			in.observe(n, len(*buf))
		}
		return err
	}
	small := GetBuffer(waitBuffer)
	defer PutBuffer(small)
	n, err := in.readSome(src, *small)
	if n > 0 {
		in.hold(max(n, in.chunk()))
		in.w = copy(*in.buf, (*small)[:n])
	}
	return err
}

// readSome reads once from the transport. Where it returns bytes there is no error:
// that comes again with the next call.
func (in *ReadBuffer) readSome(src io.Reader, p []byte) (int, error) {
	for range 100 {
		n, err := src.Read(p)
		switch {
		case n < 0 || n > len(p):
			return 0, errors.New("the transport's Read returned an impossible count")
		case n > 0:
			return n, nil
		case errors.Is(err, io.EOF):
			return 0, in.truncated // never io.EOF, however it is wrapped
		case err != nil:
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}
