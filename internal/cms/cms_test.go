// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package cms

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBER reads elements in the forms of X.690, Section 8, and gets them in DER.
func TestBER(t *testing.T) {
	t.Parallel()
	for name, v := range map[string][2]string{
		"DER":                {"30 03 02 01 05", "30 03 02 01 05"},
		"long length":        {"30 81 03 02 01 05", "30 03 02 01 05"},
		"longer length":      {"30 84 00000006 02 83 000001 05", "30 03 02 01 05"},
		"indefinite":         {"30 80 02 01 05 00 00", "30 03 02 01 05"},
		"nested indefinite":  {"30 80 30 80 02 01 05 00 00 31 80 00 00 00 00", "30 07 30 03 02 01 05 31 00"},
		"string in pieces":   {"24 80 04 01 61 04 02 62 63 00 00", "04 03 61 62 63"},
		"definite pieces":    {"24 07 04 01 61 04 02 62 63", "04 03 61 62 63"},
		"pieces of pieces":   {"24 80 24 80 04 01 61 00 00 24 04 04 02 62 63 00 00", "04 03 61 62 63"},
		"string within":      {"30 80 24 80 04 01 61 04 00 00 00 00 00", "30 03 04 01 61"},
		"definite in indef.": {"30 80 30 03 02 01 05 00 00", "30 05 30 03 02 01 05"},
		"indef. in definite": {"30 09 30 80 02 03 01 02 03 00 00", "30 07 30 05 02 03 01 02 03"},
		"context":            {"a0 80 80 02 01 02 00 00", "a0 04 80 02 01 02"},
	} {
		in := unhex(t, v[0])
		d := NewDecoder(bytes.NewReader(in))
		got := d.Element(d.Peek())
		d.End()
		if d.Err() != nil && strings.HasPrefix(v[0], "24") {
			// A string in pieces has another tag at first.
			t.Errorf("%s: %v", name, d.Err())
			continue
		}
		if !bytes.Equal(got, unhex(t, v[1])) || d.Err() != nil || d.Offset() != int64(len(in)) {
			t.Errorf("%s: %x, %v", name, got, d.Err())
		}
		for n := range in {
			d := NewDecoder(bytes.NewReader(in[:n]))
			d.Element(in[0])
			d.End()
			if d.Err() == nil {
				t.Errorf("%s: its first %d bytes are read", name, n)
			}
		}
	}
}

func TestBERRefused(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct {
		in  string
		err error
	}{
		"nothing":              {"", ErrTruncated},
		"no length":            {"30", ErrTruncated},
		"no value":             {"30 03", ErrTruncated},
		"primitive indefinite": {"04 80 00 00", ErrSyntax},
		"no end of contents":   {"30 80 02 01 05", ErrTruncated},
		"child too long":       {"30 03 02 02 05 05", ErrSyntax},
		"child ends too late":  {"30 04 30 80 02 01 05 00 00", ErrSyntax},
		"long tag":             {"3f 81 01 00", ErrSyntax},
		"length of 9 bytes":    {"30 89 000000000000000001 00", ErrSyntax},
		"reserved length":      {"30 ff", ErrSyntax},
		"huge":                 {"30 88 7fffffffffffffff", ErrSyntax},
		"negative":             {"30 88 ffffffffffffffff", ErrSyntax},
		"large":                {"04 84 7fffffff", ErrTooLarge},
		"piece of wrong kind":  {"24 03 02 01 05", ErrSyntax},
		"deep":                 {strings.Repeat("30 80", 100), ErrSyntax},
		"something behind":     {"30 00 00", ErrSyntax},
	} {
		d := NewDecoder(bytes.NewReader(unhex(t, v.in)))
		d.Element(d.Peek())
		d.End()
		if !errors.Is(d.Err(), v.err) {
			t.Errorf("%s: %v, want %v", name, d.Err(), v.err)
		}
	}
}

// TestContent reads strings, whole and in pieces, from the stream and again.
func TestContent(t *testing.T) {
	t.Parallel()
	for name, v := range map[string][2]string{
		"whole":      {"80 03 616263", "abc"},
		"empty":      {"80 00", ""},
		"pieces":     {"a0 80 04 01 61 04 02 6263 00 00", "abc"},
		"definite":   {"a0 07 04 01 61 04 02 6263", "abc"},
		"nested":     {"a0 80 24 80 04 01 61 00 00 24 80 00 00 24 04 04 02 6263 00 00", "abc"},
		"no pieces":  {"a0 80 00 00", ""},
		"empty ones": {"a0 80 04 00 04 01 61 04 00 00 00", "a"},
	} {
		in := slices.Concat(unhex(t, "30 80"), unhex(t, v[0]), unhex(t, "02 01 05 00 00"))
		d := NewDecoder(bytes.NewReader(in))
		d.Enter(tagSequence)
		c := d.Content(primitive(0))
		got, err := io.ReadAll(c.Pass(d))
		if err != nil || string(got) != v[1] {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if next := d.Element(tagInteger); !bytes.Equal(next, []byte{2, 1, 5}) {
			t.Errorf("%s: %x follows", name, next)
		}
		d.Leave()
		d.End()
		if d.Err() != nil {
			t.Errorf("%s: %v", name, d.Err())
		}
		if got, err := io.ReadAll(c.Reader(bytes.NewReader(in[c.Offset:]))); err != nil || string(got) != v[1] {
			t.Errorf("%s, again: %q, %v", name, got, err)
		}
	}
	for _, bad := range []string{"81 00", "04 00", "a0 80 80 01 61 00 00", "a0 80 04 05 61", "80 05 61", strings.Repeat("a0 80", 1) + strings.Repeat("24 80", 9)} {
		d := NewDecoder(bytes.NewReader(unhex(t, bad)))
		c := d.Content(primitive(0))
		if got, err := io.ReadAll(c.Pass(d)); err == nil {
			t.Errorf("%s: %q", bad, got)
		}
	}
}

// TestKeyAgreementSyntax is the KeyAgreeRecipientInfo of a message of OpenSSL's.
func TestKeyAgreementSyntax(t *testing.T) {
	t.Parallel()
	id := Recipient{Issuer: unhex(t, "300c310a300806035504030c0170"), Serial: unhex(t, "687ffe81ede4005959a0524219de8b22c3b90eb3")}
	a := KeyAgreement{
		Originator: Algorithm{ID: OIDECPublicKey}, PublicKey: bytes.Repeat([]byte{4}, 65),
		Agreement: OIDStdDHSHA1KDF, Wrap: Algorithm{ID: OIDAES256Wrap},
		Keys: []EncryptedKey{{Recipient: id, Wrapped: unhex(t, "6b782e23445b33fa3a39d883bd3402f09c628d5ebe666bcb2313d4883b51a8475e535083471b9d80")}},
	}
	want := "a181c4020103" + "a051" + "a14f" + "300906072a8648ce3d0201" + "034200" + strings.Repeat("04", 65) +
		"301806092b8105108648" + "3f0002" + "300b060960864801650304012d" +
		"30523050" + "3024" + "300c310a300806035504030c0170" + "0214687ffe81ede4005959a0524219de8b22c3b90eb3" +
		"04286b782e23445b33fa3a39d883bd3402f09c628d5ebe666bcb2313d4883b51a8475e535083471b9d80"
	got := a.marshal()
	if hex.EncodeToString(got) != want {
		t.Errorf("%x", got)
	}
	back, ok := parseKeyAgreement(newString(got))
	if !ok || back == nil || !back.Keys[0].Equal(id) || !bytes.Equal(back.PublicKey, a.PublicKey) || back.UKM != nil {
		t.Errorf("%v, %v", back, ok)
	}
}

// TestAlgorithmIdentifiers are the identifiers that RFC 8418, Section 2, RFC 8103 and
// RFC 5084 spell out in their ASN.1.
func TestAlgorithmIdentifiers(t *testing.T) {
	t.Parallel()
	for want, got := range map[string][]byte{
		"300506032b656e": Algorithm{ID: OIDX25519}.Marshal(),
		"301a060b2a864886f70d0109100313" + "300b060960864801650304012d":                      Algorithm{ID: OIDStdDHHKDFSHA256, Parameters: Algorithm{ID: OIDAES256Wrap}.Marshal()}.Marshal(),
		"301b060b2a864886f70d0109100312" + "040c" + strings.Repeat("00", 12):                 Algorithm{ID: OIDChaCha20Poly1305, Parameters: Octets(make([]byte, 12))}.Marshal(),
		"301e060960864801650304012e" + "3011" + "040c" + strings.Repeat("00", 12) + "020110": Algorithm{ID: OIDAES256GCM, Parameters: GCMParameters(make([]byte, 12), 16)}.Marshal(),
	} {
		if hex.EncodeToString(got) != want {
			t.Errorf("%x, want %s", got, want)
		}
	}
	if got := hex.EncodeToString(SharedInfo(Algorithm{ID: OIDAES256Wrap}, []byte("ukm"), 32)); got !=
		"301c"+"300b060960864801650304012d"+"a0050403756b6d"+"a206040400000100" {
		t.Errorf("shared info %s", got)
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	content := []byte("the content")
	e := &Envelope{
		Recipients: []KeyAgreement{{
			Originator: Algorithm{ID: OIDX25519}, PublicKey: make([]byte, 32), UKM: []byte("ukm"),
			Agreement: OIDStdDHHKDFSHA256, Wrap: Algorithm{ID: OIDAES256Wrap},
			Keys: []EncryptedKey{{Recipient{KeyID: []byte("id")}, make([]byte, 40)}},
		}},
		ContentType: OIDSignedData, Cipher: Algorithm{ID: OIDChaCha20Poly1305, Parameters: Octets(make([]byte, 12))},
		AuthAttrs: Attributes{ContentType: OIDSignedData}.Marshal(), MAC: make([]byte, 16),
	}
	id := Recipient{Issuer: []byte{0x30, 0}, Serial: []byte{1}}
	named := []SigningCertificate{
		{Certificates: []CertificateHash{{OIDSHA1, make([]byte, 20), id}}},
		{V2: true, Certificates: []CertificateHash{{OIDSHA256, make([]byte, 32), id}, {OIDSHA384, make([]byte, 48), Recipient{}}}},
	}
	s := &Signed{
		Digests: []Algorithm{{ID: OIDSHA512}}, Certificates: [][]byte{{0x30, 0}},
		Signers: []Signer{{
			Recipient: Recipient{Issuer: []byte{0x30, 0}, Serial: []byte{1}}, Digest: Algorithm{ID: OIDSHA512},
			Attrs: Attributes{
				ContentType: OIDData, MessageDigest: make([]byte, 64), SigningTime: time.Unix(1e9, 0), SigningCertificates: named,
			}.Marshal(),
			Scheme: Algorithm{ID: OIDEd25519}, Signature: make([]byte, 64),
		}},
	}
	for _, length := range []int64{int64(len(content)), Indefinite} {
		body := content
		if length == Indefinite {
			body = slices.Concat(PieceHeader(4), content[:4], PieceHeader(len(content)-4), content[4:])
		}
		join := func(f Frame) *Decoder { return NewDecoder(bytes.NewReader(slices.Concat(f.Head, body, f.Tail))) }

		d := join(e.Frame(length))
		got, c, err := ReadEnvelope(d)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c.Pass(d)); err != nil || !bytes.Equal(b, content) {
			t.Errorf("%q, %v", b, err)
		}
		if err := got.ReadTail(d); err != nil || !bytes.Equal(got.AuthAttrs, e.AuthAttrs) || !bytes.Equal(got.MAC, e.MAC) ||
			len(got.Recipients) != 1 || string(got.Recipients[0].UKM) != "ukm" || string(got.Recipients[0].Keys[0].KeyID) != "id" {
			t.Errorf("%+v, %v", got, err)
		}
		for _, bare := range []bool{false, true} {
			frame := s.Frame(length)
			if bare {
				frame = inner(frame, length)
			}
			d := join(frame)
			got, c, err := ReadSigned(d, bare)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(c.Pass(d)); err != nil || !bytes.Equal(b, content) {
				t.Errorf("%q, %v", b, err)
			}
			if err := got.ReadTail(d, bare); err != nil || fmt.Sprint(got.Certificates, got.Signers[0].Attrs) != fmt.Sprint(s.Certificates, s.Signers[0].Attrs) {
				t.Errorf("%+v, %v", got, err)
			}
			attrs, ok := ParseAttributes(got.Signers[0].Attrs)
			if !ok || !attrs.ContentType.Equal(OIDData) || len(attrs.MessageDigest) != 64 || attrs.SigningTime.Unix() != 1e9 ||
				!reflect.DeepEqual(attrs.SigningCertificates, named) {
				t.Errorf("%+v", attrs)
			}
		}
	}
}

// inner is the frame of a SignedData without its ContentInfo.
func inner(f Frame, length int64) Frame {
	id := marshalOID(OIDSignedData)
	head := f.Head[bytes.Index(f.Head, id)+len(id):]
	if length == Indefinite {
		return Frame{head[2:], f.Tail[:len(f.Tail)-4]}
	}
	skip := 2
	if head[1] > 0x80 {
		skip += int(head[1] & 0x7f)
	}
	return Frame{head[skip:], f.Tail}
}

func TestAttributesRefused(t *testing.T) {
	t.Parallel()
	one := Attributes{ContentType: OIDData}.Marshal()
	inner := one[2:]
	two := wrap(tagSet, inner, inner)
	values := wrap(tagSet, wrap(tagSequence, marshalOID(OIDContentType), wrap(tagSet, marshalOID(OIDData), marshalOID(OIDData))))
	none := wrap(tagSet, wrap(tagSequence, marshalOID(OIDContentType), wrap(tagSet)))
	for name, b := range map[string][]byte{"twice": two, "two values": values, "no value": none, "more": append(one, 0), "other": {0x30, 0}, "empty": nil} {
		if _, ok := ParseAttributes(b); ok {
			t.Errorf("%s: parsed", name)
		}
	}
	if _, ok := ParseAttributes(wrap(tagSet, wrap(tagSequence, marshalOID(asn1.ObjectIdentifier{1, 2, 3}), wrap(tagSet, []byte{5, 0})))); !ok {
		t.Error("an unknown attribute is refused")
	}
}

// FuzzRead reads anything, of any kind.
func FuzzRead(f *testing.F) {
	e := &Envelope{ContentType: OIDData, Cipher: Algorithm{ID: OIDAES256GCM, Parameters: GCMParameters(make([]byte, 12), 16)}, MAC: make([]byte, 16)}
	for _, length := range []int64{0, Indefinite} {
		frame := e.Frame(length)
		f.Add(slices.Concat(frame.Head, frame.Tail))
		frame = (&Signed{Digests: []Algorithm{{ID: OIDSHA256}}}).Frame(length)
		f.Add(slices.Concat(frame.Head, frame.Tail))
		frame = inner(frame, length)
		f.Add(slices.Concat(frame.Head, frame.Tail))
	}
	named := SigningCertificate{V2: true, Certificates: []CertificateHash{{OIDSHA384, make([]byte, 48), Recipient{Issuer: []byte{0x30, 0}, Serial: []byte{1}}}}}
	frame := (&Signed{Signers: []Signer{{
		Recipient: Recipient{KeyID: []byte{1}}, Digest: Algorithm{ID: OIDSHA256}, Scheme: Algorithm{ID: OIDEd25519},
		Attrs: Attributes{SigningCertificates: []SigningCertificate{named}}.Marshal(),
	}}}).Frame(0)
	f.Add(slices.Concat(frame.Head, frame.Tail))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := NewDecoder(bytes.NewReader(b))
		if e, c, err := ReadEnvelope(d); err == nil {
			n, err := io.Copy(io.Discard, c.Pass(d))
			if err == nil && e.ReadTail(d) == nil && n+int64(len(e.MAC)) > int64(len(b)) {
				t.Errorf("%d bytes of content in %d", n, len(b))
			}
		}
		for _, bare := range []bool{false, true} {
			d := NewDecoder(bytes.NewReader(b))
			if s, c, err := ReadSigned(d, bare); err == nil {
				if _, err := io.Copy(io.Discard, c.Pass(d)); err == nil && s.ReadTail(d, bare) == nil {
					for _, signer := range s.Signers {
						ParseAttributes(signer.Attrs)
					}
				}
			}
		}
		d = NewDecoder(bytes.NewReader(b))
		if der := d.Element(d.Peek()); d.Err() == nil {
			again := NewDecoder(bytes.NewReader(der))
			if got := again.Element(again.Peek()); !bytes.Equal(got, der) {
				t.Errorf("DER %x of %x is read as %x", der, b, got)
			}
		}
	})
}
