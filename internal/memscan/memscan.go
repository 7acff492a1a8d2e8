// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package memscan measures what is left of secrets in the memory of a process: it
// searches all that another process can write to for pieces of them. A process
// that searched its own would find what it searches for.
//
// It must not know what the secrets are for.
package memscan

import (
	"encoding/binary"
	"errors"
	"slices"
)

// ErrNotMeasured is the error of Scan where there is no /proc/PID/mem.
var ErrNotMeasured = errors.New("memscan: not measured: memory of other processes can be read on Linux alone")

// window is the length of the pieces that are searched for: eight bytes, at each
// offset in a needle and at each address.
const window = 8

// distinct is how many different bytes a piece must have to be searched for:
// fewer are found everywhere.
const distinct = 5

// An Index is a set of needles. Those are numbers of the caller's, each with the
// forms in which it may lie in memory.
type Index struct {
	forms   []Form
	needles []int // of each form
	pieces  []piece

	filter []uint64 // a bit for each hash of a piece
	table  []piece  // open addressing, by hash; form is 1 more than the index
	shift  uint
}

type piece struct {
	value uint64
	form  uint32
}

// A Find is a place where a piece of a needle lies.
type Find struct {
	Needle  int
	Form    string
	Address uint64
	Length  int    // of the piece
	Where   string // the mapping, as the system calls it
}

// Add makes forms those of a needle.
func (x *Index) Add(needle int, forms ...Form) {
	for _, f := range forms {
		x.forms, x.needles = append(x.forms, f), append(x.needles, needle)
		for i := 0; i+window <= len(f.Bytes); i++ {
			if p := f.Bytes[i : i+window]; isDistinct(p) {
				x.pieces = append(x.pieces, piece{binary.LittleEndian.Uint64(p), uint32(len(x.forms))})
			}
		}
	}
	x.table = nil
}

// Len returns the number of different pieces.
func (x *Index) Len() int {
	x.build()
	n := 0
	for _, p := range x.table {
		if p.form != 0 {
			n++
		}
	}
	return n
}

// Scan searches the writable memory of a process.
func (x *Index) Scan(pid int) ([]Find, error) {
	var finds []Find
	err := readMemory(pid, func(where string, address uint64, b []byte) {
		finds = x.search(finds, where, address, b)
	})
	return finds, err
}

// search looks through one stretch of memory. Pieces of one form that follow each
// other are one find, which may be too short to be more than chance: eight digits of
// a number are a piece of a secret in hexadecimal, once in some ten runs.
func (x *Index) search(finds []Find, where string, address uint64, b []byte) []Find {
	x.build()
	if len(b) < window {
		return finds
	}
	last, end := -1, 0 // the form found last, and where
	chance := func() bool { return last >= 0 && finds[len(finds)-1].Length < x.forms[last].Least }
	v := binary.LittleEndian.Uint64(b) << 8
	for i := range len(b) - window + 1 {
		v = v>>8 | uint64(b[i+window-1])<<56
		h := x.hash(v)
		if x.filter[h>>6]&(1<<(h&63)) == 0 {
			continue
		}
		form := x.lookup(v, h)
		if form < 0 {
			continue
		}
		if form == last && i < end {
			finds[len(finds)-1].Length += i + window - end
		} else {
			if chance() {
				finds = finds[:len(finds)-1]
			}
			finds = append(finds, Find{x.needles[form], x.forms[form].Name, address + uint64(i), window, where})
		}
		last, end = form, i+window
	}
	if chance() {
		finds = finds[:len(finds)-1]
	}
	return finds
}

// build makes filter and table, once, of the pieces.
func (x *Index) build() {
	if x.table != nil {
		return
	}
	slices.SortFunc(x.pieces, func(a, b piece) int { return int(a.form) - int(b.form) })
	bits := uint(10)
	for 1<<bits < 8*len(x.pieces) {
		bits++
	}
	x.shift = 64 - bits
	x.filter, x.table = make([]uint64, 1<<bits/64), make([]piece, 1<<bits/4)
	for _, p := range x.pieces {
		h := x.hash(p.value)
		if x.lookup(p.value, h) >= 0 {
			continue // the form that was added first has it
		}
		x.filter[h>>6] |= 1 << (h & 63)
		slot := h >> 2
		for x.table[slot].form != 0 {
			slot = (slot + 1) % uint64(len(x.table))
		}
		x.table[slot] = p
	}
}

func (x *Index) hash(v uint64) uint64 { return v * 0x9e3779b97f4a7c15 >> x.shift }

// lookup returns the form that has v, -1 if none has.
func (x *Index) lookup(v, h uint64) int {
	for slot := h >> 2; x.table[slot].form != 0; slot = (slot + 1) % uint64(len(x.table)) {
		if x.table[slot].value == v {
			return int(x.table[slot].form) - 1
		}
	}
	return -1
}

func isDistinct(p []byte) bool {
	n := 0
	for i, b := range p {
		if slices.Index(p, b) == i {
			n++
		}
	}
	return n >= distinct
}
