// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/credential"
)

// Keys and pins of OpenSSL 3.0: openssl genpkey, openssl ecparam -genkey, and
// openssl pkey -pubout -outform DER | openssl dgst -sha256 -binary | base64.
const (
	opensslEd25519 = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIPNXiUibnOWr6Tg5T0mMjvuGRteZZV26JwlBp6eAurHU
-----END PRIVATE KEY-----
`
	opensslEd25519Pin    = "sha256//UYF7ZhN8G6FriZGzA/NnVVOooXjo9QSHW7ZAXdsZJc4="
	opensslEd25519Public = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAzZAyGH+P3tC+z2Am5p7k4o+Iekc5x5bqYoEhq/UVGIg=
-----END PUBLIC KEY-----
`
	opensslP256 = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0bU0WD5qtU3EUjkV
qJilltYmqc10JgwLSCG/8ezbalChRANCAASrkAKm8SboPGTlJfwGMGSlqFuncH9a
T/CU03aFUyvVea4fKtKguWxUTvRz2iIvNA+FUKe8X9g8d+qIIzmgbfEn
-----END PRIVATE KEY-----
`
	opensslP256Pin = "sha256//eFs781hI5gfOfBqCgB+KZRgv6Vyp/4I7R9WrXxW5hsg="
	opensslSEC1    = `-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIHZ5VX5H4nMD6nSOc6G+RtDAI67RJmzd4OjCgtFehhJeoAoGCCqGSM49
AwEHoUQDQgAEQXUcIj1l2TOEhIZMWOW6nQh8EYiXG7YFURlEmSXvdg3zqBSrLUBs
reHZWgHmz9WThQYLcIlpJWh9SxlcYYDk2g==
-----END EC PRIVATE KEY-----
`
	opensslSEC1Pin   = "sha256//fON0afnAyAlzVtEElLGTuJDpDt0G5g3qneWa1lfir7o="
	opensslEncrypted = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhhsb8jtfEFXQICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEC2sVDh2gYkx5KSVfx8GSIIEgZAt
fRI5LWFw1XH6L6tNP7mJDxlVn77dH6jT3actR4Db73bJvMOVoMa4vqvk3W2PFkdY
+DSUyGD1IZwVzlzwEkthwm54IbL1xxUCfGUf1j6kiwVnLDm3gh1sDAia2UP69+Co
DWVSSM6bVE4sBU7U+pWslH5PMZw67hIjnOgXvZLaph2nsMaOIS4E7Ot6rDecxHc=
-----END ENCRYPTED PRIVATE KEY-----
`
	opensslLegacyEncrypted = `-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,A01BB2CCA3F947F29D432C2EABD0B748

30mmJwgvCDAEJC261Sb3xrtd+RDAzNaES/PiHtd/mngNndZQ5UKLxCco2ar1tAuS
-----END EC PRIVATE KEY-----
`
	opensslX25519 = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEICARjmkkqYv9hICkNcKyJUe8N/1hAyJXGdE/Jw3S/tZ+
-----END PRIVATE KEY-----
`
	opensslP384 = `-----BEGIN EC PRIVATE KEY-----
MIGkAgEBBDA276jh3HY4NIu+ds2HJzPQQ7WiF1aAWeZZGnLwOOFDjWuphd5R3e1n
Wt6+hsZCILqgBwYFK4EEACKhZANiAAS952ISl1m5wgVIc6tVE7ZxPMgZnX/hIL6K
0aPDxOj8Q0ElP+J8dozCmEo8NepQls0XnunrULSIKfIqY+7BEG4Zlx5hybf9+L8b
BMybDuC0zrNh+PifYWx/f2YTIJZb/DU=
-----END EC PRIVATE KEY-----
`
	opensslP384Pin = "sha256//aQSzqYSxkJ+4opWS8ysJDJjvTpoDjOLBnHjG8mjc+b0="
)

func block(kind, body string) string {
	return "-----BEGIN " + kind + "-----\n" + body + "\n-----END " + kind + "-----\n"
}

func TestParseIdentity(t *testing.T) {
	t.Parallel()
	self, err := seeded(1).SelfSigned("a.example")
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: self.Certificate[0]}))
	for name, test := range map[string]struct{ text, pin string }{
		"Ed25519":            {opensslEd25519, opensslEd25519Pin},
		"P-256":              {opensslP256, opensslP256Pin},
		"SEC 1":              {opensslSEC1, opensslSEC1Pin},
		"P-384":              {opensslP384, opensslP384Pin},
		"with text around":   {"mine:\n" + opensslP256 + "that was it\n", opensslP256Pin},
		"with a certificate": {certificate + opensslEd25519 + opensslEd25519Public, opensslEd25519Pin},
	} {
		id, err := ParseIdentity([]byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if id.Pin().String() != test.pin {
			t.Errorf("%s: pin %v, want %s", name, id.Pin(), test.pin)
		}
		text, err := id.MarshalPEM()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again, err := ParseIdentity(text); err != nil || again.Pin() != id.Pin() {
			t.Errorf("%s: written out and read: %v, %v", name, again, err)
		}
		if name == "Ed25519" && (string(text) != opensslEd25519 || string(id.PublicPEM()) != opensslEd25519Public) {
			t.Errorf("not written as OpenSSL does:\n%s", id.PublicPEM())
		}
	}
	for name, test := range map[string]struct{ text, says string }{
		"nothing":               {"", "no private key in PEM"},
		"no PEM":                {"0123456789", "no private key in PEM"},
		"a certificate":         {certificate, "a certificate"},
		"a public key":          {opensslEd25519Public, "a public key"},
		"a request":             {block("CERTIFICATE REQUEST", "AAAA"), "a certificate request"},
		"something else":        {block("X509 CRL", "AAAA"), "something else"},
		"encrypted":             {opensslEncrypted, "encrypted"},
		"encrypted in old ways": {opensslLegacyEncrypted, "encrypted"},
		"OpenSSH":               {block("OPENSSH PRIVATE KEY", "AAAA"), "OpenSSH"},
		"RSA":                   {block("RSA PRIVATE KEY", "AAAA"), "damaged"},
		"DSA":                   {block("DSA PRIVATE KEY", "AAAA"), "a DSA key"},
		"X25519":                {opensslX25519, "cannot sign"},
		"damaged":               {block("PRIVATE KEY", "AAAA"), "damaged"},
		"damaged SEC 1":         {block("EC PRIVATE KEY", "AAAA"), "damaged"},
		"two keys":              {opensslEd25519 + opensslP256, "more than one"},
	} {
		_, err := ParseIdentity([]byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "mayfly: the identity holds ") {
			t.Errorf("%s: %v, want a sentence with %q", name, err, test.says)
		}
	}
}

func TestLoadIdentity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // the umask may have taken some
			t.Fatal(err)
		}
		return path
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		id, err := LoadIdentity(write(fmt.Sprintf("good-%o", mode), opensslP256, mode))
		if err != nil || id.Pin().String() != opensslP256Pin {
			t.Errorf("mode %o: %v, %v", mode, id, err)
		}
	}
	if _, err := LoadIdentity(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "mayfly: ") {
		t.Errorf("absent: %v", err)
	}
	for name, test := range map[string]struct{ path, says string }{
		"directory": {dir, "directory"},
		"large":     {write("large", strings.Repeat("\n", 64<<10)+opensslP256, 0o600), "too large"},
		"public":    {write("public", opensslEd25519Public, 0o600), "a public key"},
	} {
		if _, err := LoadIdentity(test.path); err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.path) {
			t.Errorf("%s: %v, want a sentence with %q", name, err, test.says)
		}
	}
	if runtime.GOOS == "windows" {
		return // which has other permissions
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o777} {
		path := write(fmt.Sprintf("open-%o", mode), opensslP256, mode)
		if _, err := LoadIdentity(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestNewIdentity(t *testing.T) {
	t.Parallel()
	p224, err := ecdsa.ParseRawPrivateKey(elliptic.P224(), append(make([]byte, 27), 5))
	if err != nil {
		t.Fatal(err)
	}
	big := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: big.NewInt(35), E: 5}}
	for name, test := range map[string]struct {
		key  crypto.Signer
		says string
	}{
		"nil":          {nil, "needs a key"},
		"a nil key":    {(*ecdsa.PrivateKey)(nil), "needs a key"},
		"half a key":   {ed25519.PrivateKey(make([]byte, 32)), "wrong length"},
		"P-224":        {p224, "P-256"},
		"RSA":          {big, "2048"},
		"half outside": {device{pub: ed25519.PublicKey{1}}, "wrong length"},
		"nothing":      {device{}, "Ed25519, ECDSA or RSA"},
	} {
		if _, err := NewIdentity(test.key); err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "mayfly: ") {
			t.Errorf("%s: %v, want a sentence with %q", name, err, test.says)
		}
	}
	key := seeded(1)
	outside, err := NewIdentity(device{key.key.signer, key.Public()})
	if err != nil || outside.Pin() != key.Pin() {
		t.Fatalf("a key held elsewhere: %v, %v", outside, err)
	}
	if text, err := outside.MarshalPEM(); err == nil || !strings.Contains(err.Error(), "held elsewhere") {
		t.Errorf("written out: %s, %v", text, err)
	}
	if _, err := outside.SelfSigned(); err != nil {
		t.Error(err)
	}
}

// A device is a key that is held elsewhere.
type device struct {
	crypto.Signer
	pub crypto.PublicKey
}

func (d device) Public() crypto.PublicKey { return d.pub }

// seeded is an Ed25519 Identity by a number.
func seeded(n byte) *Identity {
	id, err := NewIdentity(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)))
	if err != nil {
		panic(err)
	}
	return id
}

// TestIdentityPrints looks for the key in everything that prints.
func TestIdentityPrints(t *testing.T) {
	t.Parallel()
	id := seeded(0xA7)
	seed := bytes.Repeat([]byte{0xA7}, 8)
	var text bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
		for _, value := range []any{id, *id, &Config{Identity: id}, []*Identity{id}, map[string]Identity{"a": *id}} {
			fmt.Fprintf(&text, verb+"\n", value)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&text, nil)} {
		slog.New(handler).Info("it is", "id", id, "value", *id)
	}
	//lint:ignore SA9005 that there is nothing to marshal is the point
	if b, err := json.Marshal(id); err == nil {
		text.Write(b)
	}
	for _, secret := range []string{string(seed), hex.EncodeToString(seed), "p6enp6enp6", "167 167 167", "167,167,167", "0xa7, 0xa7"} {
		if strings.Contains(strings.ToLower(text.String()), strings.ToLower(secret)) {
			t.Errorf("the key was printed as %q", secret)
		}
	}
	if got := fmt.Sprint(id); got != "mayfly.Identity("+id.Pin().String()+")" {
		t.Error(got)
	}
}

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	p256, err := ParseIdentity([]byte(opensslP256))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []*Identity{seeded(1), p256} {
		cert, err := id.SelfSigned("a.example", "127.0.0.1", "::1")
		if err != nil {
			t.Fatal(err)
		}
		if PinOfCertificate(cert.Leaf) != id.Pin() {
			t.Error("the certificate has another pin")
		}
		roots := x509.NewCertPool()
		roots.AddCert(cert.Leaf)
		for _, at := range []time.Time{time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)} {
			for _, name := range []string{"a.example", "127.0.0.1", "::1"} {
				if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: at}); err != nil {
					t.Errorf("%s, %v: %v", name, at, err)
				}
			}
		}
		other, err := id.SelfSigned()
		if err != nil {
			t.Fatal(err)
		}
		if cert.Leaf.SerialNumber.Cmp(other.Leaf.SerialNumber) == 0 || cert.Leaf.SerialNumber.Sign() <= 0 {
			t.Errorf("serial numbers %v and %v", cert.Leaf.SerialNumber, other.Leaf.SerialNumber)
		}
		if len(other.Leaf.DNSNames)+len(other.Leaf.IPAddresses) != 0 || other.Leaf.IsCA {
			t.Errorf("names %v, CA %t", other.Leaf.DNSNames, other.Leaf.IsCA)
		}
	}
	if _, err := seeded(1).SelfSigned(""); err == nil {
		t.Error("an empty name was accepted")
	}
}

// TestZeroIdentity shows that an Identity that was not made fails, and does not
// panic.
func TestZeroIdentity(t *testing.T) {
	t.Parallel()
	var id Identity
	if _, err := id.SelfSigned(); err == nil || !strings.Contains(err.Error(), "GenerateIdentity") {
		t.Error(err)
	}
	if _, err := id.MarshalPEM(); err == nil {
		t.Error("it was written out")
	}
	if _, ok := id.credential().SchemeFor(credential.Schemes()); ok || id.Pin() != (Pin{}) || id.String() == "" {
		t.Error("it has a key")
	}
}

// TestIdentityCredential shows an Identity to a peer.
func TestIdentityCredential(t *testing.T) {
	t.Parallel()
	id, err := GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	c := id.credential()
	p, err := credential.ParsePeer(c.Type, c.Entries)
	if err != nil {
		t.Fatal(err)
	}
	if Pin(p.Pin()) != id.Pin() {
		t.Error("the peer sees another pin")
	}
	signature, err := c.Sign(nil, credential.Ed25519, []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	if err := credential.Verify(p, credential.Ed25519, []byte("content"), signature); err != nil {
		t.Error(err)
	}
}
