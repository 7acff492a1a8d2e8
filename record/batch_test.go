// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/suite"
)

// runConcurrently runs n pieces, each on a goroutine of its own.
func runConcurrently(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// TestBatches seals and opens in pieces: the records are those of Seal, and their content
// is what Open returns.
func TestBatches(t *testing.T) {
	t.Parallel()
	var sealing SealBatch
	var opening OpenBatch
	for _, id := range suite.All() {
		for _, limit := range []int{64, 5000, MaxPlaintext + 1} {
			for _, n := range []int{1, 63, 64, 5000, MaxPlaintext, MaxPlaintext + 1, 300_001} {
				sealer, opener := pair(t, id)
				other, _ := pair(t, id)
				for _, s := range []*Sealer{sealer, other} {
					s.SetLimit(limit)
					s.seq = 3
				}
				opener.seq = 3
				content := bytes.Repeat([]byte{byte(n), 1, 2}, n/3+1)[:n]
				before := []byte("before")
				want, err := other.Seal(before, Handshake, content)
				if err != nil {
					t.Fatal(err)
				}
				pieces, got, err := sealer.Split(&sealing, before, Handshake, content)
				if err != nil || pieces != sealer.RecordsFor(n) {
					t.Fatal(pieces, err)
				}
				runConcurrently(pieces, sealing.Run)
				sealing.Close()
				if !bytes.Equal(got, want) || sealer.seq != other.seq {
					t.Fatalf("%v, limit %d, %d bytes: in pieces it is not what Seal makes", id, limit, n)
				}
				records := split(t, got[len(before):])
				plain := make([]byte, n)
				if k := opener.OpenAhead(&opening, plain, records); k != pieces {
					t.Fatalf("%d pieces, want %d", k, pieces)
				}
				runConcurrently(pieces, func(i int) { opening.Run(i, make([]byte, MaxCiphertext)) })
				at := 0
				for i := range pieces {
					typ, c, ok, err := opener.Commit(&opening, i)
					if typ != Handshake || !ok || err != nil || &c[0] != &plain[at] {
						t.Fatal(typ, ok, err)
					}
					at += len(c)
				}
				opening.Close(n)
				if !bytes.Equal(plain, content) || opener.seq != other.seq {
					t.Fatalf("%v, limit %d, %d bytes: opened in pieces it is something else", id, limit, n)
				}
			}
		}
	}
	for _, nonce := range sealing.nonces[:cap(sealing.nonces)] {
		if nonce != [suite.NonceLen]byte{} {
			t.Fatal("a nonce is left")
		}
	}
	for _, p := range opening.pieces[:cap(opening.pieces)] {
		if p.nonce != [suite.NonceLen]byte{} || p.record != nil || p.content != nil {
			t.Fatal("a piece is left")
		}
	}
}

// TestSplitRefusal shows what is not sealed in pieces, and that it uses no sequence number.
func TestSplitRefusal(t *testing.T) {
	t.Parallel()
	var w SealBatch
	fresh := NewSealer()
	padded, _ := pair(t, suite.AES128GCM)
	padded.SetPadding(func(int) int { return 1 })
	limited, _ := pair(t, suite.AES128GCM)
	limited.seq = limited.keys.Suite.Limit - Reserve - 1
	gone, _ := pair(t, suite.AES128GCM)
	gone.Wipe()
	for _, test := range []struct {
		sealer *Sealer
		t      ContentType
		want   error
	}{
		{fresh, ApplicationData, errContent}, {fresh, Handshake, nil}, {padded, ApplicationData, nil},
		{limited, ApplicationData, ErrLimit}, {gone, ApplicationData, errGone}, {limited, Alert, errContent},
	} {
		seq := test.sealer.seq
		n, b, err := test.sealer.Split(&w, nil, test.t, make([]byte, 2*MaxPlaintext))
		if n != 0 || b != nil || !errors.Is(err, test.want) || test.sealer.seq != seq {
			t.Errorf("%d pieces, %d bytes, %v, want %v", n, len(b), err, test.want)
		}
	}
}

// TestOpenAhead shows what is opened ahead of its turn, and what of it can be committed.
func TestOpenAhead(t *testing.T) {
	t.Parallel()
	var w OpenBatch
	content := bytes.Repeat([]byte("0123456789"), 10)
	seal := func(sealer *Sealer) []byte {
		b, err := sealer.Seal(nil, ApplicationData, content)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	start := func(dst []byte, change func(records [][]byte)) (*Opener, int) {
		sealer, opener := pair(t, suite.ChaCha20Poly1305)
		records := [][]byte{seal(sealer), seal(sealer), seal(sealer), seal(sealer)}
		change(records)
		n := opener.OpenAhead(&w, dst, records)
		runConcurrently(n, func(i int) { w.Run(i, make([]byte, MaxCiphertext)) })
		return opener, n
	}
	for want, change := range map[int]func(records [][]byte){
		4: func([][]byte) {},
		0: func(r [][]byte) { r[0] = []byte{20, 3, 3, 0, 1, 1} }, // in the clear
		1: func(r [][]byte) { r[1] = r[1][:20] },                 // not whole
		2: func(r [][]byte) { r[2] = []byte{23, 3, 3, 0, 0} },    // nothing in it
		3: func(r [][]byte) { r[3][1] = 9 },                      // no record
	} {
		if _, n := start(make([]byte, 400), change); n != want {
			t.Errorf("%d pieces, want %d", n, want)
		}
	}
	if _, n := start(make([]byte, 399), func([][]byte) {}); n != 3 {
		t.Errorf("%d pieces have room, want 3", n)
	}

	// What does not open is an error when its turn has come, and none of it is left.
	dst := make([]byte, 400)
	opener, _ := start(dst, func(r [][]byte) { r[1][50] ^= 1 })
	if _, _, ok, err := opener.Commit(&w, 0); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for range 2 {
		if typ, c, ok, err := opener.Commit(&w, 1); !ok || alert.Of(err) != alert.BadRecordMAC || typ != 0 || c != nil || opener.seq != 1 {
			t.Fatal(typ, ok, err)
		}
	}
	w.Close(100)
	if !bytes.Equal(dst[:100], content) || !bytes.Equal(dst[100:], make([]byte, 300)) {
		t.Error("what was opened ahead is left")
	}

	// Nothing counts under other keys, out of turn, or after the end.
	for name, change := range map[string]func(o *Opener){
		"new keys": func(o *Opener) { o.SetKeys(suite.ByID(suite.AES128GCM).NewKeys(make([]byte, 16), make([]byte, 12))) },
		"a number": func(o *Opener) { o.seq++ },
		"the end":  func(o *Opener) { o.Wipe() },
	} {
		opener, _ := start(dst, func([][]byte) {})
		change(opener)
		if _, _, ok, err := opener.Commit(&w, 0); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
		w.Close(0)
	}
}
