// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// debianJars are those of Debian's package, which is required where peers are.
func debianJars(t *testing.T) []string {
	jars := []string{"/usr/share/java/bcpkix.jar", "/usr/share/java/bcprov.jar", "/usr/share/java/bcutil.jar"}
	for _, jar := range jars {
		if _, err := os.Stat(jar); err != nil {
			missing(t, "Bouncy Castle is not installed: no "+jar)
		}
	}
	return jars
}

// mavenJars are those of a newer version, which Maven brings into the user's cache.
// Where there is no Maven, or no registry that it reaches, there is no such peer,
// required or not: no distribution's packages have it.
func mavenJars(t *testing.T) []string {
	sums, err := os.ReadFile("testdata/bouncycastle/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(cache, "mayfly-interop", "bouncycastle")
	if jars, err := checkJars(dir, string(sums)); err == nil {
		return jars
	}
	maven, err := exec.LookPath("mvn")
	if err != nil {
		t.Skip("mvn is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, maven, "--quiet", "--batch-mode", "--strict-checksums", "--file", "testdata/bouncycastle/pom.xml",
		"dependency:copy-dependencies", "-DoutputDirectory="+dir)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("Maven does not bring Bouncy Castle: %v: %s", err, out)
	}
	jars, err := checkJars(dir, string(sums))
	if err != nil {
		t.Fatal(err) // It is not what it was.
	}
	return jars
}

// checkJars returns the jars in dir that sums, as sha256sum writes them, name. They are
// a program of somebody else's, which is about to be run.
func checkJars(dir, sums string) (jars []string, err error) {
	for line := range strings.Lines(sums) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		jar := filepath.Join(dir, name)
		b, err := os.ReadFile(jar)
		if err != nil {
			return nil, err
		}
		if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != want {
			return nil, fmt.Errorf("%s has the hash %x", jar, got)
		}
		jars = append(jars, jar)
	}
	return jars, nil
}

// startCastle starts one.
func startCastle(t *testing.T, find func(*testing.T) []string) *castle {
	t.Helper()
	w := newWorkshop(t, "java")
	jars := find(t)
	cmd := exec.CommandContext(t.Context(), w.path, "-XX:+UseSerialGC", "-Xshare:auto", "-cp", strings.Join(jars, string(os.PathListSeparator)), "testdata/bouncycastle/Peer.java")
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
	t.Logf("Bouncy Castle %s", c.version)
	return c
}

func (c *castle) answer() string {
	c.out.Scan()
	return strings.TrimSpace(c.out.Text())
}

// ask gives a command. It returns why that failed.
func (c *castle) ask(t *testing.T, fields ...string) (string, error) {
	t.Helper()
	if _, err := io.WriteString(c.in, strings.Join(fields, "\t")+"\n"); err != nil {
		t.Fatal(err)
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

// lacks says what this version cannot do, "" if it can.
func (c *castle) lacks(since int, what string) string {
	if c.atLeast(since) {
		return ""
	}
	return fmt.Sprintf("Bouncy Castle %s has no %s in CMS (1.%d has)", c.version, what, since)
}

// TestBouncyCastle has Bouncy Castle open what is sealed, and verify what is signed;
// and opens what it seals and signs.
func TestBouncyCastle(t *testing.T) {
	t.Parallel()
	for name, find := range map[string]func(*testing.T) []string{"Debian": debianJars, "Maven": mavenJars} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCastle(t, find)
			holders := c.holders()
			t.Run("theirs to open", func(t *testing.T) { c.openOurs(t) })
			t.Run("ours to open", func(t *testing.T) { c.sealForUs(t, holders) })
		})
	}
}

// openOurs has it open messages with each cipher for each kind of key, and of each
// kind of signer.
func (c *castle) openOurs(t *testing.T) {
	signers := signers(t)
	for kind, why := range map[string]string{"EC": "", "XDH": c.lacks(hkdfSince, "HKDF")} {
		for _, cipher := range []message.Cipher{message.AES256GCM, message.AES128GCM, message.ChaCha20Poly1305} {
			why := why
			if cipher == message.ChaCha20Poly1305 && why == "" {
				why = c.lacks(chachaSince, "ChaCha20-Poly1305")
			}
			t.Run(fmt.Sprintf("%s/%v", kind, cipher), func(t *testing.T) {
				if why != "" {
					t.Skip(why)
				}
				c.openOne(t, kind, &message.SealOptions{Cipher: cipher}, sizes)
				c.openOne(t, kind, &message.SealOptions{Cipher: cipher, Signer: signers["Ed25519"]}, sizes[:3])
			})
		}
	}
	for name, signer := range signers {
		t.Run(name, func(t *testing.T) { c.openOne(t, "EC", &message.SealOptions{Signer: signer}, sizes) })
	}
}

func (c *castle) openOne(t *testing.T, kind string, o *message.SealOptions, sizes []int) {
	t.Helper()
	at := c.workshop.in(t)
	for _, n := range sizes {
		plain := pattern(n)
		at.put("in", seal(t, plain, []*message.Recipient{recipientIn(t, at.get(kind+".pem"))}, o))
		want := ""
		if o.Signer != nil {
			want = "signed"
		}
		signed, err := c.ask(t, "open", at.file(kind+".der"), kind, at.file("in"), at.file("out"), want)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(at.get("out"), plain) || signed != want {
			t.Errorf("%d bytes: it reads something else", n)
		}
	}
}

// sealForUs opens messages that it makes in each way that it has.
func (c *castle) sealForUs(t *testing.T, holders map[string]*message.Key) {
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
		ukm                         string // not with HKDF, of which it is the salt (RFC 8418, Section 2.2): 1.86 leaves that away
		cipher, wrap                string
		signer                      string
		bind                        string // the signature names the certificate
		since                       int
	}{
		{kind: "EC", agreement: cms.OIDStdDHSHA1KDF.String()},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), wrap: cms.OIDAES128Wrap.String(), cipher: cms.OIDAES128GCM.String()},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), ukm: "material"},
		{kind: "EC", agreement: cms.OIDStdDHSHA384KDF.String(), wrap: cms.OIDAES192Wrap.String()},
		{kind: "EC", agreement: cms.OIDStdDHSHA512KDF.String(), attributes: "attributes"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), attributes: "attributes", signer: "Ed25519"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), attributes: "attributes", signer: "ECDSA P-256"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), attributes: "attributes", signer: "ECDSA P-384"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), attributes: "attributes", signer: "RSA-PSS"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), attributes: "attributes", signer: "Ed25519", bind: "bind"},
		{kind: "EC", agreement: cms.OIDStdDHSHA256KDF.String(), attributes: "attributes", signer: "ECDSA P-256", bind: "bind"},
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
		t.Run(fmt.Sprintf("%s/%s/%s/%s%s%s%s", v.kind, v.agreement, v.cipher, v.attributes, v.ukm, v.signer, v.bind), func(t *testing.T) {
			if why := c.lacks(v.since, "such message"); why != "" {
				t.Skip(why)
			}
			for _, n := range sizes {
				plain := pattern(n)
				c.put("in", plain)
				command := []string{"seal", v.cipher, v.agreement, v.wrap, c.file(v.kind + ".pem"), v.attributes, v.ukm, c.file("in"), c.file("out")}
				if v.signer != "" {
					command = append(command, c.file(v.signer+".pem"), c.file(v.signer+".der"), signs[v.signer].algorithm, signs[v.signer].scheme, v.bind)
				}
				if _, err := c.ask(t, command...); err != nil {
					t.Fatal(err)
				}
				o := new(message.OpenOptions)
				if v.signer != "" {
					o.Accept = func(s *message.Signature) error {
						if s.Certificate.Subject.CommonName != v.signer || s.CertificateBound != (v.bind != "") {
							return fmt.Errorf("signed by %v, and that certificate is bound: %v", s.Certificate.Subject, s.CertificateBound)
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
