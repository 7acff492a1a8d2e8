// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/message"
)

// keyWithCertificate makes a P-256 key with a certificate for it.
func keyWithCertificate(t testing.TB) (*message.Key, *message.Recipient) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate(t, "p256", private, x509.KeyUsageKeyAgreement).Certificate[0]})
	return key(t, slices.Concat(cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))), recipientIn(t, cert)
}

// forms are the ways to seal.
func forms(t testing.TB) map[string]*message.SealOptions {
	t.Helper()
	forms := make(map[string]*message.SealOptions)
	signers := signers(t)
	for _, c := range []message.Cipher{message.AES256GCM, message.AES128GCM, message.ChaCha20Poly1305} {
		for _, mail := range []bool{false, true} {
			name := fmt.Sprintf("%v mail=%v", c, mail)
			forms[name] = &message.SealOptions{Cipher: c, MIME: mail}
			forms[name+" signed"] = &message.SealOptions{Cipher: c, MIME: mail, Signer: signers["Ed25519"]}
		}
	}
	for name, s := range signers {
		forms[name] = &message.SealOptions{Signer: s}
	}
	return forms
}

func anybody(*message.Signature) error { return nil }

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	edwards, toEdwards := newKey(t)
	nist, toNIST := keyWithCertificate(t)
	other, toOther := newKey(t)
	to := []*message.Recipient{toOther, toNIST, toEdwards}
	for name, o := range forms(t) {
		for _, n := range sizes {
			plain := pattern(n)
			sealed := seal(t, plain, to, o)
			var options *message.OpenOptions
			if o.Signer != nil {
				options = &message.OpenOptions{Accept: anybody}
			}
			for _, k := range []*message.Key{edwards, nist, other} {
				if got, err := open(sealed, k, options); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%s, %d bytes: %v", name, n, err)
				}
			}
			stranger, _ := newKey(t)
			if _, err := open(sealed, stranger, options); !errors.Is(err, message.ErrNotForKey) {
				t.Errorf("%s: a stranger gets %v", name, err)
			}
		}
	}
}

// TestWrites writes and reads in pieces of odd sizes.
func TestWrites(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	plain := pattern(700_000)
	for _, size := range []int{1, 7, 4095, 4096, 4097, 100_003, 262_144, 300_000} {
		var out bytes.Buffer
		w, err := message.Seal(&out, []*message.Recipient{to}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for p := range slices.Chunk(plain, size) {
			if n, err := w.Write(p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("written to after Close")
		}
		if err := w.Close(); err == nil {
			t.Error("closed twice")
		}
		m, err := message.Open(iotest.HalfReader(&out), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(iotest.HalfReader(m)); err != nil || !bytes.Equal(got, plain) {
			t.Error(size, err)
		}
	}
	m, err := message.Open(iotest.OneByteReader(bytes.NewReader(seal(t, plain[:3000], []*message.Recipient{to}, nil))), k, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(m, plain[:3000]); err != nil {
		t.Error(err)
	}
}

// TestOneIdentityServesBoth reads one file as the channel's Identity and as the Key.
func TestOneIdentityServesBoth(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	text, err := k.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	id, err := mayfly.ParseIdentity(text)
	if err != nil || id.Pin() != k.Identity().Pin() || id.Pin() != to.Pin() {
		t.Fatalf("the channel reads %v, %v", id, err)
	}
	again := key(t, text)
	r, err := again.Recipient()
	if err != nil || r.String() != to.String() {
		t.Errorf("the recipient is %v, %v", r, err)
	}
	sealed := seal(t, []byte("text"), []*message.Recipient{to}, nil)
	if got, err := open(sealed, again, nil); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%#v", *k), fmt.Sprintf("%+v %x %s", k, k, *k)} {
		if !strings.HasPrefix(s, "message.Key(sha256//") {
			t.Errorf("it prints as %q", s)
		}
	}
	again.Wipe()
	again.Wipe()
	if _, err := open(sealed, again, nil); !errors.Is(err, message.ErrNotForKey) {
		t.Errorf("a key that was wiped: %v", err)
	}
}

// TestSpool opens what cannot be sought in, within limits.
func TestSpool(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	plain := pattern(500_000)
	sealed := seal(t, plain, []*message.Recipient{to}, nil)
	for _, v := range []struct {
		memory int
		spool  int64
		err    error
	}{
		{0, 0, nil}, {1, 0, nil}, {1, -1, nil}, {len(sealed), int64(len(sealed)), nil}, {1000, int64(len(sealed)), nil},
		{1000, int64(len(sealed)) - 1, message.ErrTooLarge}, {1000, 10, message.ErrTooLarge}, {1 << 20, 1000, message.ErrTooLarge},
	} {
		dir := t.TempDir()
		m, err := message.Open(io.MultiReader(bytes.NewReader(sealed)), k, &message.OpenOptions{MemoryLimit: v.memory, SpoolLimit: v.spool, SpoolDir: dir})
		if !errors.Is(err, v.err) {
			t.Errorf("%+v: %v", v, err)
		}
		if err == nil {
			if got, err := io.ReadAll(m); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%+v: %v", v, err)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("%+v: left behind: %v", v, left)
		}
	}
	if _, err := message.Open(io.MultiReader(bytes.NewReader(sealed)), k, &message.OpenOptions{MemoryLimit: 1, SpoolDir: filepath.Join(t.TempDir(), "absent")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// TestSpoolIsSealed looks for the content in the spool's file.
func TestSpoolIsSealed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("looks for it under /proc")
	}
	k, to := newKey(t)
	plain := bytes.Repeat([]byte("in the clear "), 100_000)
	sealed := seal(t, plain, []*message.Recipient{to}, nil)
	m, err := message.Open(io.MultiReader(bytes.NewReader(sealed)), k, &message.OpenOptions{MemoryLimit: 1, SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := io.ReadFull(m, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	found := 0
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, l := range links {
		if to, _ := os.Readlink(l); !strings.Contains(to, "mayfly-") || !strings.Contains(to, "TestSpoolIsSealed") {
			continue
		}
		b, err := os.ReadFile(l)
		if err != nil {
			t.Fatal(err)
		}
		found++
		to, _ := os.Readlink(l)
		if info, err := os.Stat(l); err != nil || info.Mode() != 0o600 || !strings.HasSuffix(to, "(deleted)") {
			t.Errorf("%s: %v, %v", to, info.Mode(), err)
		}
		if len(b) == 0 || bytes.Contains(b, []byte("in the clear")) {
			t.Errorf("the spool holds %d bytes, and the content", len(b))
		}
	}
	if found != 1 {
		t.Errorf("%d spools were found", found)
	}
}

// TestReadError hands the errors of the reader through.
func TestReadError(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	sealed := seal(t, pattern(500_000), []*message.Recipient{to}, nil)
	broken := errors.New("broken")
	for _, n := range []int{0, 1, 100, 1000, len(sealed) - 1} {
		r := io.MultiReader(bytes.NewReader(sealed[:n]), iotest.ErrReader(broken))
		if _, err := message.Open(r, k, nil); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// A limitedWriter fails after some bytes.
type limitedWriter struct{ n int }

var errFull = errors.New("full")

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		return 0, errFull
	}
	w.n -= len(p)
	return len(p), nil
}

// TestWriteError never lets the error of a writer pass for success.
func TestWriteError(t *testing.T) {
	t.Parallel()
	_, to := newKey(t)
	for name, o := range forms(t) {
		for _, n := range []int{0, 100, 1000, 300_000, 600_000} {
			w, err := message.Seal(&limitedWriter{n}, []*message.Recipient{to}, o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.Write(pattern(700_000))
			if closed := w.Close(); closed == nil || err != nil && !errors.Is(err, errFull) {
				t.Errorf("%s, %d bytes: %v, %v", name, n, err, closed)
			}
			if n, err := w.Write([]byte("x")); err == nil {
				t.Errorf("%s: written after an error: %d", name, n)
			}
		}
	}
}

func TestSealMisuse(t *testing.T) {
	t.Parallel()
	_, to := newKey(t)
	for name, f := range map[string]func() error{
		"nobody": func() error { _, err := message.Seal(io.Discard, nil, nil); return err },
		"nil":    func() error { _, err := message.Seal(io.Discard, []*message.Recipient{nil}, nil); return err },
		"zero":   func() error { _, err := message.Seal(io.Discard, []*message.Recipient{{}}, nil); return err },
		"crowd": func() error {
			_, err := message.Seal(io.Discard, slices.Repeat([]*message.Recipient{to}, 1001), nil)
			return err
		},
		"cipher": func() error {
			_, err := message.Seal(io.Discard, []*message.Recipient{to}, &message.SealOptions{Cipher: 7})
			return err
		},
		"no key": func() error {
			_, err := message.Open(bytes.NewReader(seal(t, nil, []*message.Recipient{to}, nil)), nil, nil)
			return err
		},
		"no id":   func() error { _, err := message.NewKey(nil); return err },
		"zero id": func() error { _, err := message.NewKey(new(mayfly.Identity)); return err },
		"signer":  func() error { _, err := message.NewSigner(nil); return err },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestManyRecipients seals for as many as may be.
func TestManyRecipients(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a thousand key agreements")
	}
	k, to := newKey(t)
	_, other := newKey(t)
	all := append(slices.Repeat([]*message.Recipient{other}, 999), to)
	sealed := seal(t, []byte("text"), all, nil)
	if got, err := open(sealed, k, nil); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSignedBy(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	signerKey, _ := newKey(t)
	signer, err := message.NewSigner(signerKey.Identity())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, mail := range []bool{false, true} {
		sealed := seal(t, []byte("text"), []*message.Recipient{to}, &message.SealOptions{Signer: signer, SigningTime: at, MIME: mail})
		ours, others := signerKey.Identity().Pin(), k.Identity().Pin()
		for pins, want := range map[*[]mayfly.Pin]error{
			{ours}: nil, {others, ours}: nil, {others}: message.ErrNotAuthentic, {}: message.ErrNotAuthentic,
		} {
			m, err := message.Open(bytes.NewReader(sealed), k, &message.OpenOptions{Accept: message.SignedBy(*pins...)})
			if !errors.Is(err, want) {
				t.Errorf("%v: %v", *pins, err)
			}
			if err == nil && (m.Signature().Pin != ours || !m.Signature().Time.Equal(at)) {
				t.Errorf("signed by %v at %v", m.Signature().Pin, m.Signature().Time)
			}
		}
		for text, want := range map[string]error{
			"": message.ErrNotSigned, "text": message.ErrNotSigned, "Content-Type: text/plain\n\ntext": message.ErrNotSigned,
			"Content-Type: multipart/signed; boundary=x\n\n--x": message.ErrUnsupported, // but signed it is
		} {
			sealed := seal(t, []byte(text), []*message.Recipient{to}, &message.SealOptions{MIME: mail})
			if _, err := open(sealed, k, &message.OpenOptions{Accept: anybody}); !errors.Is(err, want) {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}

func TestSignedUnder(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	private := signerKeys()["ECDSA P-256"]
	cert := certificate(t, "authority", private, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature)
	signer, err := message.CertificateSigner(cert)
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, []byte("text"), []*message.Recipient{to}, &message.SealOptions{Signer: signer})
	pool, empty := x509.NewCertPool(), x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	now := time.Now()
	for _, v := range []struct {
		roots *x509.CertPool
		at    time.Time
		err   error
	}{{pool, now, nil}, {empty, now, message.ErrNotAuthentic}, {pool, now.AddDate(1, 0, 0), message.ErrNotAuthentic}} {
		if _, err := open(sealed, k, &message.OpenOptions{Accept: message.SignedUnder(v.roots, v.at)}); !errors.Is(err, v.err) {
			t.Errorf("%+v: %v", v, err)
		}
	}
}

// TestBoundedMemory seals and opens much with little.
func TestBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a long message")
	}
	k, to := newKey(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "sealed"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const length = 200 << 20
	grown := heapGrowth(func(sample func()) {
		w, err := message.Seal(file, []*message.Recipient{to}, nil)
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 1<<20)
		for range length / len(part) {
			if _, err := w.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		sample()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		m, err := message.Open(file, k, nil)
		if err != nil {
			t.Fatal(err)
		}
		sample()
		if n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{m}, part); err != nil || n != length {
			t.Fatal(n, err)
		}
		sample()
	})
	if grown > 8<<20 {
		t.Errorf("%d MiB were in use at a time", grown>>20)
	}
}

// heapGrowth returns by how much the heap grew, at the samples.
func heapGrowth(f func(sample func())) (most int64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f(func() {
		runtime.GC()
		runtime.ReadMemStats(&after)
		most = max(most, int64(after.HeapAlloc)-int64(before.HeapAlloc))
	})
	return most
}

func BenchmarkSeal(b *testing.B) {
	_, to := newKey(b)
	part := make([]byte, 1<<20)
	for _, c := range []message.Cipher{message.AES256GCM, message.AES128GCM, message.ChaCha20Poly1305} {
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(int64(len(part)))
			w, err := message.Seal(io.Discard, []*message.Recipient{to}, &message.SealOptions{Cipher: c})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := w.Write(part); err != nil {
					b.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
