// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/suite"
)

// pair returns a Sealer and an Opener that share keys.
func pair(t testing.TB, id suite.ID) (*Sealer, *Opener) {
	t.Helper()
	s := suite.ByID(id)
	key, iv := bytes.Repeat([]byte{7}, s.KeyLen), bytes.Repeat([]byte{9}, suite.NonceLen)
	sealer, opener := NewSealer(), NewOpener()
	sealer.SetKeys(s.NewKeys(key, iv))
	opener.SetKeys(s.NewKeys(key, iv))
	return sealer, opener
}

// split cuts a buffer into its records.
func split(t testing.TB, b []byte) [][]byte {
	t.Helper()
	var records [][]byte
	for len(b) > 0 {
		_, n, err := ParseHeader(b)
		if err != nil || len(b) < HeaderLen+n {
			t.Fatalf("not records: %v", err)
		}
		records = append(records, b[:HeaderLen+n])
		b = b[HeaderLen+n:]
	}
	return records
}

// TestRoundTrip seals contents of all kinds of length, under each suite, limit and
// padding, and opens them.
func TestRoundTrip(t *testing.T) {
	for _, id := range suite.All() {
		for _, limit := range []int{64, 1000, MaxPlaintext + 1} {
			for _, padding := range []Padding{nil, func(n int) int { return 255 - n%256 }, func(int) int { return 1 << 20 }, func(int) int { return -5 }} {
				sealer, opener := pair(t, id)
				sealer.SetLimit(limit)
				opener.SetLimit(limit)
				sealer.SetPadding(padding)
				for _, n := range []int{0, 1, 62, 63, 64, 999, 1000, MaxPlaintext - 1, MaxPlaintext, MaxPlaintext + 1, 40000} {
					content := bytes.Repeat([]byte{byte(n)}, n)
					made := sealer.Records()
					b, err := sealer.Seal(nil, ApplicationData, content)
					if err != nil {
						t.Fatal(err)
					}
					if got := len(split(t, b)); got != sealer.RecordsFor(n) || got != int(sealer.Records()-made) {
						t.Errorf("%d records of %d bytes: RecordsFor says %d, Records %d", got, n, sealer.RecordsFor(n), sealer.Records()-made)
					}
					if len(b) > sealer.SealedLen(n) {
						t.Errorf("%d bytes of %d: SealedLen says %d", len(b), n, sealer.SealedLen(n))
					}
					var got []byte
					for _, r := range split(t, b) {
						if len(r) > HeaderLen+limit+tagLen {
							t.Fatalf("a record of %d under a limit of %d", len(r), limit)
						}
						typ, c, err := opener.Open(r)
						if err != nil || typ != ApplicationData {
							t.Fatal(typ, err)
						}
						got = append(got, c...)
					}
					if !bytes.Equal(got, content) {
						t.Fatalf("%v, limit %d, %d bytes: not what was sealed", id, limit, n)
					}
				}
			}
		}
	}
}

// TestHardLimit drives a key to its end: Seal stops, the reserve is left, then
// nothing; no sequence number is used twice.
func TestHardLimit(t *testing.T) {
	for _, id := range suite.All() {
		sealer, _ := pair(t, id)
		limit := sealer.keys.Suite.Limit
		sealer.seq = limit - Reserve - 2
		seen := make(map[string]bool)
		sealed := 0
		for range 5 {
			b, err := sealer.Seal(nil, ApplicationData, []byte("x"))
			if err != nil {
				if !errors.Is(err, ErrLimit) || len(b) != 0 {
					t.Fatal(err)
				}
				continue
			}
			sealed++
			if seen[string(b)] {
				t.Fatal("a nonce twice")
			}
			seen[string(b)] = true
		}
		if sealed != 2 || sealer.Remaining() != 0 {
			t.Errorf("%v: sealed %d, %d remain", id, sealed, sealer.Remaining())
		}
		sealed = 0
		for range Reserve + 5 {
			b, err := sealer.SealReserved(nil, Alert, []byte{1, 0})
			if err != nil {
				continue
			}
			sealed++
			if seen[string(b)] {
				t.Fatal("a nonce twice")
			}
			seen[string(b)] = true
		}
		if sealed != Reserve || sealer.seq != limit {
			t.Errorf("%v: %d of the reserve, at %d", id, sealed, sealer.seq)
		}
		if _, err := sealer.Seal(nil, ApplicationData, make([]byte, 3*MaxPlaintext)); !errors.Is(err, ErrLimit) {
			t.Error(err)
		}
	}
}

// TestOpenerEnd has no record opened under a sequence number that would wrap.
func TestOpenerEnd(t *testing.T) {
	sealer, opener := pair(t, suite.ChaCha20Poly1305)
	sealer.seq, opener.seq = 1<<64-2, 1<<64-2
	b := sealer.seal(nil, ApplicationData, []byte("the last but one"))
	if _, _, err := opener.Open(b); err != nil {
		t.Fatal(err)
	}
	b = sealer.seal(nil, ApplicationData, []byte("the last"))
	if _, _, err := opener.Open(b); !errors.Is(err, ErrLimit) || opener.seq != 1<<64-1 {
		t.Fatal(err)
	}
}

// TestRefused opens what is not a proper record, each with its alert; the sequence
// number stays, and a good record still opens where it was not consumed.
func TestRefused(t *testing.T) {
	inner := func(plain []byte) func(*Sealer) []byte {
		return func(s *Sealer) []byte {
			header := appendHeader(nil, ApplicationData, legacyVersion, len(plain)+tagLen)
			var nonce [suite.NonceLen]byte
			s.keys.Nonce(&nonce, s.seq)
			return s.keys.AEAD.Seal(header, nonce[:], plain, header)
		}
	}
	for name, test := range map[string]struct {
		make  func(*Sealer) []byte
		alert alert.Code
	}{
		"nothing but padding":   {inner(make([]byte, 40)), alert.UnexpectedMessage},
		"an empty plaintext":    {inner(nil), alert.UnexpectedMessage},
		"inner change_cipher":   {inner([]byte{1, 20}), alert.UnexpectedMessage},
		"inner unknown":         {inner([]byte{1, 99}), alert.UnexpectedMessage},
		"an empty handshake":    {inner([]byte{22}), alert.UnexpectedMessage},
		"an empty alert":        {inner([]byte{21, 0, 0}), alert.UnexpectedMessage},
		"too much inside":       {inner(append(make([]byte, MaxPlaintext+1), 23)), alert.RecordOverflow},
		"too short for a tag":   {func(*Sealer) []byte { return []byte{23, 3, 3, 0, 3, 1, 2, 3} }, alert.BadRecordMAC},
		"empty":                 {func(*Sealer) []byte { return []byte{23, 3, 3, 0, 0} }, alert.BadRecordMAC},
		"in the clear":          {func(*Sealer) []byte { return []byte{22, 3, 3, 0, 1, 1} }, alert.UnexpectedMessage},
		"an alert in the clear": {func(*Sealer) []byte { return []byte{21, 3, 3, 0, 2, 1, 0} }, alert.UnexpectedMessage},
		"too long":              {func(*Sealer) []byte { return append([]byte{23, 3, 3, 0x41, 1}, make([]byte, 0x4101)...) }, alert.RecordOverflow},
		"another protocol":      {func(*Sealer) []byte { return []byte("GET / HTTP/1.1\r\n") }, alert.UnexpectedMessage},
		"SSL 2":                 {func(*Sealer) []byte { return []byte{0x80, 0x2e, 1, 0, 2} }, alert.UnexpectedMessage},
		"a flipped bit": {func(s *Sealer) []byte {
			b := s.seal(nil, ApplicationData, []byte("x"))
			s.seq--
			b[len(b)-1] ^= 1
			return b
		}, alert.BadRecordMAC},
		"a flipped header": {func(s *Sealer) []byte {
			b := s.seal(nil, ApplicationData, []byte("x"))
			s.seq--
			b[2] ^= 1 // legacy_record_version is authenticated
			return b
		}, alert.BadRecordMAC},
	} {
		sealer, opener := pair(t, suite.AES128GCM)
		_, _, err := opener.Open(test.make(sealer))
		if err == nil || alert.Of(err) != test.alert {
			t.Errorf("%s: %v, want %v", name, err, test.alert)
		}
		if test.alert == alert.BadRecordMAC {
			if opener.Records() != 0 {
				t.Errorf("%s: a sequence number was used up", name)
			}
			if _, c, err := opener.Open(sealer.seal(nil, ApplicationData, []byte("good"))); err != nil || string(c) != "good" {
				t.Errorf("%s: a good record after it: %v", name, err)
			}
		}
	}
}

// TestPlain is the record layer before there are keys.
func TestPlain(t *testing.T) {
	sealer, opener := NewSealer(), NewOpener()
	b, err := sealer.Seal(nil, Handshake, append([]byte{1}, make([]byte, MaxPlaintext+5)...))
	if err != nil || b[2] != 1 {
		t.Fatal(err, b[:5])
	}
	records := split(t, b)
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	for _, r := range records {
		if typ, _, err := opener.Open(r); err != nil || typ != Handshake {
			t.Error(typ, err)
		}
	}
	if b, _ = sealer.Seal(nil, Handshake, []byte{2}); b[2] != 3 {
		t.Error("the version of a later record")
	}
	for _, test := range []struct {
		record []byte
		alert  alert.Code
	}{
		{[]byte{22, 3, 1, 0, 0}, alert.UnexpectedMessage},
		{[]byte{21, 3, 1, 0, 0}, alert.UnexpectedMessage},
		{append([]byte{22, 3, 1, 0x40, 1}, make([]byte, 0x4001)...), alert.RecordOverflow},
	} {
		if _, _, err := opener.Open(test.record); err == nil || alert.Of(err) != test.alert {
			t.Errorf("%v: %v", test.record[:5], err)
		}
	}
	if typ, c, err := opener.Open([]byte{20, 3, 3, 0, 1, 1}); err != nil || typ != ChangeCipherSpec || !bytes.Equal(c, []byte{1}) {
		t.Error(typ, c, err)
	}
	for _, part := range [][]byte{nil, {22, 3, 3, 0}, {22, 3, 3, 0, 9, 1}, {22, 3, 3, 0, 1, 1, 1}} { // the caller's mistakes
		if _, _, err := opener.Open(part); err == nil || alert.Of(err) != alert.InternalError {
			t.Errorf("%v: %v", part, err)
		}
	}
}

// TestWiped shows that nothing works after Wipe, and that keys are wiped when they
// are replaced.
func TestWiped(t *testing.T) {
	sealer, opener := pair(t, suite.AES256GCM)
	sending, receiving := sealer.keys, opener.keys
	keys := suite.ByID(suite.AES128GCM).NewKeys(make([]byte, 16), make([]byte, 12))
	sealer.SetKeys(keys)
	opener.SetKeys(suite.ByID(suite.AES128GCM).NewKeys(make([]byte, 16), make([]byte, 12)))
	if sending.AEAD != nil || receiving.AEAD != nil || sealer.Records() != 0 || opener.Records() != 0 {
		t.Error("the keys before are left")
	}
	sealer.Wipe()
	opener.Wipe()
	sealer.Wipe()
	if keys.AEAD != nil {
		t.Error("keys are left")
	}
	if _, err := sealer.Seal(nil, ApplicationData, nil); err == nil {
		t.Error("sealed after Wipe")
	}
	if _, err := sealer.SealReserved(nil, Alert, []byte{1, 0}); err == nil {
		t.Error("sealed after Wipe")
	}
	for _, record := range [][]byte{{23, 3, 3, 0, 0}, {22, 3, 3, 0, 1, 1}, {20, 3, 3, 0, 1, 1}} {
		if _, _, err := opener.Open(record); !errors.Is(err, errGone) || alert.Of(err) != alert.InternalError {
			t.Errorf("a record of type %d after Wipe: %v", record[0], err)
		}
	}
	late := suite.ByID(suite.AES128GCM).NewKeys(make([]byte, 16), make([]byte, 12))
	sealer.SetKeys(late)
	if late.AEAD != nil {
		t.Error("keys that came after Wipe are left")
	}
	late = suite.ByID(suite.AES128GCM).NewKeys(make([]byte, 16), make([]byte, 12))
	opener.SetKeys(late)
	if late.AEAD != nil || opener.Protected() {
		t.Error("keys that came after Wipe are left")
	}
}

// TestNoAllocation seals and opens without garbage.
func TestNoAllocation(t *testing.T) {
	for _, id := range suite.All() {
		sealer, opener := pair(t, id)
		content := make([]byte, 3*MaxPlaintext)
		buf := make([]byte, 0, sealer.SealedLen(len(content)))
		n := testing.AllocsPerRun(50, func() {
			b, err := sealer.Seal(buf, ApplicationData, content)
			if err != nil {
				t.Fatal(err)
			}
			for len(b) > 0 {
				_, n, _ := ParseHeader(b)
				if _, _, err := opener.Open(b[:HeaderLen+n]); err != nil {
					t.Fatal(err)
				}
				b = b[HeaderLen+n:]
			}
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", id, n)
		}
	}
}

func FuzzOpen(f *testing.F) {
	sealer, _ := pair(f, suite.AES128GCM)
	b, _ := sealer.Seal(nil, Handshake, []byte("seed"))
	f.Add(b, true)
	f.Add([]byte{22, 3, 1, 0, 1, 1}, false)
	f.Fuzz(func(t *testing.T, b []byte, keys bool) {
		_, opener := pair(t, suite.AES128GCM)
		if !keys {
			opener = NewOpener()
		}
		if len(b) < HeaderLen {
			return
		}
		typ, content, err := opener.Open(b)
		switch {
		case err != nil:
			if content != nil || typ != 0 || opener.Records() != 0 {
				t.Fatalf("type %d, %d bytes, %d records, and %v", typ, len(content), opener.Records(), err)
			}
		case typ == ChangeCipherSpec: // for the caller to judge
		case len(content) > MaxPlaintext || typ < ChangeCipherSpec || typ > ApplicationData:
			t.Fatalf("type %d, %d bytes", typ, len(content))
		case len(content) == 0 && typ != ApplicationData, keys == (opener.Records() == 0):
			t.Fatalf("type %d, %d bytes, %d records", typ, len(content), opener.Records())
		}
	})
}

// BenchmarkSeal and BenchmarkAEAD say what the record layer adds to the cipher.
func BenchmarkSeal(b *testing.B) {
	for _, id := range suite.All() {
		b.Run(id.String(), func(b *testing.B) {
			sealer, _ := pair(b, id)
			content := make([]byte, MaxPlaintext)
			buf := make([]byte, 0, sealer.SealedLen(len(content)))
			b.SetBytes(MaxPlaintext)
			for b.Loop() {
				sealer.seq = 0
				_, _ = sealer.Seal(buf, ApplicationData, content)
			}
		})
	}
}

func BenchmarkAEAD(b *testing.B) {
	for _, id := range suite.All() {
		b.Run(id.String(), func(b *testing.B) {
			sealer, _ := pair(b, id)
			content := make([]byte, MaxPlaintext)
			buf := make([]byte, 0, len(content)+tagLen)
			nonce, header := make([]byte, suite.NonceLen), make([]byte, HeaderLen)
			b.SetBytes(MaxPlaintext)
			for b.Loop() {
				sealer.keys.AEAD.Seal(buf, nonce, content, header)
			}
		})
	}
}

// BenchmarkOpen and BenchmarkAEADOpen are the same for opening. Opening in place
// destroys a record: both pay for a copy of it.
func BenchmarkOpen(b *testing.B) {
	for _, id := range suite.All() {
		b.Run(id.String(), func(b *testing.B) {
			sealer, opener := pair(b, id)
			record, err := sealer.Seal(nil, ApplicationData, make([]byte, MaxPlaintext))
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, len(record))
			b.SetBytes(MaxPlaintext)
			for b.Loop() {
				copy(buf, record)
				opener.seq = 0
				if _, _, err := opener.Open(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAEADOpen(b *testing.B) {
	for _, id := range suite.All() {
		b.Run(id.String(), func(b *testing.B) {
			sealer, opener := pair(b, id)
			nonce, header := make([]byte, suite.NonceLen), make([]byte, HeaderLen)
			record := sealer.keys.AEAD.Seal(nil, nonce, make([]byte, MaxPlaintext), header)
			buf := make([]byte, len(record))
			b.SetBytes(MaxPlaintext)
			for b.Loop() {
				copy(buf, record)
				if _, err := opener.keys.AEAD.Open(buf[:0], nonce, buf, header); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkShare says what share of the cipher's own speed the record layer reaches: both
// take turns on records of 16 KiB, sealed from one buffer into another and opened in
// place, and the medians count.
func BenchmarkShare(b *testing.B) {
	for _, id := range suite.All() {
		sealer, opener := pair(b, id)
		content, buf := make([]byte, MaxPlaintext+1), make([]byte, 0, MaxCiphertext+HeaderLen)
		nonce, header := make([]byte, suite.NonceLen), []byte{23, 3, 3, 0x40, 0x11}
		share := func(name string, cipher, layer func()) {
			b.Run(id.String()+"/"+name, func(b *testing.B) {
				var alone, within []time.Duration
				for b.Loop() {
					t := time.Now()
					cipher()
					alone = append(alone, time.Since(t))
					t = time.Now()
					layer()
					within = append(within, time.Since(t))
				}
				slices.Sort(alone)
				slices.Sort(within)
				b.ReportMetric(100*float64(alone[len(alone)/2])/float64(within[len(within)/2]), "%cipher")
			})
		}
		share("seal", func() {
			sealer.keys.AEAD.Seal(buf, nonce, content, header)
		}, func() {
			_, _ = sealer.Seal(buf, ApplicationData, content[:MaxPlaintext])
		})
		sealer.seq = 0
		record, err := sealer.Seal(nil, ApplicationData, content[:MaxPlaintext])
		if err != nil {
			b.Fatal(err)
		}
		work := make([]byte, len(record))
		share("open", func() {
			copy(work, record)
			opener.keys.Nonce(&opener.nonce, 0)
			if _, err := opener.keys.AEAD.Open(work[HeaderLen:HeaderLen], opener.nonce[:], work[HeaderLen:], work[:HeaderLen]); err != nil {
				b.Fatal(err)
			}
		}, func() {
			copy(work, record)
			opener.seq = 0
			if _, _, err := opener.Open(work); err != nil {
				b.Fatal(err)
			}
		})
	}
}
