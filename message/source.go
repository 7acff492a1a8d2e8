// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"errors"
	"io"
	"math"
	"os"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A source is something that can be read again and again: each call returns a reader
// from its beginning, and ends the one before.
type source func() (io.Reader, error)

// newSource makes a source of a message. What can be sought in is read where it is;
// all else is kept by the spool that is returned, or nil.
func newSource(r io.Reader, o *OpenOptions) (source, *spool) {
	if s, ok := r.(io.ReadSeeker); ok {
		if start, err := s.Seek(0, io.SeekCurrent); err == nil {
			return func() (io.Reader, error) {
				_, err := s.Seek(start, io.SeekStart)
				return s, err
			}, nil
		}
	}
	keep := &spool{r: r, memory: int64(o.MemoryLimit), total: o.SpoolLimit, dir: o.SpoolDir}
	if keep.memory == 0 {
		keep.memory = defaultMemory
	}
	switch {
	case keep.total == 0:
		keep.total = defaultSpool
	case keep.total < 0:
		keep.total = math.MaxInt64
	}
	return func() (io.Reader, error) { return &spoolReader{spool: keep}, nil }, keep
}

// A spool keeps what was read from a stream, sealed as it is: the first of it in
// memory, and all in a file once there is more. It reads no further than it is asked.
type spool struct {
	r             io.Reader
	memory, total int64 // limits in bytes
	dir           string

	buf  []byte
	file *os.File // nil: all is in buf
	name string   // of the file, while it has one
	n    int64    // bytes kept
	end  error    // of r
}

// readAt returns what is at an offset, in part.
func (s *spool) readAt(p []byte, offset int64) (int, error) {
	if offset >= s.n {
		if err := s.more(len(p)); err != nil && offset >= s.n {
			return 0, err
		}
	}
	p = p[:min(int64(len(p)), s.n-offset)]
	if s.file != nil {
		return s.file.ReadAt(p, offset)
	}
	return copy(p, s.buf[offset:]), nil
}

// more reads about n bytes from the stream.
func (s *spool) more(n int) error {
	if s.end != nil {
		return s.end
	}
	if s.n >= s.total {
		// The end of the stream may stand right at the limit.
		if k, err := io.ReadFull(s.r, make([]byte, 1)); k == 0 {
			s.end = err
		} else {
			s.end = because(ErrTooLarge, "it cannot be read twice, and is larger than what may be kept of such ones")
		}
		return s.end
	}
	p := make([]byte, min(int64(n), s.total-s.n))
	k, err := s.r.Read(p)
	s.end = err
	if keep := s.keep(p[:k]); keep != nil {
		s.end = keep
		return keep
	}
	return nil
}

func (s *spool) keep(p []byte) error {
	if s.file == nil && s.n+int64(len(p)) > s.memory {
		file, err := os.CreateTemp(s.dir, "mayfly-*")
		if err != nil {
			return err
		}
		s.file = file
		if os.Remove(file.Name()) != nil { // an open file cannot be removed everywhere
			s.name = file.Name()
		}
		if _, err := file.Write(s.buf); err != nil {
			return err
		}
		s.buf = nil
	}
	if s.file == nil {
		s.buf = append(s.buf, p...)
	} else if _, err := s.file.Write(p); err != nil {
		return err
	}
	s.n += int64(len(p))
	return nil
}

func (s *spool) close() {
	if s == nil {
		return
	}
	s.buf, s.n = nil, 0
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
		if s.name != "" {
			_ = os.Remove(s.name)
		}
	}
	s.end = os.ErrClosed
}

type spoolReader struct {
	spool  *spool
	offset int64
}

func (r *spoolReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.spool.readAt(p, r.offset)
	r.offset += int64(n)
	return n, err
}

// from returns a source of what stands behind the first n bytes of another.
func (s source) from(n int64) (io.Reader, error) {
	r, err := s()
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, n); err != nil {
		return nil, changed(err)
	}
	return r, nil
}

// changed is the error of a message that was read once, and is another now.
func changed(err error) error {
	switch err = readError(err); {
	case err == nil, errors.Is(err, ErrDamaged), errors.Is(err, ErrTruncated), errors.Is(err, ErrUnsupported), errors.Is(err, ErrNotAuthentic):
		return because(ErrNotAuthentic, "it has changed while it was read")
	}
	return err
}

// wipeOnce wipes a buffer of plaintext.
func wipeOnce(b *[]byte) {
	volatile.Wipe(*b)
	*b = nil
}
