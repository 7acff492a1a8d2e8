// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/message"
)

// A castle is a Java process with Bouncy Castle.
type castle struct {
	*workshop
	in      io.Writer
	out     *bufio.Scanner
	log     bytes.Buffer
	version string
}

// bouncyCastle starts one. Its jars are Debian's, or in the directory that
// MAYFLY_BOUNCYCASTLE names.
func bouncyCastle(t *testing.T) *castle {
	t.Helper()
	w := newWorkshop(t, "java")
	var jars []string
	for _, name := range []string{"bcpkix", "bcprov", "bcutil"} {
		pattern := "/usr/share/java/" + name + ".jar"
		if dir := os.Getenv("MAYFLY_BOUNCYCASTLE"); dir != "" {
			pattern = filepath.Join(dir, name+"*.jar")
		}
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			missing(t, "Bouncy Castle is not installed: no "+pattern)
		}
		jars = append(jars, found[0])
	}
	cmd := exec.CommandContext(t.Context(), w.path, "-XX:+UseSerialGC", "-Xshare:auto", "-cp", strings.Join(jars, string(os.PathListSeparator)), "testdata/Peer.java")
	c := &castle{workshop: w}
	cmd.Stderr = &c.log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("java: %s", &c.log)
		}
	})
	c.in, c.out = in, bufio.NewScanner(out)
	if c.version = c.answer(); !strings.HasPrefix(c.version, "ready ") {
		in.Close()
		_ = cmd.Wait()
		t.Fatalf("java: %s", &c.log)
	}
	c.version = strings.TrimPrefix(c.version, "ready ")
	return c
}

func (c *castle) answer() string {
	c.out.Scan()
	return strings.TrimSpace(c.out.Text())
}

// ask gives a command. It returns why that failed.
func (c *castle) ask(fields ...string) (string, error) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, strings.Join(fields, "\t")+"\n"); err != nil {
		c.t.Fatal(err)
	}
	answer, ok := strings.CutPrefix(c.answer(), "ok")
	if !ok {
		return "", fmt.Errorf("bouncy castle %s: %s", c.version, answer)
	}
	return strings.TrimSpace(answer), nil
}

// atLeast tells of what Bouncy Castle has since a version of its.
func (c *castle) atLeast(minor int) bool {
	var major, have int
	_, _ = fmt.Sscanf(c.version, "%d.%d", &major, &have)
	return major > 1 || have >= minor
}

// The versions of Bouncy Castle since which it knows, in CMS: X25519 and HKDF (RFC
// 8418), and ChaCha20-Poly1305 (RFC 8103).
const hkdfSince, chachaSince = 85, 78

// holders are the keys that Bouncy Castle knows: their files are NAME.pem and NAME.der.
func (c *castle) holders() map[string]*message.Key {
	k, _ := newKey(c.t)
	certificate1, _, err := k.Certificates()
	if err != nil {
		c.t.Fatal(err)
	}
	pemText, err := k.MarshalPEM()
	if err != nil {
		c.t.Fatal(err)
	}
	_, second := pem.Decode(pemText)
	block, _ := pem.Decode(second)
	c.put("XDH.der", block.Bytes)
	c.put("XDH.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate1}))

	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p256)
	if err != nil {
		c.t.Fatal(err)
	}
	c.put("EC.der", der)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate(c.t, "p256", p256, x509.KeyUsageKeyAgreement).Certificate[0]})
	c.put("EC.pem", cert)
	return map[string]*message.Key{
		"XDH": k,
		"EC":  key(c.t, slices.Concat(cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))),
	}
}

// TestSealForBouncyCastle has Bouncy Castle open what is sealed, and verify what is
// signed.
func TestSealForBouncyCastle(t *testing.T) {
	t.Parallel()
	c := bouncyCastle(t)
	c.holders()
	signers := signers(t)
	signers["none"] = nil
	for kind, why := range map[string]string{"EC": "", "XDH": c.lacks(hkdfSince, "HKDF")} {
		for _, cipher := range []message.Cipher{message.AES256GCM, message.AES128GCM, message.ChaCha20Poly1305} {
			for name, signer := range signers {
				t.Run(fmt.Sprintf("%s/%v/%s", kind, cipher, name), func(t *testing.T) {
					why := why
					if cipher == message.ChaCha20Poly1305 && why == "" {
						why = c.lacks(chachaSince, "ChaCha20-Poly1305")
					}
					if why != "" {
						t.Skip(why)
					}
					c := &castle{workshop: c.workshop.in(t), in: c.in, out: c.out, version: c.version}
					to := []*message.Recipient{recipientIn(t, c.get(kind+".pem"))}
					for _, n := range sizes {
						plain := pattern(n)
						c.put("in", seal(t, plain, to, &message.SealOptions{Cipher: cipher, Signer: signer}))
						want := ""
						if signer != nil {
							want = "signed"
						}
						signed, err := c.ask("open", c.file(kind+".der"), kind, c.file("in"), c.file("out"), want)
						if err != nil {
							t.Fatal(err)
						}
						if !bytes.Equal(c.get("out"), plain) || signed != want {
							t.Errorf("%d bytes: it reads something else", n)
						}
					}
				})
			}
		}
	}
}

// lacks says what this version cannot do.
func (c *castle) lacks(since int, what string) string {
	if c.atLeast(since) {
		return ""
	}
	return fmt.Sprintf("Bouncy Castle %s has no %s in CMS (1.%d has)", c.version, what, since)
}

// TestOpenFromBouncyCastle opens what Bouncy Castle seals and signs.
func TestOpenFromBouncyCastle(t *testing.T) {
	t.Parallel()
	c := bouncyCastle(t)
	holders := c.holders()
	type signed struct{ algorithm, scheme string }
	signs := map[string]signed{"Ed25519": {"Ed25519", "Ed25519"}, "ECDSA P-256": {"EC", "SHA256withECDSA"}, "ECDSA P-384": {"EC", "SHA384withECDSA"}, "RSA-PSS": {"RSA", "SHA256withRSAandMGF1"}}
	for name := range signs {
		der, err := x509.MarshalPKCS8PrivateKey(signerKeys()[name])
		if err != nil {
			t.Fatal(err)
		}
		c.put(name+".der", der)
		c.put(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate(t, name, signerKeys()[name], 0).Certificate[0]}))
	}
	for _, v := range []struct {
		kind, agreement, attributes string
		cipher, wrap                string
		signer                      string
		since                       int
	}{
		{kind: "EC", agreement: cms.OIDStdDHSHA1KDF.String()},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), wrap: cms.OIDAES128Wrap.String(), cipher: cms.OIDAES128GCM.String()},
		{kind: "EC", agreement: cms.OIDStdDHSHA384KDF.String(), wrap: cms.OIDAES192Wrap.String()},
		{kind: "EC", agreement: cms.OIDStdDHSHA512KDF.String(), attributes: "attributes"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), attributes: "attributes", signer: "Ed25519"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), attributes: "attributes", signer: "ECDSA P-256"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), attributes: "attributes", signer: "ECDSA P-384"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), attributes: "attributes", signer: "RSA-PSS"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), cipher: cms.OIDChaCha20Poly1305.String(), since: chachaSince},
		{kind: "XDH", agreement: cms.OIDStdDHHKDFSHA256.String(), since: hkdfSince},
		{kind: "XDH", agreement: cms.OIDStdDHHKDFSHA384.String(), since: hkdfSince, attributes: "attributes"},
		{kind: "XDH", agreement: cms.OIDStdDHHKDFSHA512.String(), since: hkdfSince},
		{kind: "XDH", agreement: cms.OIDStdDHHKDFSHA256.String(), cipher: cms.OIDChaCha20Poly1305.String(), since: hkdfSince, attributes: "attributes", signer: "Ed25519"},
	} {
		if v.cipher == "" {
			v.cipher = cms.OIDAES256GCM.String()
		}
		if v.wrap == "" {
			v.wrap = cms.OIDAES256Wrap.String()
		}
		t.Run(fmt.Sprintf("%s/%s/%s/%s%s", v.kind, v.agreement, v.cipher, v.attributes, v.signer), func(t *testing.T) {
			if why := c.lacks(v.since, "such message"); why != "" {
				t.Skip(why)
			}
			for _, n := range sizes {
				plain := pattern(n)
				c.put("in", plain)
				command := []string{"seal", v.cipher, v.agreement, v.wrap, c.file(v.kind + ".pem"), v.attributes, c.file("in"), c.file("out")}
				if v.signer != "" {
					command = append(command, c.file(v.signer+".pem"), c.file(v.signer+".der"), signs[v.signer].algorithm, signs[v.signer].scheme)
				}
				if _, err := c.ask(command...); err != nil {
					t.Fatal(err)
				}
				o := new(message.OpenOptions)
				if v.signer != "" {
					o.Accept = func(s *message.Signature) error {
						if s.Certificate.Subject.CommonName != v.signer {
							return fmt.Errorf("signed by %v", s.Certificate.Subject)
						}
						return nil
					}
				}
				if got, err := open(c.get("out"), holders[v.kind], o); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
}
