// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/cms"
)

// inMemory is a source of b.
func inMemory(b []byte) source {
	return func() (io.Reader, error) { return bytes.NewReader(b), nil }
}

// verified verifies a SignedData, and returns what was signed.
func verified(b []byte) ([]byte, error) {
	_, src, err := verify(inMemory(b), false)
	if err != nil {
		return nil, readError(err)
	}
	r, err := src()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// signWith makes a SignedData of a key of each kind that signs.
func signWith(t testing.TB, text string, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := CertificateSigner(tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := newSigning(leaveOpen{&out}, signer, time.Unix(1e9, 0))
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestEverySignedBit has somebody who can seal change what another has signed, bit by
// bit, and length by length. Where it is content, signed attributes or signature, it is refused;
// elsewhere, at certificates that nobody has verified yet, say, the content is the same.
func TestEverySignedBit(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	nist, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const text = "what somebody has signed"
	for name, key := range map[string]crypto.Signer{"Ed25519": edwards, "ECDSA": nist, "RSA-PSS": rsaKey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed := signWith(t, text, key)
			if got, err := verified(signed); err != nil || string(got) != text {
				t.Fatalf("%q, %v", got, err)
			}
			parts := signedParts(t, signed)
			harmless := 0
			for i := range 8 * len(signed) {
				if (!parts[i/8] || underRace) && i%8 != i/8%8 {
					continue // one bit of each byte
				}
				changed := bytes.Clone(signed)
				changed[i/8] ^= 1 << (i % 8)
				got, err := verified(changed)
				switch {
				case err == nil && string(got) != text:
					t.Fatalf("bit %d: it opens as %q", i, got)
				case err == nil && parts[i/8]:
					t.Errorf("bit %d makes no difference", i)
				case err == nil:
					harmless++
				case len(got) > 0 || !isOurs(err):
					t.Errorf("bit %d: %q, %v", i, got, err)
				}
			}
			t.Logf("%d bits make no difference", harmless)
			for n := range signed {
				if got, err := verified(signed[:n]); err == nil || len(got) > 0 {
					t.Errorf("%d of %d bytes: %q, %v", n, len(signed), got, err)
				}
			}
			for _, more := range []string{"\x00", "\x00\x00", "x", string(signed)} {
				if got, err := verified(append(bytes.Clone(signed), more...)); err == nil || len(got) > 0 {
					t.Errorf("with %q behind: %q, %v", more[:1], got, err)
				}
			}
		})
	}
}

// FuzzVerify verifies anything. Nothing but what was signed comes of it.
func FuzzVerify(f *testing.F) {
	const text = "what somebody has signed"
	f.Add(signWith(f, text, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := verified(b)
		if err == nil && string(got) != text || err != nil && (len(got) > 0 || !isOurs(err)) {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// isOurs reports whether err is one that Open names.
func isOurs(err error) bool {
	for _, e := range []error{ErrNotAuthentic, ErrDamaged, ErrTruncated, ErrUnsupported, ErrTooLarge, ErrNotSigned} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// signedParts marks the bytes of a SignedData that its signature is about.
func signedParts(t *testing.T, signed []byte) []bool {
	t.Helper()
	d := cms.NewDecoder(bytes.NewReader(signed))
	s, c, err := cms.ReadSigned(d, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c.Pass(d)); err != nil {
		t.Fatal(err)
	}
	if err := s.ReadTail(d, false); err != nil {
		t.Fatal(err)
	}
	parts := make([]bool, len(signed))
	mark := func(from, n int) {
		if from < 0 || n == 0 {
			t.Fatal("a part is not found")
		}
		for i := range n {
			parts[from+i] = true
		}
	}
	mark(int(c.Offset), int(c.Len()))
	attrs := s.Signers[0].Attrs[1:] // its tag is another in the message
	mark(bytes.LastIndex(signed, attrs), len(attrs))
	mark(bytes.LastIndex(signed, s.Signers[0].Signature), len(s.Signers[0].Signature))
	return parts
}

// TestPKCS1v15Rules signs with RSASSA-PKCS1-v1_5, changes one thing, and names the error.
func TestPKCS1v15Rules(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := selfSigned(t, key, 1, x509.KeyUsageDigitalSignature)
	text := []byte("the content")
	digest := sha256.Sum256(text)
	attrs := cms.Attributes{ContentType: cms.OIDData, MessageDigest: digest[:], SigningTime: time.Unix(1e9, 0)}.Marshal()
	sign := func(hash crypto.Hash, text []byte) []byte {
		d := hash.New()
		d.Write(text)
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, hash, d.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	for name, v := range map[string]struct {
		change func(*cms.Signer)
		want   error
	}{
		"rsaEncryption":                    {func(*cms.Signer) {}, nil},
		"rsaEncryption without parameters": {func(s *cms.Signer) { s.Scheme.Parameters = nil }, nil},
		"sha256WithRSAEncryption":          {func(s *cms.Signer) { s.Scheme.ID = cms.OIDSHA256WithRSA }, nil},
		"the scheme of another hash":       {func(s *cms.Signer) { s.Scheme.ID = cms.OIDSHA384WithRSA }, ErrUnsupported},
		"parameters that are not NULL":     {func(s *cms.Signer) { s.Scheme.Parameters = []byte{4, 0} }, ErrUnsupported},
		"a changed signature":              {func(s *cms.Signer) { s.Signature[100] ^= 1 }, ErrNotAuthentic},
		"a signature with another hash":    {func(s *cms.Signer) { s.Signature = sign(crypto.SHA384, attrs) }, ErrNotAuthentic},
		"a signature of something else":    {func(s *cms.Signer) { s.Signature = sign(crypto.SHA256, text) }, ErrNotAuthentic},
		"a short signature":                {func(s *cms.Signer) { s.Signature = s.Signature[:255] }, ErrNotAuthentic},
		"a signature of RSASSA-PSS": {func(s *cms.Signer) {
			d := sha256.Sum256(attrs)
			if s.Signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, d[:], nil); err != nil {
				t.Fatal(err)
			}
		}, ErrNotAuthentic},
	} {
		signer := cms.Signer{
			Recipient: certificateID(cert), Digest: cms.Algorithm{ID: cms.OIDSHA256}, Attrs: attrs,
			Scheme:    cms.Algorithm{ID: cms.OIDRSAEncryption, Parameters: []byte{5, 0}},
			Signature: sign(crypto.SHA256, attrs),
		}
		v.change(&signer)
		s := &cms.Signed{Digests: []cms.Algorithm{{ID: cms.OIDSHA256}}, Certificates: [][]byte{cert.Raw}, Signers: []cms.Signer{signer}}
		f := s.Frame(int64(len(text)))
		got, err := verified(slices.Concat(f.Head, text, f.Tail))
		if !errors.Is(err, v.want) || v.want == nil && !bytes.Equal(got, text) || v.want != nil && len(got) > 0 {
			t.Errorf("%s: %q, %v; want %v", name, got, err, v.want)
		}
	}
}
