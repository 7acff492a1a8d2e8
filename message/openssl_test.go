// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/message"
)

// lookFor returns the path of a program of others, or skips the test: or fails it,
// where the programs are required.
func lookFor(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name+" is not installed")
	}
	return path
}

func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("MAYFLY_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s, and MAYFLY_REQUIRE_PEERS is set", reason)
	}
	t.Skip(reason)
}

// A workshop is a directory in which a program of others works.
type workshop struct {
	t    *testing.T
	dir  string
	path string
}

func newWorkshop(t *testing.T, program string) *workshop {
	t.Helper()
	return &workshop{t, t.TempDir(), lookFor(t, program)}
}

// in is the workshop within a subtest.
func (w *workshop) in(t *testing.T) *workshop { return &workshop{t, w.dir, w.path} }

func (w *workshop) file(name string) string { return filepath.Join(w.dir, name) }

func (w *workshop) put(name string, b []byte) string {
	w.t.Helper()
	if err := os.WriteFile(w.file(name), b, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.file(name)
}

func (w *workshop) get(name string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(w.file(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// try runs the program.
func (w *workshop) try(args ...string) (string, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.path, args...)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w *workshop) run(args ...string) {
	w.t.Helper()
	if out, err := w.try(args...); err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// openssl is a workshop with a P-256 key of OpenSSL's and its certificate.
func openssl(t *testing.T) *workshop {
	w := newWorkshop(t, "openssl")
	out, err := w.try("version")
	if err != nil || !strings.HasPrefix(out, "OpenSSL 3") {
		missing(t, "openssl is not OpenSSL 3, the first with AuthEnvelopedData: "+out)
	}
	w.certify("p256", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	return w
}

// certify makes NAME.key and NAME.pem.
func (w *workshop) certify(name, algorithm string, options ...string) {
	w.t.Helper()
	w.run(append([]string{"genpkey", "-algorithm", algorithm, "-out", name + ".key"}, options...)...)
	w.run("req", "-x509", "-new", "-key", name+".key", "-subj", "/CN="+name, "-days", "30", "-out", name+".pem")
}

// sizes are lengths of contents around the borders of parts.
var sizes = []int{0, 1, 100, 4096, 4097, 256<<10 - 1, 256 << 10, 256<<10 + 1, 700_000}

// TestSealForOpenSSL has OpenSSL open what is sealed for its certificate.
func TestSealForOpenSSL(t *testing.T) {
	t.Parallel()
	w := openssl(t)
	to := []*message.Recipient{recipientIn(t, w.get("p256.pem"))}
	for _, c := range []message.Cipher{message.AES256GCM, message.AES128GCM} {
		for _, mail := range []bool{false, true} {
			for _, n := range sizes {
				form := map[bool]string{false: "DER", true: "SMIME"}[mail]
				plain := pattern(n)
				w.put("in", seal(t, plain, to, &message.SealOptions{Cipher: c, MIME: mail}))
				w.run("cms", "-decrypt", "-binary", "-inform", form, "-in", "in", "-recip", "p256.pem", "-inkey", "p256.key", "-out", "out")
				if !bytes.Equal(w.get("out"), plain) {
					t.Errorf("%v, %s, %d bytes: OpenSSL reads something else", c, form, n)
				}
			}
		}
	}
}

// TestOpenFromOpenSSL opens what OpenSSL seals.
func TestOpenFromOpenSSL(t *testing.T) {
	t.Parallel()
	w := openssl(t)
	w.certify("other", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	withCertificate := key(t, append(w.get("p256.key"), w.get("p256.pem")...))
	without := key(t, w.get("p256.key"))
	options := map[string][]string{
		"DER":         {"-outform", "DER"},
		"BER":         {"-outform", "DER", "-stream"},
		"PEM":         {"-outform", "PEM"},
		"SMIME":       {"-outform", "SMIME"},
		"keyid":       {"-outform", "DER", "-keyid"},
		"SHA-256 KDF": {"-outform", "DER", "-recip", "p256.pem", "-keyopt", "ecdh_kdf_md:sha256"},
		"SHA-512 KDF": {"-outform", "DER", "-recip", "p256.pem", "-keyopt", "ecdh_kdf_md:sha512"},
		"AES-128":     {"-outform", "DER", "-aes-128-gcm"},
	}
	for name, more := range options {
		for _, n := range sizes {
			if n == 0 && name == "BER" {
				continue // OpenSSL streams nothing of nothing
			}
			plain := pattern(n)
			w.put("in", plain)
			args := append([]string{"cms", "-encrypt", "-binary", "-aes-256-gcm", "-in", "in", "-out", "out", "-recip", "other.pem"}, more...)
			if !strings.HasSuffix(name, "KDF") {
				args = append(args, "-recip", "p256.pem")
			}
			w.run(args...)
			for _, k := range []*message.Key{withCertificate, without} {
				if got, err := open(w.get("out"), k, nil); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%s, %d bytes: %v", name, n, err)
				}
			}
		}
	}
}

// TestSignForOpenSSL has OpenSSL open what is signed and verify it.
func TestSignForOpenSSL(t *testing.T) {
	t.Parallel()
	w := openssl(t)
	to := []*message.Recipient{recipientIn(t, w.get("p256.pem"))}
	for name, s := range signers(t) {
		if name == "Ed25519" {
			continue // OpenSSL 3.0 has no Ed25519 in CMS
		}
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			for form, mail := range map[string]bool{"DER": false, "SMIME": true} {
				for _, n := range sizes {
					plain := pattern(n)
					w.put("in", seal(t, plain, to, &message.SealOptions{Signer: s, MIME: mail}))
					w.run("cms", "-decrypt", "-binary", "-inform", form, "-in", "in", "-recip", "p256.pem", "-inkey", "p256.key", "-out", "signed")
					w.run("cms", "-verify", "-binary", "-noverify", "-inform", form, "-in", "signed", "-out", "out")
					if !bytes.Equal(w.get("out"), plain) {
						t.Errorf("%s, %d bytes: OpenSSL reads something else", form, n)
					}
				}
			}
		})
	}
}

// TestOpenSignedByOpenSSL opens what OpenSSL signs and then seals.
func TestOpenSignedByOpenSSL(t *testing.T) {
	t.Parallel()
	w := openssl(t)
	k := key(t, w.get("p256.key"))
	w.certify("p384", "ec", "-pkeyopt", "ec_paramgen_curve:P-384")
	w.certify("rsa", "rsa", "-pkeyopt", "rsa_keygen_bits:2048")
	for signer, more := range map[string][]string{
		"p256": nil, "p384": nil, "p384 SHA-512": {"-md", "sha512"}, "p256 keyid": {"-keyid"},
		"rsa":           {"-keyopt", "rsa_padding_mode:pss"},
		"rsa SHA-512":   {"-keyopt", "rsa_padding_mode:pss", "-md", "sha512"},
		"rsa PKCS1":     nil, // RSASSA-PKCS1-v1_5 is its default
		"rsa PKCS1 384": {"-md", "sha384"},
		"rsa PKCS1 512": {"-md", "sha512", "-keyid"},
	} {
		t.Run(signer, func(t *testing.T) {
			name, _, _ := strings.Cut(signer, " ")
			w := w.in(t)
			streams := []string{"-stream", "-nodetach"}
			if slices.Contains(more, "rsa_padding_mode:pss") {
				streams = streams[1:] // OpenSSL 3.0 does not stream RSASSA-PSS
			}
			for _, stream := range streams {
				for _, n := range sizes[1:] { // OpenSSL streams nothing of nothing
					plain := pattern(n)
					w.put("in", plain)
					args := []string{"cms", "-sign", "-binary", "-nodetach", stream, "-in", "in", "-outform", "SMIME", "-signer", name + ".pem", "-inkey", name + ".key", "-out", "signed"}
					w.run(append(args, more...)...)
					w.run("cms", "-encrypt", "-binary", "-aes-256-gcm", "-in", "signed", "-outform", "SMIME", "-out", "out", "p256.pem")
					got, err := open(w.get("out"), k, &message.OpenOptions{Accept: func(s *message.Signature) error {
						if cn := s.Certificate.Subject.CommonName; cn != name || s.Time.IsZero() {
							return fmt.Errorf("signed by %s at %v", cn, s.Time)
						}
						return nil
					}})
					if err != nil || !bytes.Equal(got, plain) {
						t.Errorf("%d bytes: %v", n, err)
					}
					if got, err := open(w.get("out"), k, nil); err != nil || !bytes.Equal(got, w.get("signed")) {
						t.Errorf("%d bytes, nobody asked for: %v", n, err)
					}
				}
			}
		})
	}
}

// TestUnsupportedKindsOfOpenSSL opens what OpenSSL makes and mayfly does not read. The
// error says what it is, and what to do.
func TestUnsupportedKindsOfOpenSSL(t *testing.T) {
	t.Parallel()
	w := openssl(t)
	k := key(t, append(w.get("p256.key"), w.get("p256.pem")...))
	for name, v := range map[string]struct {
		says string
		args []string
	}{
		"AES-CBC":              {"EnvelopedData", []string{"-encrypt", "-aes-256-cbc", "-recip", "p256.pem"}},
		"signed, not detached": {"signed and not sealed", []string{"-sign", "-nodetach", "-signer", "p256.pem", "-inkey", "p256.key"}},
		"signed, detached":     {"signed", []string{"-sign", "-signer", "p256.pem", "-inkey", "p256.key"}},
	} {
		for _, form := range []string{"DER", "PEM", "SMIME"} {
			w.put("in", pattern(100))
			w.run(append([]string{"cms", "-binary", "-in", "in", "-outform", form, "-out", "out"}, v.args...)...)
			if _, err := open(w.get("out"), k, nil); !errors.Is(err, message.ErrUnsupported) || !strings.Contains(err.Error(), v.says) || !strings.Contains(err.Error(), "openssl cms -") {
				t.Errorf("%s, %s: %v", name, form, err)
			}
		}
	}
}

// TestUnsupportedSignaturesOfOpenSSL opens what OpenSSL signs with algorithms that are too
// weak or not supported. A valid signature is never called a wrong one.
func TestUnsupportedSignaturesOfOpenSSL(t *testing.T) {
	t.Parallel()
	w := openssl(t)
	k := key(t, w.get("p256.key"))
	w.certify("rsa", "rsa", "-pkeyopt", "rsa_keygen_bits:2048")
	w.certify("small", "rsa", "-pkeyopt", "rsa_keygen_bits:1024")
	for name, args := range map[string][]string{
		"RSA with SHA-1":                  {"rsa", "-md", "sha1"},
		"RSA with SHA-224":                {"rsa", "-md", "sha224"},
		"RSA with SHA-512/256":            {"rsa", "-md", "sha512-256"},
		"RSA with SHA3-256":               {"rsa", "-md", "sha3-256"},
		"RSASSA-PSS with SHA-1":           {"rsa", "-md", "sha1", "-keyopt", "rsa_padding_mode:pss"},
		"RSASSA-PSS with a mask of SHA-1": {"rsa", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha1"},
		"RSA of 1024 bits":                {"small"},
		"ECDSA with SHA-1":                {"p256", "-md", "sha1"},
		"ECDSA with SHA-224":              {"p256", "-md", "sha224"},
		"no signed attributes":            {"rsa", "-noattr"},
		"no certificate":                  {"rsa", "-nocerts"},
		"two signers":                     {"rsa", "-signer", "p256.pem", "-inkey", "p256.key"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			w.put("in", pattern(100))
			out, err := w.try(append([]string{"cms", "-sign", "-binary", "-nodetach", "-in", "in", "-outform", "SMIME", "-signer", args[0] + ".pem", "-inkey", args[0] + ".key", "-out", "signed"}, args[1:]...)...)
			if err != nil {
				t.Skip("this OpenSSL does not make it: ", out)
			}
			w.run("cms", "-encrypt", "-binary", "-aes-256-gcm", "-in", "signed", "-outform", "SMIME", "-out", "out", "p256.pem")
			_, err = open(w.get("out"), k, &message.OpenOptions{Accept: func(*message.Signature) error { return nil }})
			if !errors.Is(err, message.ErrUnsupported) || errors.Is(err, message.ErrNotAuthentic) {
				t.Errorf("%v; want ErrUnsupported", err)
			}
		})
	}
}
