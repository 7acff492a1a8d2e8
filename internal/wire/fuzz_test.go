// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"bytes"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// checkParsed holds what is true of every message that comes from a stranger: it
// parses to what is marshalled to the same bytes, no strict prefix of it parses,
// or it is an error with one of two alerts.
func checkParsed(t *testing.T, raw []byte) {
	t.Helper()
	m, err := parse(raw)
	if err != nil {
		if code := alert.Of(err); code != alert.DecodeError && code != alert.IllegalParameter {
			t.Errorf("%v", err)
		}
		return
	}
	if got := m.Marshal(); !bytes.Equal(got, raw) {
		t.Errorf("marshalled to\n%x, want\n%x", got, raw)
	}
	if len(raw) < 512 {
		checkPrefixes(t, "message", raw)
	}
	if hello, ok := m.(*ClientHello); ok && hello.PSK != nil {
		if prefix := hello.BinderPrefix(); !bytes.HasPrefix(raw, prefix) || len(raw)-len(prefix) < 2+33 {
			t.Errorf("%d of %d bytes are before the binders", len(prefix), len(raw))
		}
	}
	if hello, ok := m.(*ClientHello); !ok || !hello.noExtensions {
		checkReordered(t, m)
	}
}

// FuzzClientHello feeds the parser that anybody on the network reaches.
func FuzzClientHello(f *testing.F) {
	for _, raw := range samples() {
		if MessageType(raw[0]) == ClientHelloType {
			f.Add(raw[headerLen:])
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < 1<<16 {
			checkParsed(t, message(ClientHelloType, string(body)))
		}
	})
}

// FuzzBody feeds all parsers.
func FuzzBody(f *testing.F) {
	for _, raw := range samples() {
		f.Add(raw[0], raw[headerLen:])
	}
	f.Fuzz(func(t *testing.T, typ uint8, body []byte) {
		if len(body) < 1<<16 {
			checkParsed(t, message(MessageType(typ), string(body)))
		}
	})
}

// FuzzRaw feeds all parsers what has no right header.
func FuzzRaw(f *testing.F) {
	for _, raw := range samples() {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) { checkParsed(t, raw) })
}

// FuzzAssembler cuts a stream into records of the given sizes: the messages are
// those of the stream in one piece.
func FuzzAssembler(f *testing.F) {
	stream, _ := flight()
	f.Add(stream, []byte{0, 1, 2, 3, 255})
	f.Add([]byte{11, 2, 0, 0, 1}, []byte{1})
	f.Fuzz(func(t *testing.T, stream, sizes []byte) {
		var whole, cut Assembler
		if whole.Write(stream) != nil {
			return
		}
		var want, got []byte
		wantErr := drain(t, &whole, &want)
		var gotErr error
		rest := stream
		for i := 0; len(rest) > 0 && gotErr == nil; i++ {
			n := len(rest)
			if len(sizes) > 0 && i < 4*len(sizes) {
				n = min(n, int(sizes[i%len(sizes)]))
			}
			if err := cut.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
			gotErr = drain(t, &cut, &got)
		}
		if !bytes.Equal(got, want) || (gotErr == nil) != (wantErr == nil) {
			t.Errorf("in pieces %d bytes, %v; in one %d, %v", len(got), gotErr, len(want), wantErr)
		}
		if wantErr == nil && cut.Pending() != (len(want) < len(stream)) {
			t.Errorf("pending %t after %d of %d bytes", cut.Pending(), len(want), len(stream))
		}
	})
}

// drain appends what is ready to out.
func drain(t *testing.T, a *Assembler, out *[]byte) error {
	t.Helper()
	for {
		m, ok, err := a.Next()
		if err != nil || !ok {
			return err
		}
		if _, aligned := a.Aligned(); aligned == a.Pending() {
			t.Error("aligned and pending")
		}
		*out = append(*out, m.Raw...)
	}
}
