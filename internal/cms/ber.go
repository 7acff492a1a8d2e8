// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package cms is the syntax of the Cryptographic Message Syntax (RFC 5652) as far as
// package message uses it: AuthEnvelopedData (RFC 5083) with recipients by key
// agreement, and SignedData. It writes DER, and BER where the length of the content
// is not known; it reads BER. The content itself is never held: it goes past as a
// stream.
//
// It must not know keys, nor ciphers, nor what is done with a message.
package cms

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The tags that CMS is made of.
const (
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagOID         = 0x06
	tagSequence    = 0x30
	tagSet         = 0x31
	constructed    = 0x20
)

// primitive and structured are context-specific tags.
func primitive(n byte) byte { return 0x80 | n }

func structured(n byte) byte { return 0x80 | constructed | n }

const (
	// maxElement bounds everything in a message but its content, piece by piece and
	// together.
	maxElement = 1 << 20
	maxDepth   = 24
)

var (
	// ErrSyntax is that of a message that is none, or is damaged.
	ErrSyntax = errors.New("cms: malformed")

	// ErrTruncated is that of a message that ends too early.
	ErrTruncated = errors.New("cms: ends too early")

	// ErrContentType is that of a message of another kind than was asked for.
	ErrContentType = errors.New("cms: a message of another kind")

	// ErrEnvelopedData and ErrSignedData are ErrContentType of these kinds.
	ErrEnvelopedData = fmt.Errorf("%w: EnvelopedData", ErrContentType)
	ErrSignedData    = fmt.Errorf("%w: SignedData", ErrContentType)

	// ErrTooLarge is that of a message whose parts beside the content are too large.
	ErrTooLarge = errors.New("cms: more than 1 MiB beside the content")
)

// A Decoder reads BER (X.690, Section 8) from a stream, from the outermost element
// inwards. Its first error stays.
type Decoder struct {
	r     *bufio.Reader
	pos   int64 // bytes read
	held  int   // bytes that were returned as elements
	stack []int64
	err   error

	padding int // bytes that may follow the outermost element
}

// indefinite is the end of an element that does not say its length.
const indefinite = -1

// NewDecoder returns a Decoder of r.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{r: bufio.NewReaderSize(r, 64<<10)}
}

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

// Offset returns how many bytes were read.
func (d *Decoder) Offset() int64 { return d.pos }

// Peek returns the tag of the next element of the one that was entered, 0 at its end.
func (d *Decoder) Peek() byte {
	if d.err != nil || d.atEnd() {
		return 0
	}
	b, err := d.r.Peek(1)
	if err != nil {
		d.fail(err)
		return 0
	}
	return b[0]
}

// Enter goes into the next element, which must have that tag.
func (d *Decoder) Enter(tag byte) {
	if got, length := d.header(); d.err == nil {
		if got != tag {
			d.fail(ErrSyntax)
			return
		}
		d.push(length)
	}
}

// Leave leaves the element that was entered last, of which all must have been read.
func (d *Decoder) Leave() {
	if d.err != nil {
		return
	}
	if !d.atEnd() {
		d.fail(ErrSyntax)
		return
	}
	top := len(d.stack) - 1
	if d.stack[top] == indefinite {
		_, _ = d.header() // its end-of-contents octets
	}
	d.stack = d.stack[:top]
}

// End checks that nothing follows the outermost element.
func (d *Decoder) End() {
	if d.err != nil {
		return
	}
	for left := d.padding; ; left-- {
		b, err := d.r.ReadByte()
		switch {
		case err == nil && left > 0 && len(d.stack) == 0 && strings.IndexByte("\x00\t\n\r ", b) >= 0:
			continue
		case err == nil || len(d.stack) > 0:
			d.fail(ErrSyntax)
		case err != io.EOF:
			d.fail(err)
		}
		return
	}
}

// maxPadding bounds what AllowPadding allows.
const maxPadding = 64 << 10

// AllowPadding lets white space and NULs follow the outermost element, up to 64 KiB: mail
// programs and block devices leave them there.
func (d *Decoder) AllowPadding() { d.padding = maxPadding }

// Element returns the whole of the next element, with lengths as DER has them and
// strings in one piece.
func (d *Decoder) Element(tag byte) []byte {
	if d.Peek() != tag {
		d.fail(ErrSyntax)
		return nil
	}
	return d.element(len(d.stack))
}

// header reads a tag and a length, which is indefinite or lies within the element
// that was entered.
func (d *Decoder) header() (tag byte, length int64) {
	tag, first := d.byte(), d.byte()
	if d.err != nil {
		return 0, 0
	}
	if tag&0x1f == 0x1f { // a number that takes more than one byte
		d.fail(ErrSyntax)
		return 0, 0
	}
	switch {
	case first < 0x80:
		length = int64(first)
	case first == 0x80:
		if tag&constructed == 0 {
			d.fail(ErrSyntax)
		}
		return tag, indefinite
	case first > 0x88:
		d.fail(ErrSyntax)
	default:
		var b [8]byte
		for i := 8 - int(first&0x7f); i < 8; i++ {
			b[i] = d.byte()
		}
		if n := binary.BigEndian.Uint64(b[:]); n > 1<<56 {
			d.fail(ErrSyntax)
		} else {
			length = int64(n)
		}
	}
	if end := d.end(); d.err == nil && end != indefinite && length > end-d.pos {
		d.fail(ErrSyntax)
	}
	return tag, length
}

// push enters an element of a length. If that is indefinite, a definite end further
// out is for atEnd and header to look at.
func (d *Decoder) push(length int64) {
	if len(d.stack) >= maxDepth {
		d.fail(ErrSyntax)
		return
	}
	if length != indefinite {
		length += d.pos
	}
	d.stack = append(d.stack, length)
}

// end is where the innermost element of a definite length ends.
func (d *Decoder) end() int64 {
	for i := len(d.stack) - 1; i >= 0; i-- {
		if d.stack[i] != indefinite {
			return d.stack[i]
		}
	}
	return indefinite
}

// atEnd reports whether the element that was entered last has been read.
func (d *Decoder) atEnd() bool {
	if len(d.stack) == 0 {
		return false
	}
	if end := d.stack[len(d.stack)-1]; end != indefinite {
		return d.pos >= end
	}
	b, err := d.r.Peek(2)
	if err != nil {
		d.fail(err)
		return true
	}
	return b[0] == 0 && b[1] == 0
}

func (d *Decoder) byte() byte {
	if d.err != nil {
		return 0
	}
	if end := d.end(); end != indefinite && d.pos >= end {
		d.fail(ErrSyntax)
		return 0
	}
	b, err := d.r.ReadByte()
	if err != nil {
		d.fail(err)
		return 0
	}
	d.pos++
	return b
}

// read returns the next n bytes, which it believes to be there only as they come.
func (d *Decoder) read(n int64) []byte {
	if d.held += int(min(n, maxElement+1)); d.held > maxElement {
		d.fail(ErrTooLarge)
	}
	if d.err != nil {
		return nil
	}
	b := make([]byte, n)
	got, err := io.ReadFull(d.r, b)
	d.pos += int64(got)
	if err != nil {
		d.fail(err)
		return nil
	}
	return b
}

func (d *Decoder) fail(err error) {
	if d.err != nil {
		return
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = ErrTruncated
	}
	d.err = err
}

// element reads an element into DER. below is the depth at which that began.
func (d *Decoder) element(below int) []byte {
	tag, length := d.header()
	if d.held += 2; d.err != nil || d.held > maxElement {
		d.fail(ErrTooLarge)
		return nil
	}
	if tag&constructed == 0 {
		return wrap(tag, d.read(length))
	}
	d.push(length)
	var inner []byte
	for d.err == nil && !d.atEnd() {
		child := d.element(below)
		if d.err == nil && tag == tagOctetString|constructed {
			child = d.octets(child)
		}
		inner = append(inner, child...)
	}
	d.Leave()
	if d.err != nil {
		return nil
	}
	if tag == tagOctetString|constructed {
		tag = tagOctetString
	}
	return wrap(tag, inner)
}

// octets is the value of one piece of an octet string.
func (d *Decoder) octets(piece []byte) []byte {
	s := newString(piece)
	var value []byte
	if !s.read(tagOctetString, &value) {
		d.fail(ErrSyntax)
	}
	return value
}

// wrap puts a tag and a length in front of a value.
func wrap(tag byte, values ...[]byte) []byte {
	n := 0
	for _, v := range values {
		n += len(v)
	}
	out := appendHeader(make([]byte, 0, n+6), tag, int64(n))
	for _, v := range values {
		out = append(out, v...)
	}
	return out
}

// appendHeader appends a tag and a length, which may be indefinite.
func appendHeader(b []byte, tag byte, n int64) []byte {
	b = append(b, tag)
	switch {
	case n == indefinite:
		return append(b, 0x80)
	case n < 0x80:
		return append(b, byte(n))
	}
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(n))
	skip := 0
	for length[skip] == 0 {
		skip++
	}
	b = append(b, 0x80|byte(8-skip))
	return append(b, length[skip:]...)
}
