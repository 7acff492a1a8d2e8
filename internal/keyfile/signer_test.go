// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package keyfile

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func TestParseSignerSaysWhatATextHolds(t *testing.T) {
	_, signer, _ := ed25519.GenerateKey(rand.Reader)
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := pkcs8(t, signer)
	encrypted := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
	for text, says := range map[string]string{
		"":                                   "no private key",
		key + key:                            "more than one private key",
		block("CERTIFICATE", nil):            "a certificate and no private key",
		block("PUBLIC KEY", nil):             "a public key and no private key",
		block("CERTIFICATE REQUEST", nil):    "a certificate request",
		block("X", nil):                      "something else",
		block("OPENSSH PRIVATE KEY", nil):    "OpenSSH",
		block("DSA PRIVATE KEY", nil):        "a DSA key",
		block("ENCRYPTED PRIVATE KEY", nil):  "encrypted",
		encrypted:                            "encrypted",
		block("PRIVATE KEY", []byte{1}):      "damaged",
		block("EC PRIVATE KEY", []byte{1}):   "damaged",
		block("RSA PRIVATE KEY", []byte{1}):  "damaged",
		pkcs8(t, agreement):                  "cannot sign",
		block("EC PARAMETERS", []byte{6, 0}): "no private key",
	} {
		if _, err := ParseSigner([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.30q: %v, want %q", text, err, says)
		}
	}
}

func TestParseSignerPassesOverWhatStandsBeside(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	text := "\ufeff" + block("EC PARAMETERS", []byte{6, 0}) + block("CERTIFICATE", nil) + block("EC PRIVATE KEY", der)
	signer, err := ParseSigner([]byte(text))
	if err != nil || !curve.Equal(signer) {
		t.Errorf("%v, %v", signer, err)
	}
}

func TestForeignNamesKeysThatOpenNoMessage(t *testing.T) {
	for text, says := range map[string]string{
		"-----BEGIN OPENSSH PRIVATE KEY-----":   "SSH",
		"-----BEGIN RSA PRIVATE KEY-----":       "RSA",
		"-----BEGIN PGP PRIVATE KEY BLOCK-----": "OpenPGP",
		"AGE-SECRET-KEY-1":                      "age tool",
		"ssh-ed25519 AAAA":                      "public key of SSH",
		block("PUBLIC KEY", []byte{1}):          "a public key",
		block("CERTIFICATE", []byte{1}):         "a certificate without",
		"\x30\x82\x01\x00\x02":                  "binary format",
	} {
		if got := Foreign([]byte(text)); !strings.Contains(got, says) {
			t.Errorf("%.30q: %q, want %q", text, got, says)
		}
	}
	if got := Foreign([]byte("hello")); got != "" {
		t.Errorf("an unknown text: %q", got)
	}
}

func TestReadRefusesWhatIsNoKeyFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, n int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if text, err := Read(write("key", 100)); err != nil || len(text) != 100 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if _, err := Read(write("large", maxFile+1)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a large file: %v", err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Read(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
}
