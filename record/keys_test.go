// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package record

import (
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/suite"
)

// TestSetKeysWipes changes keys, and sets some after the end: those that are replaced
// are wiped then, those that come too late at once, and those in use not at all.
func TestSetKeysWipes(t *testing.T) {
	t.Parallel()
	for _, id := range []suite.ID{suite.AES128GCM, suite.AES256GCM, suite.ChaCha20Poly1305} {
		fresh := func() *suite.Keys {
			s := suite.ByID(id)
			iv := make([]byte, suite.NonceLen)
			iv[0] = 1
			return s.NewKeys(make([]byte, s.KeyLen), iv)
		}
		wiped := func(k *suite.Keys) bool { return k.AEAD == nil && k.IV == [suite.NonceLen]byte{} }
		sealer, opener := NewSealer(), NewOpener()
		for name, half := range map[string]interface {
			SetKeys(*suite.Keys)
			Records() uint64
			Wipe()
		}{"Sealer": sealer, "Opener": opener} {
			first, second, late := fresh(), fresh(), fresh()
			half.SetKeys(first)
			if wiped(first) {
				t.Fatalf("%s: the first keys are wiped while they are in use", name)
			}
			half.SetKeys(second)
			if !wiped(first) || wiped(second) {
				t.Errorf("%s: after a change, the old keys are wiped: %t, the new: %t", name, wiped(first), wiped(second))
			}
			half.SetKeys(nil) // there are epochs without
			if !wiped(second) {
				t.Errorf("%s: keys that were replaced by none are left", name)
			}
			half.Wipe()
			half.SetKeys(late)
			if !wiped(late) {
				t.Errorf("%s: keys that came after the end are left", name)
			}
		}
	}
}

// TestSetKeysCountsFromZero is RFC 9846, Section 5.3: a change of keys sets the
// sequence number to zero.
func TestSetKeysCountsFromZero(t *testing.T) {
	t.Parallel()
	sealer, opener := pair(t, suite.AES128GCM)
	for range 3 {
		for n := range uint64(3) {
			if sealer.Records() != n || opener.Records() != n {
				t.Fatalf("sealed %d and opened %d, want %d", sealer.Records(), opener.Records(), n)
			}
			b, err := sealer.Seal(nil, ApplicationData, []byte{1})
			if err != nil {
				t.Fatal(err)
			}
			openAll(t, opener, b)
		}
		s := suite.ByID(suite.AES128GCM)
		sealer.SetKeys(s.NewKeys(make([]byte, s.KeyLen), make([]byte, suite.NonceLen)))
		opener.SetKeys(s.NewKeys(make([]byte, s.KeyLen), make([]byte, suite.NonceLen)))
	}
}

// TestParseHeaderBounds takes each field of a header to both sides of each of its
// bounds, and the header's own length.
func TestParseHeaderBounds(t *testing.T) {
	t.Parallel()
	header := func(first, major, minor byte, n int) []byte {
		return []byte{first, major, minor, byte(n >> 8), byte(n)}
	}
	const none = alert.Code(0xff) // no error
	for _, test := range []struct {
		what   string
		header []byte
		want   alert.Code
	}{
		{"no bytes", nil, alert.InternalError},
		{"four bytes", header(23, 3, 3, 1)[:4], alert.InternalError},
		{"five bytes", header(23, 3, 3, 1), none},
		{"more than a header", append(header(23, 3, 3, 1), 0), none},
		{"type 0", header(0, 3, 3, 1), alert.UnexpectedMessage},
		{"type 19", header(19, 3, 3, 1), alert.UnexpectedMessage},
		{"type 20", header(20, 3, 3, 1), none},
		{"type 23", header(23, 3, 3, 1), none},
		{"type 24", header(24, 3, 3, 1), alert.UnexpectedMessage},
		{"type 255", header(255, 3, 3, 1), alert.UnexpectedMessage},
		{"major 2", header(23, 2, 255, 1), alert.UnexpectedMessage},
		{"major 4", header(23, 4, 0, 1), alert.UnexpectedMessage},
		{"minor 0", header(23, 3, 0, 1), none},
		{"minor 255", header(23, 3, 255, 1), none},
		{"length 0", header(23, 3, 3, 0), none},
		{"length 2^14+256", header(23, 3, 3, 1<<14+256), none},
		{"length 2^14+257", header(23, 3, 3, 1<<14+257), alert.RecordOverflow},
		{"length 2^16-1", header(23, 3, 3, 1<<16-1), alert.RecordOverflow},
	} {
		typ, n, err := ParseHeader(test.header)
		switch {
		case test.want == none:
			h := test.header
			if err != nil || typ != ContentType(h[0]) || n != int(h[3])<<8|int(h[4]) {
				t.Errorf("%s: type %d, %d bytes, %v", test.what, typ, n, err)
			}
		case err == nil || alert.Of(err) != test.want || typ != 0 || n != 0:
			t.Errorf("%s: type %d, %d bytes, %v, want %v", test.what, typ, n, err, test.want)
		}
	}
}
