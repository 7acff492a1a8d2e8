// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// bulk is how much goes each way: no multiple of a record's size.
const bulk = 2<<20 + 12345

// A stream is what the user of a connection sees of it. The other program's end
// is its standard input and output.
type stream interface {
	io.ReadWriter
	CloseWrite() error
}

// A finisher is a stream that knows whether its side ended well.
type finisher interface{ Finish() error }

// text makes n bytes of lines, different for each seed: text, as some of the
// programs know nothing else, and digits alone, as others take a line that
// begins with a letter for a command.
func text(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = '0' + byte(r.Uint32()%10)
		if i%61 == 60 {
			b[i] = '\n'
		}
	}
	b[n-1] = '\n'
	return b
}

// The bulk data of each direction, the same in every connection.
var (
	fromUs   = sync.OnceValue(func() []byte { return text(1, bulk) })
	fromThem = sync.OnceValue(func() []byte { return text(2, bulk) })
)

// exchange sends bulk data both ways at the same time between our end and the
// other program's, and then closes: from our side, or from theirs.
//
// The peer gets n bytes of ours: some programs are slow at that.
func exchange(t *testing.T, ours *mayfly.Conn, theirs stream, n int, theyClose bool) {
	t.Helper()
	ours.SetDeadline(time.Now().Add(patience))
	all(t,
		func() error { return send("us", ours, fromUs()[:n]) },
		func() error { return send("the peer", theirs, fromThem()) },
		func() error { return receive("us", ours, fromThem()) },
		func() error { return receive("the peer", theirs, fromUs()[:n]) },
	)
	if theyClose {
		if err := theirs.CloseWrite(); err != nil {
			t.Fatalf("the peer's CloseWrite: %v", err)
		}
		expectEOF(t, "us", ours)
	}
	if err := ours.CloseWrite(); err != nil && !theyClose {
		t.Fatalf("CloseWrite: %v", err)
	}
	if !theyClose {
		if _, ok := theirs.(*program); !ok {
			expectEOF(t, "the peer", theirs)
			if err := theirs.CloseWrite(); err != nil {
				t.Fatalf("the peer's CloseWrite: %v", err)
			}
		}
		expectEOF(t, "us", ours)
	}
	if err := ours.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if f, ok := theirs.(finisher); ok {
		if err := f.Finish(); err != nil {
			t.Fatal(err)
		}
	}
}

// exchangeEcho sends bulk data to a peer that returns what it gets, and then
// closes. Whether such a peer closes too depends on the program.
func exchangeEcho(t *testing.T, ours *mayfly.Conn) {
	t.Helper()
	ours.SetDeadline(time.Now().Add(patience))
	all(t,
		func() error { return send("us", ours, fromUs()) },
		func() error { return receive("us", ours, fromUs()) },
	)
	if err := ours.CloseWrite(); err != nil {
		t.Fatalf("CloseWrite: %v", err)
	}
	expectEOF(t, "us", ours)
}

// all runs the halves of an exchange side by side and reports what failed.
func all(t *testing.T, parts ...func() error) {
	t.Helper()
	failed := make(chan error, len(parts))
	for _, part := range parts {
		go func() { failed <- part() }()
	}
	for range parts {
		if err := <-failed; err != nil {
			// The first says why. The others may wait for what never comes:
			// the end of the test closes what they wait for.
			t.Fatal(err)
		}
	}
}

func send(who string, w io.Writer, data []byte) error {
	if n, err := w.Write(data); err != nil {
		return fmt.Errorf("%s: sent %d of %d bytes: %w", who, n, len(data), err)
	}
	return nil
}

func receive(who string, r io.Reader, want []byte) error {
	got := sha256.New()
	if n, err := io.CopyN(got, r, int64(len(want))); err != nil {
		return fmt.Errorf("%s: received %d of %d bytes: %w", who, n, len(want), err)
	}
	if !sameHash(got, want) {
		return fmt.Errorf("%s: what arrived is not what was sent", who)
	}
	return nil
}

func sameHash(got hash.Hash, want []byte) bool {
	sum := sha256.Sum256(want)
	return bytes.Equal(got.Sum(nil), sum[:])
}

// expectEOF checks that a side sees the end of what the other has to say, and
// not a connection that is cut.
func expectEOF(t *testing.T, who string, r io.Reader) {
	t.Helper()
	var b [1]byte
	if n, err := r.Read(b[:]); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("%s: Read after the other side's close = %d, %v; want io.EOF", who, n, err)
	}
}

// check compares what was agreed on with what the cell asks for.
func (c cell) check(t *testing.T, ours *mayfly.Conn, tap *wiretap) {
	t.Helper()
	state := ours.ConnectionState()
	if !state.HandshakeComplete || state.Version != tls.VersionTLS13 {
		t.Errorf("complete %v, version %#x; want TLS 1.3", state.HandshakeComplete, state.Version)
	}
	if state.CipherSuite != c.suite {
		t.Errorf("suite %s, want %s", tls.CipherSuiteName(state.CipherSuite), tls.CipherSuiteName(c.suite))
	}
	if state.CurveID != c.group {
		t.Errorf("group %v, want %v", state.CurveID, c.group)
	}
	if state.NegotiatedProtocol != c.alpn {
		t.Errorf("protocol %q, want %q", state.NegotiatedProtocol, c.alpn)
	}
	if seen := tap.sawRetry(); seen != c.retry {
		t.Errorf("a HelloRetryRequest on the wire: %v, want %v", seen, c.retry)
	}
	c.checkPeer(t, ours)
}
