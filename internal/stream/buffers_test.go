// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package stream

import (
	"testing"

	"github.com/mayfly-tls/mayfly/record"
)

// TestGetBuffer shows the sizes of buffers: the smallest that is large enough, whatever was
// put back before.
func TestGetBuffer(t *testing.T) {
	t.Parallel()
	for range 2 {
		for _, test := range []struct{ n, want int }{
			{0, waitBuffer}, {waitBuffer, waitBuffer}, {waitBuffer + 1, helloBuffer}, {helloBuffer + 1, RecordBuffer},
			{record.MaxCiphertext + record.HeaderLen, RecordBuffer}, {RecordBuffer + 1, chunkBuffer},
			{CopyChunk, chunkBuffer}, {chunkBuffer + 1, ParallelBuffer}, {WriteChunk, ParallelBuffer}, {1 << 30, ParallelBuffer},
		} {
			b := GetBuffer(test.n)
			if len(*b) != test.want {
				t.Fatalf("a buffer for %d bytes has %d, want %d", test.n, len(*b), test.want)
			}
			PutBuffer(b)
			foreign := make([]byte, test.want-1)
			PutBuffer(&foreign)
		}
	}
}
