// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

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
			{0, waitBuffer}, {waitBuffer, waitBuffer}, {waitBuffer + 1, helloBuffer}, {helloBuffer + 1, recordBuffer},
			{record.MaxCiphertext + record.HeaderLen, recordBuffer}, {recordBuffer + 1, chunkBuffer},
			{writeChunk, chunkBuffer}, {chunkBuffer + 1, parallelBuffer}, {parallelChunk, parallelBuffer}, {1 << 30, parallelBuffer},
		} {
			b := getBuffer(test.n)
			if len(*b) != test.want {
				t.Fatalf("a buffer for %d bytes has %d, want %d", test.n, len(*b), test.want)
			}
			putBuffer(b)
			foreign := make([]byte, test.want-1)
			putBuffer(&foreign)
		}
	}
}

// TestWriteBuffer shows that the records of a Write and a KeyUpdate fit the buffer that it
// takes for them, so that it allocates none.
func TestWriteBuffer(t *testing.T) {
	t.Parallel()
	sender, _ := hostilePair(t)
	for _, test := range []struct{ n, want int }{
		{1, recordBuffer}, {record.MaxPlaintext, recordBuffer}, {recordBuffer - 10, chunkBuffer},
		{writeChunk, chunkBuffer}, {chunkBuffer - 10, parallelBuffer}, {parallelChunk, parallelBuffer},
	} {
		b := getBuffer(writeBuffer(test.n))
		defer putBuffer(b)
		need := sender.out.sealer.SealedLen(test.n) + sender.out.sealer.SealedLen(5)
		if len(*b) != test.want || len(*b) < need {
			t.Errorf("%d bytes and a KeyUpdate take %d, the buffer has %d, want %d", test.n, need, len(*b), test.want)
		}
	}
}
