// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"sync"
)

// A wiretap is a net.Conn that looks at what crosses it.
type wiretap struct {
	net.Conn
	mu      sync.Mutex
	in, out tappedHalf
}

func tapped(conn net.Conn) *wiretap { return &wiretap{Conn: conn} }

func (w *wiretap) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in.see(b[:n])
	return n, err
}

func (w *wiretap) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out.see(b[:n])
	return n, err
}

// sawRetry says whether a HelloRetryRequest crossed the wire: a ServerHello
// whose random is the SHA-256 of the message's name (RFC 9846, Section 4.2.3).
func (w *wiretap) sawRetry() bool {
	random := sha256.Sum256([]byte("HelloRetryRequest"))
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.in.head, random[:]) || bytes.Contains(w.out.head, random[:])
}

// sessionIDOffset is where a first record has the length of the legacy_session_id of its
// ClientHello: behind the record's header, the message's, the version and the random.
const sessionIDOffset = headerLen + 4 + 2 + 32

// emptySessionID says whether the legacy_session_id of the client's ClientHello is empty.
func (w *wiretap) emptySessionID() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.in.head) > sessionIDOffset && w.in.head[sessionIDOffset] == 0
}

// sentChangeCipherSpec says whether we sent a change_cipher_spec.
func (w *wiretap) sentChangeCipherSpec() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.out.head, []byte{20, 3, 3, 0, 1, 1})
}

// received is how many bytes have come in.
func (w *wiretap) received() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.in.total
}

// largest is the length of the largest protected record in each direction.
func (w *wiretap) largest() (in, out int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.in.largest, w.out.largest
}

// A tappedHalf is one direction: its beginning, and the frames of its records.
type tappedHalf struct {
	head    []byte
	total   int
	largest int

	header []byte // of the record that is coming
	rest   int    // of that record's bytes
}

const (
	// hellosLen is room enough for two ClientHellos and what answers them.
	hellosLen       = 8 << 10
	headerLen       = 5
	applicationData = 23
)

func (h *tappedHalf) see(b []byte) {
	h.head = append(h.head, b[:min(len(b), hellosLen-len(h.head))]...)
	h.total += len(b)
	for len(b) > 0 {
		if h.rest > 0 {
			n := min(h.rest, len(b))
			h.rest, b = h.rest-n, b[n:]
			continue
		}
		n := min(headerLen-len(h.header), len(b))
		h.header, b = append(h.header, b[:n]...), b[n:]
		if len(h.header) == headerLen {
			h.rest = int(binary.BigEndian.Uint16(h.header[3:]))
			if h.header[0] == applicationData {
				h.largest = max(h.largest, h.rest)
			}
			h.header = h.header[:0]
		}
	}
}
