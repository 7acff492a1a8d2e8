// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import "sync/atomic"

// Stats counts what a connection has carried since its handshake.
type Stats struct {
	RecordsSent, RecordsReceived uint64 // records of application data
	BytesSent, BytesReceived     uint64 // of application data
	KeysSent, KeysReceived       uint64 // generations of application keys, the first one not counted
}

// Stats returns the counts so far, without waiting.
func (c *Conn) Stats() Stats {
	in, out := &c.in.counts, &c.out.counts
	return Stats{
		RecordsSent: out.records.Load(), RecordsReceived: in.records.Load(),
		BytesSent: out.bytes.Load(), BytesReceived: in.bytes.Load(),
		KeysSent: out.keys.Load(), KeysReceived: in.keys.Load(),
	}
}

// counts is one half's part of Stats.
type counts struct{ records, bytes, keys atomic.Uint64 }
