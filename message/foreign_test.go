// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignKeys loads keys that open no message: the error says what they are, and holds
// nothing of them.
func TestForeignKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey.Public(), rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	const evil = "evilevilevil"
	for name, v := range map[string]struct{ text, says string }{
		"RSA in PKCS #8":         {block("PRIVATE KEY", pkcs8), "is an RSA key"},
		"RSA in PKCS #1":         {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), "is an RSA key"},
		"RSA behind text":        {"\ufeffBag Attributes\n" + block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), "is an RSA key"},
		"OpenSSH":                {block("OPENSSH PRIVATE KEY", []byte("openssh-key-v1\x00"+evil)), "is a key of SSH"},
		"PuTTY":                  {"PuTTY-User-Key-File-3: ssh-ed25519\n" + evil, "is a key of SSH"},
		"a public key of SSH":    {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 " + evil, "is a public key of SSH"},
		"of SSH on P-256":        {"ecdsa-sha2-nistp256 AAAA " + evil, "is a public key of SSH"},
		"a public key":           {block("PUBLIC KEY", spki), "is a public key"},
		"an identity of age":     {"# created: today\nAGE-SECRET-KEY-1" + evil, "is an identity of the age tool"},
		"OpenPGP":                {"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" + evil, "is a key of OpenPGP"},
		"a certificate":          {block("CERTIFICATE", certificate), "is a certificate without its private key"},
		"PKCS #8 in DER":         {string(pkcs8), "is in a binary format"},
		"something else":         {evil, "has no encryption key"},
		"the name of such a key": {"NOTAGE-SECRET-KEY-" + evil, "has no encryption key"},
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(v.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadKey(file)
		if err == nil || !strings.Contains(err.Error(), v.says) || strings.Contains(err.Error(), evil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A key that opens messages counts, whatever is beside it.
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey([]byte(block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)) + block("PRIVATE KEY", der)))
	if err != nil {
		t.Fatal(err)
	}
	k.Wipe()
}
