// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package cms

import (
	"io"
)

// A Content is an octet string in a stream: how it begins. It may be in pieces.
type Content struct {
	Offset int64 // in the stream, of what follows its tag and length
	length int64 // or indefinite
	pieces bool
}

// maxPieces is how deep pieces of a string may lie in each other.
const maxPieces = 4

// Content reads the beginning of an octet string, whose tag is that or, in pieces,
// the constructed one.
func (d *Decoder) Content(tag byte) Content {
	got, length := d.header()
	if d.err == nil && got|constructed != tag|constructed {
		d.fail(ErrSyntax)
	}
	return Content{Offset: d.pos, length: length, pieces: got&constructed != 0}
}

// Len returns what the string says is its length, or Indefinite. It need not be true.
func (c Content) Len() int64 {
	if c.pieces {
		return Indefinite
	}
	return c.length
}

// Reader returns a reader of the string's octets, and no more, of which the stream
// from Offset is r. It does not look for the end of what is around the string.
func (c Content) Reader(r io.Reader) io.Reader { return c.reader(NewDecoder(r)) }

// Pass returns a reader of the string's octets in the midst of d, which goes on
// behind it once that has returned io.EOF.
func (c Content) Pass(d *Decoder) io.Reader { return c.reader(d) }

func (c Content) reader(d *Decoder) io.Reader {
	s := &stringReader{d: d, base: len(d.stack)}
	if c.pieces {
		d.push(c.length)
	} else {
		s.rest, s.last = c.length, true
	}
	return s
}

// A stringReader reads octets, from piece to piece.
type stringReader struct {
	d    *Decoder
	base int   // the depth of the string
	rest int64 // of this piece
	last bool  // there is no other piece
}

func (s *stringReader) Read(p []byte) (int, error) {
	d := s.d
	for s.rest == 0 {
		if d.err != nil {
			return 0, d.err
		}
		if s.last {
			return 0, io.EOF
		}
		s.nextPiece()
	}
	n, err := d.r.Read(p[:min(int64(len(p)), s.rest)])
	s.rest -= int64(n)
	d.pos += int64(n)
	if err != nil {
		d.fail(err)
		return n, d.err
	}
	return n, nil
}

// nextPiece leaves the pieces that end here, and enters those that begin, up to one
// that has octets.
func (s *stringReader) nextPiece() {
	d := s.d
	for d.err == nil && len(d.stack) > s.base && d.atEnd() {
		d.Leave()
	}
	if s.last = len(d.stack) == s.base; s.last || d.err != nil {
		return
	}
	switch tag, length := d.header(); {
	case d.err != nil:
	case tag == tagOctetString:
		s.rest = length
	case tag == tagOctetString|constructed && len(d.stack) < s.base+maxPieces:
		d.push(length)
	default:
		d.fail(ErrSyntax)
	}
}
