// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package stream

import "sync"

// The sizes of buffers: for a record, a CopyChunk and a WriteChunk, each with its
// overhead and a KeyUpdate. The two small ones bound what an idle connection costs whose
// transport is no socket, and an unauthenticated peer that stops in a short record.
const (
	waitBuffer     = 1 << 10
	helloBuffer    = 4 << 10
	RecordBuffer   = 17 << 10
	chunkBuffer    = CopyChunk + CopyChunk/32
	ParallelBuffer = WriteChunk + WriteChunk/32
)

var bufferSizes = [...]int{waitBuffer, helloBuffer, RecordBuffer, chunkBuffer, ParallelBuffer}

var bufferPools [len(bufferSizes)]sync.Pool

// GetBuffer returns a buffer of the smallest size that holds n bytes, or the largest. The
// caller wipes what it puts there of secrets, and calls PutBuffer.
func GetBuffer(n int) *[]byte {
	i := 0
	for i < len(bufferSizes)-1 && bufferSizes[i] < n {
		i++
	}
	if b, ok := bufferPools[i].Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, bufferSizes[i])
	return &b
}

// PutBuffer takes a buffer back, with its length unchanged.
func PutBuffer(b *[]byte) {
	for i, size := range bufferSizes {
		if size == len(*b) {
			bufferPools[i].Put(b)
		}
	}
}
