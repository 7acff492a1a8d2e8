// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"errors"
	"io"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/content"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

var errClosed = errors.New("message: written to after Close")

// pieceHeader is what stands before each part but the last.
var pieceHeader = cms.PieceHeader(content.PartSize)

// A layer is what a contentWriter writes: AuthEnvelopedData or SignedData.
type layer interface {
	// seal takes the next part, and puts what is written of it into dst, which is as
	// long. dst is part, or does not overlap it, and has room for a tag behind.
	seal(dst, part []byte) error

	head() []byte                                 // for a content whose length is not known
	finish(length int64) (f cms.Frame, err error) // when there is no other part
	wipe()
}

// A contentWriter writes the content of a layer, and what is around it. A content
// that fits into one part is written as DER, all at once when it is closed. A longer
// one is BER, and goes out part by part.
type contentWriter struct {
	w     io.WriteCloser
	layer layer

	buf   []byte // the part that is being filled, behind room for its header
	n     int    // bytes in it
	begun bool
	err   error
}

func newContentWriter(w io.WriteCloser, l layer) *contentWriter {
	return &contentWriter{w: w, layer: l}
}

func (c *contentWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && c.err == nil {
		if c.n == content.PartSize {
			c.flush(c.part())
			c.n = 0
			continue
		}
		c.grow(len(p))
		k := content.PartSize
		if c.n == 0 && len(p) > k {
			if c.flush(p[:k]); c.err != nil { // from where it is: it is not the last
				break
			}
		} else {
			k = copy(c.part()[c.n:], p)
			c.n += k
		}
		n += k
		p = p[k:]
	}
	return n, c.err
}

// Close writes what is left, and closes the writer behind it. It is an error if the
// content could not be written in full.
func (c *contentWriter) Close() error {
	if c.err != nil {
		return c.err
	}
	if c.buf == nil {
		c.grow(1)
	}
	last := c.part()[:c.n]
	if c.fail(c.layer.seal(last, last)); c.err != nil {
		return c.err
	}
	length := int64(c.n)
	if c.begun {
		length = cms.Indefinite
	}
	frame, err := c.layer.finish(length)
	if c.fail(err); c.err != nil {
		return c.err
	}
	head := frame.Head
	if c.begun {
		if head = nil; len(last) > 0 {
			head = cms.PieceHeader(len(last))
		}
	}
	out := slices.Concat(head, last, frame.Tail)
	defer volatile.Wipe(out) // it may be what is signed
	if _, err = c.w.Write(out); err == nil {
		err = c.w.Close()
	}
	if c.fail(err); c.err != nil {
		return c.err
	}
	c.stop(errClosed)
	return nil
}

// part is the part that is being filled, up to where the room for a tag begins.
func (c *contentWriter) part() []byte {
	return c.buf[len(pieceHeader) : len(c.buf)-content.TagLen]
}

// grow makes room for n more bytes, at first no more than a short message needs.
func (c *contentWriter) grow(n int) {
	const small = 4 << 10
	old := c.buf
	have := max(0, len(old)-len(pieceHeader)-content.TagLen)
	if c.n+n <= have || have == content.PartSize {
		return
	}
	size := small
	if have != 0 || n > small {
		size = content.PartSize
	}
	c.buf = make([]byte, len(pieceHeader)+size+content.TagLen)
	copy(c.buf, pieceHeader)
	if old != nil {
		copy(c.part(), old[len(pieceHeader):len(pieceHeader)+c.n])
		volatile.Wipe(old)
	}
}

// flush seals and writes a full part.
func (c *contentWriter) flush(part []byte) {
	if c.fail(c.layer.seal(c.part(), part)); c.err != nil {
		return
	}
	if !c.begun {
		c.begun = true
		if _, err := c.w.Write(c.layer.head()); err != nil {
			c.fail(err)
			return
		}
	}
	_, err := c.w.Write(c.buf[:len(pieceHeader)+content.PartSize])
	c.fail(err)
}

func (c *contentWriter) fail(err error) {
	if err != nil {
		c.stop(readError(err))
	}
}

// stop wipes everything. err is that of all calls from now on.
func (c *contentWriter) stop(err error) {
	c.err = err
	c.layer.wipe()
	volatile.Wipe(c.buf)
	c.buf = nil
}
