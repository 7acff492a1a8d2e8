// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"net"
	"testing"
)

// A lender keeps the buffers that a connection has lent to its transport, in which records
// are opened.
type lender struct {
	net.Conn
	lent [][]byte
}

func (l *lender) Read(p []byte) (int, error) {
	l.lent = append(l.lent, p)
	return l.Conn.Read(p)
}

// Close reads from a transport without a buffer while it writes. What it opens there is
// wiped, and so is what the program had not read. A short record does not overwrite the long
// one before it.
func TestCloseLeavesNoPlaintextOfRecordsThatItTakesIn(t *testing.T) {
	victim, hostile := hostilePair(t)
	l := &lender{Conn: victim.inner}
	victim.inner = l
	secret := bytes.Repeat([]byte("plaintext"), 1500)
	go func() {
		for _, p := range [][]byte{secret, secret, []byte("short")} {
			if _, err := hostile.Write(p); err != nil {
				return
			}
		}
		_, _ = hostile.Read(make([]byte, 1))
	}()
	if _, err := victim.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = victim.Close()
	if len(l.lent) < 2 {
		t.Fatalf("the transport was read %d times", len(l.lent))
	}
	for _, b := range l.lent {
		if bytes.Contains(b, secret[:16]) {
			t.Fatal("plaintext is left in a buffer")
		}
	}
}
