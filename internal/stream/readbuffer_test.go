// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

var errTruncated = errors.New("truncated")

// tlsRecord is a record of application data with n bytes.
func tlsRecord(n int, fill byte) []byte {
	return append([]byte{23, 3, 3, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{fill}, n)...)
}

func newReadBuffer() ReadBuffer {
	a, _ := net.Pipe()
	return NewReadBuffer(a, errTruncated)
}

func TestFetchReturnsWholeRecordsHoweverTheyArrive(t *testing.T) {
	want := [][]byte{tlsRecord(1, 'a'), tlsRecord(16384, 'b'), tlsRecord(0, 0), tlsRecord(300, 'c')}
	all := bytes.Join(want, nil)
	for name, src := range map[string]io.Reader{
		"at once":            bytes.NewReader(all),
		"byte by byte":       iotest.OneByteReader(bytes.NewReader(all)),
		"by halves":          iotest.HalfReader(bytes.NewReader(all)),
		"with the end early": iotest.DataErrReader(bytes.NewReader(all)),
	} {
		in := newReadBuffer()
		for i, record := range want {
			got, err := in.Fetch(src)
			if err != nil || !bytes.Equal(got, record) {
				t.Fatalf("%s: record %d: %d bytes, %v", name, i, len(got), err)
			}
			in.Release()
		}
		if _, err := in.Fetch(src); err != errTruncated {
			t.Errorf("%s: at the end: %v", name, err)
		}
		if in.Release(); !in.Empty() {
			t.Errorf("%s: memory is left", name)
		}
	}
}

func TestUnauthenticatedPeerGetsASmallBuffer(t *testing.T) {
	in := newReadBuffer()
	if err := in.Fill(bytes.NewReader(tlsRecord(100, 'a')[:50])); err != nil {
		t.Fatal(err)
	}
	if n := len(*in.buf); n != helloBuffer {
		t.Errorf("an unauthenticated peer takes %d bytes", n)
	}
	in.Authenticated()
	if err := in.Fill(bytes.NewReader(tlsRecord(100, 'a')[50:])); err != nil {
		t.Fatal(err)
	}
	if n := len(*in.buf); n != RecordBuffer || !in.Ready() || len(in.Unopened()) != 105 {
		t.Errorf("an authenticated peer takes %d bytes, %d are there", n, len(in.Unopened()))
	}
}

func TestRestoreKeepsPlaintextAndRecords(t *testing.T) {
	in := newReadBuffer()
	plain := in.Restore([]byte("opened"), tlsRecord(5, 'x'))
	if string(plain) != "opened" {
		t.Errorf("%q", plain)
	}
	if got, err := in.Fetch(nil); err != nil || !bytes.Equal(got, tlsRecord(5, 'x')) {
		t.Errorf("%x, %v", got, err)
	}
}

func TestWholeReturnsOnlyWholeRecords(t *testing.T) {
	in := newReadBuffer()
	in.Authenticated()
	one := tlsRecord(16384, 'a')
	in.Restore(nil, append(bytes.Repeat(one, 3), one[:100]...))
	records, size := in.Whole(make([][]byte, 0, 30))
	if len(records) != 3 || size != 3*len(one) {
		t.Errorf("%d records, %d bytes", len(records), size)
	}
	if in.Skip(size); len(in.Unopened()) != 100 || in.Ready() {
		t.Errorf("%d bytes are left", len(in.Unopened()))
	}
}
