// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/message"
)

// isRefusal reports whether err is one of the package's, and not of something else.
func isRefusal(err error) bool {
	for _, e := range []error{
		message.ErrNotForKey, message.ErrNotAuthentic, message.ErrDamaged, message.ErrTruncated,
		message.ErrUnsupported, message.ErrTooLarge, message.ErrNotSigned,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// leak opens a message and returns what was read before an error.
func leak(sealed []byte, k *message.Key, o *message.OpenOptions) ([]byte, error) {
	m, err := message.Open(bytes.NewReader(sealed), k, o)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(m)
}

// TestEveryBit flips every bit of messages, or one in each byte of some. What comes of that is an error, or the
// same content; never another, and of content, tag and signature only an error.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	plain := []byte("the content of a message")
	for name, o := range forms(t) {
		if o.Cipher == message.AES128GCM {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealed := seal(t, plain, []*message.Recipient{to}, o)
			options := &message.OpenOptions{}
			if o.Signer != nil {
				options.Accept = anybody
			}
			// From the content on, nothing is forgiven; but in base64 and headers, where
			// a letter's case or a space may not matter.
			from := len(sealed)
			if !o.MIME {
				_, c, err := cms.ReadEnvelope(cms.NewDecoder(bytes.NewReader(sealed)))
				if err != nil {
					t.Fatal(err)
				}
				from = int(c.Offset)
			}
			harmless := 0
			every := !o.MIME && (o.Signer == nil || name == "Ed25519") && !testing.Short()
			for i := range 8 * len(sealed) {
				if !every && i%8 != i/8%8 {
					continue // one bit of each byte
				}
				changed := bytes.Clone(sealed)
				changed[i/8] ^= 1 << (i % 8)
				got, err := leak(changed, k, options)
				switch {
				case err == nil && !bytes.Equal(got, plain):
					t.Fatalf("bit %d: it opens as %q", i, got)
				case err == nil:
					if harmless++; i/8 >= from {
						t.Errorf("bit %d of %d, from %d: it makes no difference", i, 8*len(sealed), 8*from)
					}
				case len(got) > 0:
					t.Fatalf("bit %d: %q is given out, and then %v", i, got, err)
				case !isRefusal(err):
					t.Errorf("bit %d: %v", i, err)
				}
			}
			t.Logf("%d of %d bits make no difference", harmless, 8*len(sealed))
		})
	}
}

// TestEveryLength cuts messages at every byte, and extends them.
func TestEveryLength(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	for name, o := range forms(t) {
		if o.Cipher != message.AES256GCM {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := &message.OpenOptions{}
			if o.Signer != nil {
				options.Accept = anybody
			}
			sealed := seal(t, []byte("the content of a message"), []*message.Recipient{to}, o)
			padding := 0
			if o.MIME {
				padding = 2 // the last CRLF
			}
			for n := range len(sealed) - padding {
				got, err := leak(sealed[:n], k, options)
				if err == nil || len(got) > 0 {
					t.Fatalf("%d of %d bytes: %q, %v", n, len(sealed), got, err)
				}
				if !errors.Is(err, message.ErrTruncated) && !o.MIME {
					t.Errorf("%d of %d bytes: %v", n, len(sealed), err)
				}
			}
			for _, more := range []string{"\x01", "\x00\x01", "x", "=", "BBBB", string(sealed)} {
				if got, err := leak(append(bytes.Clone(sealed), more...), k, options); err == nil || len(got) > 0 {
					t.Errorf("with %q behind: %q, %v", more[:1], got, err)
				}
			}
		})
	}
}

// TestLongMessage changes a message of several parts here and there: nothing of it is
// given out, not of the parts before either.
func TestLongMessage(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	plain := pattern(1_000_000)
	for name, o := range forms(t) {
		if o.MIME {
			continue
		}
		sealed := seal(t, plain, []*message.Recipient{to}, o)
		for i := len(sealed) - 1; i > 1000; i -= 90_001 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1
			if got, err := leak(changed, k, nil); err == nil || len(got) > 0 {
				t.Errorf("%s, byte %d: %d bytes, %v", name, i, len(got), err)
			}
			if got, err := leak(sealed[:i], k, nil); !errors.Is(err, message.ErrTruncated) || len(got) > 0 {
				t.Errorf("%s, cut at %d: %d bytes, %v", name, i, len(got), err)
			}
		}
	}
}

// A swap is a file that becomes another after it was read once.
type swap struct {
	*bytes.Reader
	then  []byte
	seeks int
	at    int // which Seek
}

func (s *swap) Seek(offset int64, whence int) (int64, error) {
	if s.seeks++; s.seeks == s.at {
		s.Reader.Reset(s.then)
	}
	return s.Reader.Seek(offset, whence)
}

// TestChangedWhileRead changes a file between the readings.
func TestChangedWhileRead(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	plain := pattern(600_000)
	for name, o := range forms(t) {
		if o.Cipher == message.AES128GCM || o.Signer != nil && o.Cipher == message.AES256GCM && !o.MIME && name != "Ed25519" {
			continue
		}
		sealed := seal(t, plain, []*message.Recipient{to}, o)
		for _, i := range []int{len(sealed) - 100_000, len(sealed) / 4} {
			changed := bytes.Clone(sealed)
			changed[i] ^= 4
			for at := 3; at < 8; at++ { // the first looks where it is, the second begins to read
				for _, then := range [][]byte{changed, sealed[:i], nil} {
					s := &swap{Reader: bytes.NewReader(sealed), then: then, at: at}
					var options message.OpenOptions
					if o.Signer != nil {
						options.Accept = anybody
					}
					m, err := message.Open(s, k, &options)
					var got []byte
					if err == nil {
						got, err = io.ReadAll(m)
					}
					if s.seeks < at {
						continue
					}
					if !bytes.HasPrefix(plain, got) || err == nil || !isRefusal(err) {
						t.Fatalf("%s: changed at reading %d: %d bytes, %v", name, at, len(got), err)
					}
				}
				// And the other way round: what was read first is not authentic.
				s := &swap{Reader: bytes.NewReader(changed), then: sealed, at: at}
				m, err := message.Open(s, k, nil)
				if err == nil {
					if got, err := io.ReadAll(m); err == nil || len(got) > 0 {
						t.Fatalf("%s: mended at reading %d: %d bytes, %v", name, at, len(got), err)
					}
				}
			}
		}
	}
}
