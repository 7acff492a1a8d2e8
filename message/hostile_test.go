// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/cms"
)

// endless repeats a text for ever.
type endless struct {
	text string
	at   int
	read int64
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[e.at]
		e.at = (e.at + 1) % len(e.text)
	}
	e.read += int64(len(p))
	return len(p), nil
}

// longHead is how a message begins that a key opens, up to the pieces of its content.
func longHead(t *testing.T, to *Recipient) []byte {
	t.Helper()
	sealed := sealText(t, strings.Repeat("x", 300_000), nil, to)
	head, _, ok := bytes.Cut(sealed, pieceHeader)
	if !ok {
		t.Fatal("a long message has no pieces")
	}
	return head
}

// crowd is the head of a message for n recipients, who are all the one or the others.
func crowd(t *testing.T, n int, to, others cms.Recipient) []byte {
	t.Helper()
	public, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := public.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	a := cms.KeyAgreement{
		Originator: cms.Algorithm{ID: cms.OIDX25519}, PublicKey: point[1:33],
		Agreement: cms.OIDStdDHHKDFSHA256, Wrap: cms.Algorithm{ID: cms.OIDAES256Wrap},
	}
	for i := range n {
		a.Keys = append(a.Keys, cms.EncryptedKey{Recipient: []cms.Recipient{to, others}[i%2], Wrapped: make([]byte, 40)})
	}
	e := cms.Envelope{
		Recipients: []cms.KeyAgreement{a}, ContentType: cms.OIDData, MAC: make([]byte, 16),
		Cipher: cms.Algorithm{ID: cms.OIDAES256GCM, Parameters: cms.GCMParameters(make([]byte, 12), 16)},
	}
	f := e.Frame(0)
	return slices.Concat(f.Head, f.Tail)
}

// TestHostile opens what a stranger has made to cost memory, time or a crash.
func TestHostile(t *testing.T) {
	k, to := testKey(t)
	ours, theirs := to.id, cms.Recipient{KeyID: []byte("another")}
	head := longHead(t, to)
	repeat := func(s string, n int) io.Reader { return strings.NewReader(strings.Repeat(s, n)) }
	behind := func(head []byte, text string) io.Reader {
		return io.MultiReader(bytes.NewReader(head), &endless{text: text})
	}
	const mail = "Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n"
	for name, v := range map[string]struct {
		r    io.Reader
		want error
	}{
		"nested":             {repeat("\x30\x80", 1<<20), ErrDamaged},
		"nested strings":     {behind(head, "\x24\x80"), ErrDamaged},
		"no pieces":          {behind(head, "\x04\x00"), ErrTooLarge},
		"small pieces":       {behind(head, "\x04\x01x"), ErrTooLarge},
		"a long piece":       {behind(append(bytes.Clone(head), "\x04\x87\x7f\xff\xff\xff\xff\xff\xff"...), "x"), ErrTooLarge},
		"a longer piece":     {behind(append(bytes.Clone(head), "\x04\x88\x7f\xff\xff\xff\xff\xff\xff\xff"...), "x"), ErrDamaged},
		"a negative piece":   {behind(append(bytes.Clone(head), "\x04\x88\xff\xff\xff\xff\xff\xff\xff\xff"...), "x"), ErrDamaged},
		"long attributes":    {behind(append(bytes.Clone(head), "\x00\x00\x00\x00\xa1\x84\x7f\xff\xff\xff"...), "x"), ErrDamaged},
		"endless attributes": {behind(append(bytes.Clone(head), "\x00\x00\x00\x00\xa1\x80"...), "\x30\x00"), ErrTooLarge},
		"a long tag":         {behind(append(bytes.Clone(head), "\x00\x00\x00\x00\x04\x84\x7f\xff\xff\xff"...), "x"), ErrTooLarge},
		"endless recipients": {behind(head[:bytes.IndexByte(head, 0x31)], "\x31\x80\xa2\x00"), ErrDamaged},
		"a crowd of others":  {bytes.NewReader(crowd(t, 10_000, theirs, theirs)), ErrNotForKey},
		"a crowd of us":      {bytes.NewReader(crowd(t, 10_000, ours, ours)), ErrDamaged},
		"a mixed crowd":      {bytes.NewReader(crowd(t, 10_000, ours, theirs)), ErrDamaged},
		"too much a crowd":   {bytes.NewReader(crowd(t, 30_000, ours, theirs)), ErrTooLarge},
		"headers":            {behind(nil, "Subject: a\n"), ErrDamaged},
		"a header":           {behind([]byte("Subject: "), "a"), ErrDamaged},
		"empty lines":        {behind([]byte(mail), "\r\n"), ErrTooLarge},
		"PEM lines":          {behind([]byte("-----BEGIN CMS-----\n"), "\n"), ErrTooLarge},
		"a PEM line":         {behind([]byte("-----BEGIN CMS-----"), "-"), ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			var got int64
			grown := heapGrown(func() error {
				m, err := Open(io.MultiReader(v.r), k, &OpenOptions{MemoryLimit: 1 << 16, SpoolLimit: 16 << 20, SpoolDir: t.TempDir()})
				if err == nil {
					got, err = io.Copy(io.Discard, m)
				}
				if !errors.Is(err, v.want) || got > 0 {
					t.Errorf("%d bytes, %v", got, err)
				}
				return err
			})
			t.Logf("%v, %d KiB", time.Since(start), grown>>10)
			if grown > 64<<20 {
				t.Errorf("%d MiB were allocated", grown>>20)
			}
		})
	}
}

// heapGrown returns how much was allocated, though it may be free again.
func heapGrown(f func() error) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestCostlyCertificates gives nobody a certificate to verify that takes long.
func TestCostlyCertificates(t *testing.T) {
	t.Parallel()
	k, to := testKey(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	chain := tls.Certificate{PrivateKey: key}
	for i, public := range []any{
		key.Public(),
		&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), maxRSA-1, 1), E: 65537},
		&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), maxRSA, 1), E: 65537},
		&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1_000_000, 1), E: 65537},
	} {
		template.SerialNumber = big.NewInt(int64(i + 1))
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
		if err != nil {
			t.Fatal(err)
		}
		chain.Certificate = append(chain.Certificate, der)
	}
	signer, err := CertificateSigner(chain)
	if err != nil {
		t.Fatal(err)
	}
	sealed := sealText(t, "text", &SealOptions{Signer: signer}, to)
	var got *Signature
	_, err = Open(bytes.NewReader(sealed), k, &OpenOptions{Accept: func(s *Signature) error { got = s; return nil }})
	if err != nil || len(got.Certificates) != 1 {
		t.Errorf("%d certificates, %v", len(got.Certificates), err)
	}
}

// TestSpoolFails passes on why a spool could not be written.
func TestSpoolFails(t *testing.T) {
	t.Parallel()
	s := &spool{r: &endless{text: "x"}, memory: 10, total: 1 << 20, dir: t.TempDir()}
	if n, err := s.readAt(make([]byte, 100), 0); n != 100 || err != nil || s.file == nil {
		t.Fatal(n, err)
	}
	s.file.Close()
	for range 2 {
		if n, err := s.readAt(make([]byte, 100), 100); n != 0 || !errors.Is(err, os.ErrClosed) {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	s.close()
	s.close()
}
