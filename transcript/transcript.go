// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package transcript keeps the running hash of the handshake's messages (RFC 9846,
// Section 4.1), as they crossed the wire.
//
// It must not know what the messages mean, nor keys, nor the role.
//
// This package promises no compatibility: it is public to be read (docs/stability.md).
package transcript

import (
	"encoding"
	"hash"
)

// messageHash is the handshake type of the message that stands for ClientHello1.
const messageHash = 254

// A Transcript is the hash of the messages added so far. Until Select it keeps the
// messages, as the hash is not yet known.
type Transcript struct {
	hash     hash.Hash // nil until Select
	buffered []byte
	sum      [64]byte // the largest of a hash
}

// New returns an empty transcript.
func New() *Transcript { return &Transcript{} }

// Add adds a message, with its header.
func (t *Transcript) Add(msg []byte) {
	if t.hash == nil {
		t.buffered = append(t.buffered, msg...)
		return
	}
	t.hash.Write(msg)
}

// Select chooses the hash, once.
func (t *Transcript) Select(newHash func() hash.Hash) {
	t.hash = newHash()
	t.hash.Write(t.buffered)
	t.buffered = nil
}

// HelloRetryRequest replaces ClientHello1, all that was added so far, by a
// synthetic message with its hash. It is called after Select, and before the
// HelloRetryRequest is added.
func (t *Transcript) HelloRetryRequest() {
	sum := t.Sum()
	t.hash.Reset()
	t.addHash(sum)
}

// Retried returns a transcript of which HelloRetryRequest was called, where sum is the hash
// of ClientHello1: for a server that has kept nothing else of it.
func Retried(newHash func() hash.Hash, sum []byte) *Transcript {
	t := &Transcript{hash: newHash()}
	t.addHash(sum)
	return t
}

// addHash adds the message that stands for ClientHello1 (RFC 9846, Section 4.1).
func (t *Transcript) addHash(sum []byte) {
	t.hash.Write([]byte{messageHash, 0, 0, byte(len(sum))})
	t.hash.Write(sum)
}

// Sum returns the hash of the messages so far, which it lends until it is called again. It
// is called after Select.
func (t *Transcript) Sum() []byte { return t.hash.Sum(t.sum[:0]) }

// SumWith returns the hash of the messages so far and prefix, the beginning of a
// message that has not been added: a ClientHello without its binders. It may be
// called before Select, for several hashes too; after Select, newHash is the one
// that was selected.
func (t *Transcript) SumWith(prefix []byte, newHash func() hash.Hash) []byte {
	h := newHash()
	if t.hash == nil {
		h.Write(t.buffered)
	} else {
		restore(h, t.hash)
	}
	h.Write(prefix)
	return h.Sum(nil)
}

// Wipe forgets the messages.
func (t *Transcript) Wipe() {
	clear(t.buffered)
	t.buffered, t.hash = nil, nil
}

// restore sets h to the state of from.
func restore(h, from hash.Hash) {
	state, err := from.(encoding.BinaryMarshaler).MarshalBinary()
	if err == nil {
		err = h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
	}
	if err != nil {
		panic("transcript: not the hash that was selected")
	}
}
