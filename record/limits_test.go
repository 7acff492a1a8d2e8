// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"bytes"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/suite"
)

// protect makes a record of a TLSInnerPlaintext that need not be a proper one. The
// Sealer does not count it.
func protect(s *Sealer, inner []byte) []byte {
	header := appendHeader(nil, ApplicationData, legacyVersion, len(inner)+tagLen)
	var nonce [suite.NonceLen]byte
	s.keys.Nonce(&nonce, s.seq)
	return s.keys.AEAD.Seal(header, nonce[:], inner, header)
}

// TestRecordSizeLimit is RFC 8449, Section 4, on both sides: the limit counts
// content, type and padding, and only in protected records.
func TestRecordSizeLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{64, 65, 1000, MaxPlaintext, MaxPlaintext + 1} {
		for _, padding := range []int{0, 1, limit - 2} {
			inner := append(bytes.Repeat([]byte{'x'}, limit-1-padding), 23)
			inner = append(inner, make([]byte, padding)...)
			sealer, opener := pair(t, suite.AES128GCM)
			opener.SetLimit(limit)
			if _, content, err := opener.Open(protect(sealer, inner)); err != nil || len(content) != limit-1-padding {
				t.Errorf("limit %d, padding %d: %d bytes, %v", limit, padding, len(content), err)
			}
			sealer, opener = pair(t, suite.AES128GCM)
			opener.SetLimit(limit)
			if _, _, err := opener.Open(protect(sealer, append(inner, 0))); alert.Of(err) != alert.RecordOverflow {
				t.Errorf("limit %d, padding %d, and one byte more: %v", limit, padding, err)
			}
		}
		sealer, _ := pair(t, suite.AES128GCM)
		sealer.SetLimit(limit)
		sealer.SetPadding(func(int) int { return 1 << 30 })
		b, err := sealer.Seal(nil, Handshake, make([]byte, 3*limit))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range split(t, b) {
			if len(r) != HeaderLen+limit+tagLen {
				t.Errorf("limit %d: a record of %d", limit, len(r))
			}
		}
	}
	sealer, opener := NewSealer(), NewOpener()
	sealer.SetLimit(64)
	opener.SetLimit(64)
	b, err := sealer.Seal(nil, Handshake, make([]byte, MaxPlaintext))
	if err != nil || len(b) != HeaderLen+MaxPlaintext {
		t.Errorf("in the clear: %d bytes, %v", len(b), err)
	}
	openAll(t, opener, b)
}

// TestParseHeader walks the first byte, the major version and the length, each to
// both sides of its bounds.
func TestParseHeader(t *testing.T) {
	t.Parallel()
	for first := range 256 {
		for _, major := range []byte{0, 2, 3, 4} {
			typ, n, err := ParseHeader([]byte{byte(first), major, 3, 1, 2})
			switch {
			case first >= 20 && first <= 23 && major == 3:
				if typ != ContentType(first) || n != 0x0102 || err != nil {
					t.Errorf("%d: type %d, %d bytes, %v", first, typ, n, err)
				}
			case alert.Of(err) != alert.UnexpectedMessage:
				t.Errorf("%d, version %d.3: %v", first, major, err)
			}
		}
	}
	for n, overflow := range map[int]bool{0: false, MaxCiphertext: false, MaxCiphertext + 1: true, 0xffff: true} {
		_, got, err := ParseHeader([]byte{23, 3, 3, byte(n >> 8), byte(n)})
		if overflow && alert.Of(err) != alert.RecordOverflow || !overflow && (err != nil || got != n) {
			t.Errorf("%d bytes: %d, %v", n, got, err)
		}
	}
}

// TestNoLimit shows that where no limit is set, or one that is too large, a record
// is as long as RFC 9846, Section 5.4, allows: 2^14 bytes and the type.
func TestNoLimit(t *testing.T) {
	t.Parallel()
	for _, set := range []func(*Sealer, *Opener){
		func(*Sealer, *Opener) {},
		func(s *Sealer, o *Opener) { s.SetLimit(65535); o.SetLimit(65535) },
	} {
		sealer, opener := pair(t, suite.AES128GCM)
		set(sealer, opener)
		sealer.SetPadding(func(int) int { return 1 << 30 })
		for _, n := range []int{0, 1, MaxPlaintext - 1, MaxPlaintext} {
			b, err := sealer.Seal(nil, ApplicationData, make([]byte, n))
			if err != nil || len(b) != HeaderLen+MaxPlaintext+1+tagLen {
				t.Errorf("%d bytes of content: %d of record, %v", n, len(b), err)
			}
			openAll(t, opener, b)
		}
		if _, _, err := opener.Open(protect(sealer, append(make([]byte, MaxPlaintext+1), 23))); alert.Of(err) != alert.RecordOverflow {
			t.Error(err)
		}
	}
}

// TestLimitFirstFails shows that a record that is too long and does not open is one
// that does not open: its length alone tells nothing, and early data that is
// skipped is longer than a limit agreed on later.
func TestLimitFirstFails(t *testing.T) {
	t.Parallel()
	for _, n := range []int{64 + tagLen + 1, MaxCiphertext} {
		_, opener := pair(t, suite.AES128GCM)
		opener.SetLimit(64)
		record := append(appendHeader(nil, ApplicationData, legacyVersion, n), make([]byte, n)...)
		if _, _, err := opener.Open(record); alert.Of(err) != alert.BadRecordMAC {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestMustNotSend is RFC 9846, Section 5.1: what no record may hold is not sent,
// with keys and without.
func TestMustNotSend(t *testing.T) {
	t.Parallel()
	for _, protected := range []bool{false, true} {
		for _, test := range []struct {
			t    ContentType
			n    int
			sent bool
		}{
			{ApplicationData, 1, protected},
			{ApplicationData, 0, protected},
			{Handshake, 0, false},
			{Handshake, 1, true},
			{Handshake, MaxPlaintext + 1, true},
			{Alert, 0, false},
			{Alert, 2, true},
			{Alert, MaxPlaintext, true},
			{Alert, MaxPlaintext + 1, false},
			{ChangeCipherSpec, 0, false},
			{ChangeCipherSpec, 1, true},
			{0, 1, false},
			{24, 1, false},
			{255, 1, false},
		} {
			sealer := NewSealer()
			if protected {
				sealer, _ = pair(t, suite.AES128GCM)
			}
			for name, seal := range map[string]func([]byte, ContentType, []byte) ([]byte, error){"Seal": sealer.Seal, "SealReserved": sealer.SealReserved} {
				b, err := seal([]byte("before"), test.t, make([]byte, test.n))
				if (err == nil) != test.sent || !test.sent && string(b) != "before" {
					t.Errorf("%s of %d bytes of type %d, protected: %v: %v", name, test.n, test.t, protected, err)
				}
			}
		}
	}
}

// TestClearFirst is the layer before there are keys: application data is refused,
// and no version of a record is (RFC 9846, Section 5.1).
func TestClearFirst(t *testing.T) {
	t.Parallel()
	for _, record := range [][]byte{{23, 3, 3, 0, 0}, {23, 3, 3, 0, 1, 1}} {
		if _, _, err := NewOpener().Open(record); alert.Of(err) != alert.UnexpectedMessage {
			t.Errorf("%v: %v", record, err)
		}
	}
	for _, minor := range []byte{0, 1, 2, 3, 4, 255} {
		if _, _, err := NewOpener().Open([]byte{22, 3, minor, 0, 1, 1}); err != nil {
			t.Errorf("version 3.%d: %v", minor, err)
		}
	}
}

// TestPlainRefusals takes a client's refusal in the clear until its first protected
// record (RFC 9846, Appendix A.1).
func TestPlainRefusals(t *testing.T) {
	t.Parallel()
	refusal := func() []byte { return []byte{21, 3, 3, 0, 2, 2, 48} }
	sealer, opener := pair(t, suite.AES128GCM)
	if _, _, err := opener.Open(refusal()); alert.Of(err) != alert.UnexpectedMessage {
		t.Errorf("nobody asked for it: %v", err)
	}
	opener.PlainRefusals()
	if got, content, err := opener.Open(refusal()); err != nil || got != Alert || !bytes.Equal(content, []byte{2, 48}) {
		t.Errorf("%v, %x, %v", got, content, err)
	}
	record, err := sealer.Seal(nil, Handshake, []byte{1})
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(record)
	forged[len(forged)-1] ^= 1
	if _, _, err := opener.Open(forged); alert.Of(err) != alert.BadRecordMAC {
		t.Errorf("a forged record: %v", err)
	}
	if _, _, err := opener.Open(refusal()); err != nil {
		t.Errorf("after a forged record: %v", err)
	}
	if _, _, err := opener.Open(record); err != nil {
		t.Fatal(err)
	}
	if _, _, err := opener.Open(refusal()); alert.Of(err) != alert.UnexpectedMessage {
		t.Errorf("after a protected record: %v", err)
	}
	_, opener = pair(t, suite.AES128GCM)
	opener.PlainRefusals()
	s := suite.ByID(suite.AES128GCM)
	opener.Continue(s.NewKeys(make([]byte, s.KeyLen), make([]byte, suite.NonceLen)), 1)
	if _, _, err := opener.Open(refusal()); alert.Of(err) != alert.UnexpectedMessage {
		t.Errorf("after protected records of others: %v", err)
	}
}

// TestNoPlaintextLeft seals into buffers of every size: one that was too small and
// is left behind holds no plaintext.
func TestNoPlaintextLeft(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte("a secret"), 25)
	sealer, _ := pair(t, suite.AES128GCM)
	sealer.SetLimit(128)
	for size := range sealer.SealedLen(len(secret)) + 2 {
		dst := make([]byte, 0, size)
		b, err := sealer.Seal(dst, ApplicationData, secret)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(dst[:size], secret[:8]) || bytes.Contains(b[:cap(b)], secret[:8]) {
			t.Fatalf("a buffer of %d was left with plaintext", size)
		}
	}
}

// TestDirtyBuffer seals into a buffer that holds other bytes: padding is zero all
// the same, and what stood in dst before is left alone.
func TestDirtyBuffer(t *testing.T) {
	t.Parallel()
	sealer, opener := pair(t, suite.AES128GCM)
	sealer.SetPadding(func(int) int { return 100 })
	dirty := bytes.Repeat([]byte{0xee}, sealer.SealedLen(50))
	b, err := sealer.Seal(dirty[:7], ApplicationData, []byte("content"))
	if err != nil || &b[0] != &dirty[0] || !bytes.Equal(b[:7], bytes.Repeat([]byte{0xee}, 7)) {
		t.Fatal(err)
	}
	if _, content, err := opener.Open(b[7:]); err != nil || string(content) != "content" {
		t.Fatalf("%q, %v", content, err)
	}
}

// TestVersions is legacy_record_version: 0x0301 for an initial ClientHello, 0x0303
// for all else, a second ClientHello among it (RFC 9846, Section 5.1). A dummy
// change_cipher_spec is in the clear whenever it is sent, and uses no nonce.
func TestVersions(t *testing.T) {
	t.Parallel()
	client, server := NewSealer(), NewSealer()
	for i, test := range []struct {
		sealer  *Sealer
		t       ContentType
		content byte
		minor   byte
	}{
		{client, Handshake, 1, 1},
		{client, ChangeCipherSpec, 1, 3},
		{client, Handshake, 1, 3}, // after a HelloRetryRequest
		{server, Handshake, 2, 3},
		{server, Handshake, 1, 3},
	} {
		b, err := test.sealer.Seal(nil, test.t, []byte{test.content})
		if err != nil || !bytes.Equal(b, []byte{byte(test.t), 3, test.minor, 0, 1, test.content}) {
			t.Errorf("record %d: %x, %v", i, b, err)
		}
	}
	sealer, opener := pair(t, suite.AES128GCM)
	b, err := sealer.Seal(nil, ChangeCipherSpec, []byte{1})
	if err != nil || !bytes.Equal(b, []byte{20, 3, 3, 0, 1, 1}) || sealer.Records() != 0 {
		t.Errorf("%x, %v", b, err)
	}
	if typ, content, err := opener.Open(b); typ != ChangeCipherSpec || !bytes.Equal(content, []byte{1}) || err != nil || opener.Records() != 0 {
		t.Error(typ, content, err)
	}
}

// TestNothingLeft shows that the keys, and the nonce, which tells the IV, are gone when
// others take their place, and at the end.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Sealer, *Opener){
		"SetKeys": func(s *Sealer, o *Opener) {
			s.SetKeys(suite.ByID(suite.AES128GCM).NewKeys(make([]byte, 16), make([]byte, 12)))
			o.SetKeys(nil)
		},
		"Wipe": func(s *Sealer, o *Opener) { s.Wipe(); o.Wipe(); s.Wipe(); o.Wipe() },
	} {
		sealer, opener := pair(t, suite.ChaCha20Poly1305)
		b, err := sealer.Seal(nil, ApplicationData, nil)
		if err != nil {
			t.Fatal(err)
		}
		openAll(t, opener, b)
		zero := [suite.NonceLen]byte{}
		sending, receiving := sealer.keys, opener.keys
		if sealer.nonce == zero || opener.nonce == zero {
			t.Fatal("no nonce was made")
		}
		end(sealer, opener)
		if sealer.nonce != zero || opener.nonce != zero {
			t.Errorf("%s: a nonce is left", name)
		}
		for _, keys := range []*suite.Keys{sending, receiving} {
			if keys.AEAD != nil || keys.IV != zero {
				t.Errorf("%s: keys are left", name)
			}
		}
	}
}

// FuzzInner opens records whose inside is anything, and holds the outcome against
// RFC 9846, Section 5.4, and RFC 8449, Section 4, said another way.
func FuzzInner(f *testing.F) {
	for _, inner := range [][]byte{nil, {0}, {23}, {22}, {21, 0, 0}, {1, 22, 0}, {1, 20}, {1, 0xff}, append(make([]byte, MaxPlaintext), 23), append(make([]byte, MaxPlaintext+1), 23)} {
		f.Add(inner, uint16(MaxPlaintext+1))
		f.Add(inner, uint16(64))
		f.Add(inner, uint16(0))
		f.Add(inner, uint16(65535))
	}
	f.Fuzz(func(t *testing.T, inner []byte, limit uint16) {
		if len(inner)+tagLen > MaxCiphertext {
			return
		}
		sealer, opener := pair(t, suite.AES128GCM)
		opener.SetLimit(int(limit))
		typ, content, err := opener.Open(protect(sealer, inner))
		stripped := bytes.TrimRight(inner, "\x00")
		var want alert.Code
		switch {
		case len(inner) > min(max(int(limit), 64), MaxPlaintext+1):
			want = alert.RecordOverflow
		case len(stripped) == 0 || !bytes.Contains([]byte{21, 22, 23}, stripped[len(stripped)-1:]),
			len(stripped) == 1 && stripped[0] != 23:
			want = alert.UnexpectedMessage
		}
		switch {
		case want != 0:
			if err == nil || alert.Of(err) != want || opener.Records() != 0 {
				t.Fatalf("%v, want %v", err, want)
			}
		case err != nil || opener.Records() != 1 || !bytes.Equal(append(content[:len(content):len(content)], byte(typ)), stripped):
			t.Fatalf("type %d, %d bytes, %v", typ, len(content), err)
		}
	})
}
