// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bytes"
	"encoding/hex"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/content"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

func testKey(t testing.TB) (*Key, *Recipient) {
	t.Helper()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewKey(id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := k.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	return k, r
}

// contentKey is the key in a message, as its recipient finds it.
func contentKey(t testing.TB, k *Key, sealed []byte) (*cms.Envelope, *volatile.Secret) {
	t.Helper()
	e := new(envelope)
	var err error
	if e.syntax, _, err = cms.ReadEnvelope(cms.NewDecoder(bytes.NewReader(sealed))); err != nil {
		t.Fatal(err)
	}
	if _, err := e.algorithm(); err != nil {
		t.Fatal(err)
	}
	key, err := k.unwrap(e.syntax, e.cipher.KeyLen())
	if err != nil {
		t.Fatal(err)
	}
	return e.syntax, key
}

func sealText(t testing.TB, text string, o *SealOptions, to ...*Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := Seal(&out, to, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestContentKeysDiffer finds, with the recipient's key, another content key, nonce
// and ephemeral key in each of many messages.
func TestContentKeysDiffer(t *testing.T) {
	t.Parallel()
	n := 10_000
	if testing.Short() {
		n = 500
	}
	k, to := testKey(t)
	seen := make(map[string]bool)
	for range n {
		e, key := contentKey(t, k, sealText(t, "the same text", nil, to))
		if key.Len() != content.AES256GCM.KeyLen() {
			t.Fatalf("a key of %d bytes", key.Len())
		}
		for _, b := range [][]byte{key.Bytes(), e.Cipher.Parameters, e.Recipients[0].PublicKey} {
			if seen[string(b)] {
				t.Fatalf("%x comes twice", b)
			}
			seen[string(b)] = true
		}
	}
	if len(seen) != 3*n {
		t.Errorf("%d values", len(seen))
	}
}

// TestWipedAfter looks at the keys of messages that are done, failed or dropped.
func TestWipedAfter(t *testing.T) {
	t.Parallel()
	k, to := testKey(t)
	text := sealText(t, strings.Repeat("text", 200_000), nil, to)
	var kept []*Message // what is dropped is wiped once more
	defer func() { runtime.KeepAlive(kept) }()
	openIt := func(sealed []byte, keep bool, read func(*Message)) *opened {
		m, err := Open(bytes.NewReader(sealed), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		state := m.opened
		if state.sealed.key.Len() == 0 {
			t.Fatal("there is no key to begin with")
		}
		if keep {
			kept = append(kept, m)
		}
		read(m)
		return state
	}
	for name, state := range map[string]*opened{
		"read":   openIt(text, true, func(m *Message) { _, _ = io.Copy(io.Discard, m) }),
		"closed": openIt(text, true, func(m *Message) { _, _ = m.Read(make([]byte, 10)); m.Close(); m.Close() }),
	} {
		if state.sealed.key.Len() != 0 || state.sealed.marks.aead != nil || state.sealed.reader.part != nil {
			t.Errorf("%s: not wiped", name)
		}
	}
	if underRace {
		return // the rest looks at what the collector's goroutine wipes
	}
	dropped := openIt(text, false, func(m *Message) {})
	w, err := Seal(io.Discard, []*Recipient{to}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sealing := w.(*sealed).w.(*contentWriter).layer.(*sealing)
	w = nil
	for range 100 {
		runtime.GC()
		if dropped.sealed.key.Len() == 0 && sealing.cipher.Wiped() {
			return
		}
		runtime.Gosched()
	}
	t.Error("what was dropped is not wiped")
}

// TestSealingWiped looks at the cipher after Close and after an error.
func TestSealingWiped(t *testing.T) {
	t.Parallel()
	_, to := testKey(t)
	for name, sink := range map[string]io.Writer{"closed": io.Discard, "failed": failing{}} {
		w, err := Seal(sink, []*Recipient{to}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := w.(*sealed).w.(*contentWriter)
		_, _ = w.Write(make([]byte, 600_000))
		err = w.Close()
		if (err == nil) != (name == "closed") {
			t.Errorf("%s: %v", name, err)
		}
		if !c.layer.(*sealing).cipher.Wiped() || c.buf != nil {
			t.Errorf("%s: not wiped", name)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestBech32 are test vectors of BIP 350 and BIP 173.
func TestBech32(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		prefix, text, data string
		variant            uint32
	}{
		{"a", "a1lqfn3a", "", bech32m},
		{"a", "a12uel5l", "", bech32},
		{"abcdef", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "00443214c74254b635cf84653a56d7c675be77df", bech32},
	} {
		data, err := hex.DecodeString(v.data)
		if err != nil {
			t.Fatal(err)
		}
		if got := encodeBech32(v.prefix, data, v.variant); got != v.text {
			t.Errorf("%s, want %s", got, v.text)
		}
	}
	for _, valid := range []string{"A1LQFN3A", "a1lqfn3a"} {
		if _, err := decodeBech32("a", valid, 100); err != nil {
			t.Errorf("%s: %v", valid, err)
		}
	}
	for _, invalid := range []string{"a12uel5l", "a1lqfn3q", "A1lqfn3a", "1lqfn3a", "a1lqfn3", "b1lqfn3a", "a1lqfn3a\x80", "a1", ""} {
		if _, err := decodeBech32("a", invalid, 100); err == nil {
			t.Errorf("%q is read", invalid)
		}
	}
	for n := range 64 {
		data := bytes.Repeat([]byte{0xa5}, n)
		if got, err := decodeBech32("x", encodeBech32("x", data, bech32m), 64); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
