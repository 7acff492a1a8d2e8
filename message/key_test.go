// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/message"
)

func TestRecipient(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := mayfly.NewIdentity(private)
	if err != nil {
		t.Fatal(err)
	}
	edwards, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []*mayfly.Identity{edwards, p256} {
		k, err := message.NewKey(id)
		if err != nil {
			t.Fatal(err)
		}
		r, err := k.Recipient()
		if err != nil {
			t.Fatal(err)
		}
		text := r.String()
		if !strings.HasPrefix(text, "mfpub1") || r.Pin() != id.Pin() {
			t.Errorf("%s, %v", text, r.Pin())
		}
		for _, s := range []string{text, strings.ToUpper(text), " " + text + "\n"} {
			again, err := message.ParseRecipient(s)
			if err != nil || again.String() != text || again.Pin() != id.Pin() {
				t.Fatalf("%q: %v", s, err)
			}
			sealed := seal(t, []byte("text"), []*message.Recipient{again}, nil)
			if got, err := open(sealed, k, nil); err != nil || string(got) != "text" {
				t.Errorf("%q, %v", got, err)
			}
		}
		for i := range text {
			for _, c := range []byte("qp7b1X") {
				if text[i] == c {
					continue
				}
				if _, err := message.ParseRecipient(text[:i] + string(c) + text[i+1:]); err == nil {
					t.Errorf("letter %d may be %c", i, c)
				}
			}
			if _, err := message.ParseRecipient(text[:i] + text[i+1:]); err == nil {
				t.Errorf("letter %d may be missing", i)
			}
		}
		if !strings.HasPrefix(r.Age(), "age1") || !strings.HasPrefix(k.AgeIdentity(), "AGE-SECRET-KEY-1") {
			t.Errorf("age: %s", r.Age())
		}
	}
	for in, want := range map[string]string{
		edwards.Pin().String(): "hash of a key",
		"":                     "begins with mfpub1",
		"mfpub":                "begins with mfpub1",
		"age1qqq":              "begins with mfpub1",
		"mfpub1":               "checksum",
		"mfpub1qqqqqqqq":       "checksum",
	} {
		if _, err := message.ParseRecipient(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// FuzzRecipient reads anything. Of what is a recipient there is one spelling.
func FuzzRecipient(f *testing.F) {
	id, err := mayfly.NewIdentity(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	k, err := message.NewKey(id)
	if err != nil {
		f.Fatal(err)
	}
	r, err := k.Recipient()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.String())
	f.Add(strings.ToUpper(r.String()) + "\n")
	f.Add(id.Pin().String())
	f.Add(r.Age())
	f.Fuzz(func(t *testing.T, s string) {
		r, err := message.ParseRecipient(s)
		if err != nil {
			return
		}
		again, err := message.ParseRecipient(r.String())
		if err != nil || again.String() != r.String() || !strings.EqualFold(strings.TrimSpace(s), r.String()) {
			t.Errorf("%q is %v, which is %v, %v", s, r, again, err)
		}
	})
}

// TestCertificateRecipient takes certificates of keys that agree, and refuses others.
func TestCertificateRecipient(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256 := signerKeys()["ECDSA P-256"]
	for name, v := range map[string]struct {
		cert *x509.Certificate
		want string
	}{
		"nil":        {nil, "no certificate"},
		"Ed25519":    {certificate(t, "a", edwards, 0).Leaf, "signs"},
		"RSA":        {certificate(t, "a", signerKeys()["RSA-PSS"], 0).Leaf, "RSA"},
		"P-384":      {certificate(t, "a", signerKeys()["ECDSA P-384"], 0).Leaf, "neither X25519 nor on P-256"},
		"signs only": {certificate(t, "a", p256, x509.KeyUsageDigitalSignature).Leaf, "does not allow"},
		"agrees":     {certificate(t, "a", p256, x509.KeyUsageKeyAgreement).Leaf, ""},
		"no usage":   {certificate(t, "a", p256, 0).Leaf, ""},
	} {
		r, err := message.CertificateRecipient(v.cert)
		if v.want == "" && (err != nil || r.Pin() != mayfly.PinOfCertificate(v.cert) || r.String() != r.Pin().String() || r.Age() != "") {
			t.Errorf("%s: %v, %v", name, r, err)
		}
		if v.want != "" && (err == nil || !strings.Contains(err.Error(), v.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCertificates has OpenSSL check the certificates of a Key.
func TestCertificates(t *testing.T) {
	t.Parallel()
	k, r := newKey(t)
	encryption, identity, err := k.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(encryption)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(identity)
	if err != nil {
		t.Fatal(err)
	}
	if err := issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil || mayfly.PinOfCertificate(issuer) != r.Pin() {
		t.Errorf("%v, issued by %v", err, issuer.Subject)
	}
	to, err := message.CertificateRecipient(cert)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := open(seal(t, []byte("text"), []*message.Recipient{to}, nil), k, nil); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	path, err := exec.LookPath("openssl")
	if err != nil {
		missing(t, "openssl is not installed")
	}
	cmd := exec.CommandContext(t.Context(), path, "x509", "-noout", "-text")
	cmd.Stdin = bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encryption}))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "X25519") || !strings.Contains(string(out), "Key Agreement") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestLoadKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, _ := newKey(t)
	good, err := k.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	identity, second := good[:bytes.Index(good[1:], []byte("-----BEGIN"))+1], good[bytes.Index(good[1:], []byte("-----BEGIN"))+1:]
	rsaKey, err := x509.MarshalPKCS8PrivateKey(signerKeys()["RSA-PSS"])
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for name, v := range map[string]struct{ text, want string }{
		"both":       {string(good), ""},
		"encryption": {string(second), ""},
		"identity":   {string(identity), "no encryption key"},
		"two":        {string(good) + string(identity), "several that sign"},
		"empty":      {"", "no encryption key"},
		"encrypted":  {block("ENCRYPTED PRIVATE KEY", []byte("x")), "is encrypted"},
		"damaged":    {block("PRIVATE KEY", []byte("x")), "is damaged"},
		"RSA":        {block("PRIVATE KEY", rsaKey), "is an RSA key"},
		"bad cert":   {string(good) + block("CERTIFICATE", []byte("x")), "certificate that is damaged"},
		"large":      {string(good) + strings.Repeat("\n", 1<<17), "too large"},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(v.text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := message.LoadKey(file)
		if v.want == "" && (err != nil || k == nil) || v.want != "" && (err == nil || !strings.Contains(err.Error(), v.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "encryption" && k != nil {
			if _, err := k.Recipient(); err == nil || k.Identity() != nil {
				t.Error("a key without an identity has a recipient string")
			}
		}
	}
	if _, err := message.LoadKey(filepath.Join(dir, "absent")); err == nil {
		t.Error("an absent file is read")
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(filepath.Join(dir, "both"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := message.LoadKey(filepath.Join(dir, "both")); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("an open file: %v", err)
		}
	}
}
