// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"io"
	"slices"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/stream"
	"github.com/mayfly-tls/mayfly/record"
)

// TestWriteBuffer shows that the records of a Write and a KeyUpdate fit the buffer that it
// takes for them, so that it allocates none.
func TestWriteBuffer(t *testing.T) {
	t.Parallel()
	sender, _ := hostilePair(t)
	const chunkBuffer = stream.CopyChunk + stream.CopyChunk/32
	for _, test := range []struct{ n, want int }{
		{1, stream.RecordBuffer}, {record.MaxPlaintext, stream.RecordBuffer}, {stream.RecordBuffer - 10, chunkBuffer},
		{stream.CopyChunk, chunkBuffer}, {chunkBuffer - 10, stream.ParallelBuffer}, {stream.WriteChunk, stream.ParallelBuffer},
	} {
		b := stream.GetBuffer(writeBuffer(test.n))
		defer stream.PutBuffer(b)
		need := sender.out.sealer.SealedLen(test.n) + sender.out.sealer.SealedLen(5)
		if len(*b) != test.want || len(*b) < need {
			t.Errorf("%d bytes and a KeyUpdate take %d, the buffer has %d, want %d", test.n, need, len(*b), test.want)
		}
	}
}

// TestWriteParallel writes and reads more than several cores share, with keys that change
// in the middle of it, and closes a connection whose Write is stuck.
func TestWriteParallel(t *testing.T) {
	t.Parallel()
	for _, policy := range []RekeyPolicy{{}, {Records: 11, MinInterval: -1}} {
		sender, receiver := hostilePair(t)
		sender.out.rekey.policy = policy.withDefaults()
		data := make([]byte, 5<<20+12345)
		for i := range data {
			data[i] = byte(i >> 8)
		}
		go func() {
			for part := range slices.Chunk(data, 1<<20) {
				if _, err := sender.Write(part); err != nil {
					t.Error(err)
					return
				}
			}
			_ = sender.CloseWrite()
		}()
		var got []byte
		for p := make([]byte, 1<<20); ; {
			n, err := receiver.Read(p)
			if got = append(got, p[:n]...); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, data) {
			t.Fatalf("%d bytes arrived, which are not the %d that were written", len(got), len(data))
		}
	}
	stuck, peer := hostilePair(t)
	done := make(chan error)
	go func() {
		n, err := stuck.Write(make([]byte, 3*stream.WriteChunk))
		if n != stream.WriteChunk {
			t.Errorf("%d bytes were sealed, want %d", n, stream.WriteChunk)
		}
		done <- err
	}()
	if _, err := io.ReadFull(peer.inner, make([]byte, 1)); err != nil { // the Write is under way
		t.Fatal(err)
	}
	_ = stuck.Close()
	if err := <-done; err == nil {
		t.Error("a Write that the peer did not read succeeded")
	}
	if !wiped(stuck.parts) {
		t.Error("keys are left")
	}
}
