// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package stream carries records between a transport and the record layer: buffers, what
// has arrived and is not opened, work on several cores, and deadlines. It must not know
// handshakes, keys, or what is in a record.
package stream

const (
	// CopyChunk is how much early data is sealed at once, and how much io.Copy moves:
	// eight full records.
	CopyChunk = 128 << 10

	// WriteChunk is how much a Write seals into one buffer and writes at once.
	WriteChunk = 512 << 10

	// MinParallel is the least data that several cores seal or open: with less, starting
	// the workers takes as long as what they save.
	MinParallel = 192 << 10

	// maxWorkerSpins is how often a worker looks for another job before it ends: some 40 µs,
	// in which a receiver reads as much as it opens at once.
	maxWorkerSpins = 100_000

	// maxJoinSpins is how often the caller looks whether the last worker is done before it
	// sleeps: for as long as a ChaCha20-Poly1305 record takes, at the most.
	maxJoinSpins = 500

	// maxUnread is how many unread bytes DiscardUnread takes in.
	maxUnread = 64 << 10
)
