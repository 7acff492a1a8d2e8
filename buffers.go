// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import "sync"

// The sizes of buffers: for a record, a writeChunk and a parallelChunk, each with its
// overhead and a KeyUpdate. The two small ones bound what an idle connection costs whose
// transport is no socket, and an unauthenticated peer that stops in a short record.
const (
	waitBuffer     = 1 << 10
	helloBuffer    = 4 << 10
	recordBuffer   = 17 << 10
	chunkBuffer    = writeChunk + writeChunk/32
	parallelBuffer = parallelChunk + parallelChunk/32
)

var bufferSizes = [...]int{waitBuffer, helloBuffer, recordBuffer, chunkBuffer, parallelBuffer}

var bufferPools [len(bufferSizes)]sync.Pool

// getBuffer returns a buffer of the smallest size that holds n bytes, or the largest. The
// caller wipes what it puts there of secrets, and calls putBuffer.
func getBuffer(n int) *[]byte {
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

// putBuffer takes a buffer back, with its length unchanged.
func putBuffer(b *[]byte) {
	for i, size := range bufferSizes {
		if size == len(*b) {
			bufferPools[i].Put(b)
		}
	}
}
