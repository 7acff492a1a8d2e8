// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package cms

// A Frame is what stands around a content that is written: Head, the content, Tail.
// A content whose length is not known is written in pieces, each behind a
// PieceHeader.
type Frame struct{ Head, Tail []byte }

// Indefinite is the length of a content whose length is not known.
const Indefinite = indefinite

// PieceHeader returns what stands before a piece of n bytes.
func PieceHeader(n int) []byte { return appendHeader(nil, tagOctetString, int64(n)) }

// A layer is an element around the content, and what else it holds.
type layer struct {
	tag           byte
	before, after []byte
}

// enclose returns the frame that layers make, the outermost first, around a string
// with that tag.
func enclose(layers []layer, tag byte, length int64) (f Frame) {
	if length == indefinite {
		tag |= constructed
	}
	layers = append(layers, layer{tag: tag})
	heads := make([][]byte, len(layers))
	for i := len(layers) - 1; i >= 0; i-- {
		l := layers[i]
		f.Tail = append(f.Tail, l.after...)
		if length == indefinite {
			heads[i] = appendHeader(nil, l.tag, indefinite)
			f.Tail = append(f.Tail, 0, 0)
		} else {
			length += int64(len(l.before) + len(l.after))
			heads[i] = appendHeader(nil, l.tag, length)
			length += int64(len(heads[i]))
		}
	}
	for i, l := range layers {
		f.Head = append(append(f.Head, heads[i]...), l.before...)
	}
	return f
}
