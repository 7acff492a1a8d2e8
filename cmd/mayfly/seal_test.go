// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"filippo.io/age/armor"

	"github.com/mayfly-tls/mayfly/message"
)

// mailbox is a directory with a key, its recipient string, and a file.
type mailbox struct {
	t                  *testing.T
	dir                string
	key, pin, receiver string
	plain              []byte
}

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	m := &mailbox{t: t, dir: t.TempDir()}
	m.key, m.pin = keygen(t)
	out, errs, code := runMayfly(t, "recipient", m.key)
	if code != 0 || !strings.HasPrefix(out, "mfpub1") {
		t.Fatalf("recipient: %d, %s%s", code, out, errs)
	}
	m.receiver = strings.TrimSpace(out)
	m.plain = bytes.Repeat([]byte("a line of the file\n"), 50_000)
	m.put("plain", m.plain)
	return m
}

func (m *mailbox) file(name string) string { return filepath.Join(m.dir, name) }

func (m *mailbox) put(name string, b []byte) {
	m.t.Helper()
	if err := os.WriteFile(m.file(name), b, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// want runs the command, which must end with a code, and say something.
func (m *mailbox) want(code int, says string, args ...string) (stdout string) {
	m.t.Helper()
	out, errs, got := runMayfly(m.t, args...)
	if got != code || !strings.Contains(errs, says) {
		m.t.Errorf("%s: %d, %s", strings.Join(args, " "), got, errs)
	}
	return out
}

func (m *mailbox) same(name string) {
	m.t.Helper()
	if b, err := os.ReadFile(m.file(name)); err != nil || !bytes.Equal(b, m.plain) {
		m.t.Errorf("%s is not what was sealed: %v", name, err)
	}
}

// absent checks that a file is not there, nor anything that was to become it.
func (m *mailbox) absent(name string) {
	m.t.Helper()
	if _, err := os.Stat(m.file(name)); err == nil {
		m.t.Errorf("%s was written", name)
	}
	if left, _ := filepath.Glob(m.file(".mayfly-*")); len(left) > 0 {
		m.t.Errorf("left behind: %v", left)
	}
}

func TestSealOpen(t *testing.T) {
	m := newMailbox(t)
	for name, more := range map[string][]string{
		"CMS": nil, "mail": {"--mime"}, "age": {"--age"}, "AES-128": {"--cipher", "aes-128-gcm"}, "ChaCha": {"--cipher", "ChaCha20-Poly1305"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &mailbox{t, t.TempDir(), m.key, m.pin, m.receiver, m.plain}
			m.put("plain", m.plain)
			m.want(0, "", append([]string{"seal", "-r", m.receiver, "-o", m.file("sealed"), m.file("plain")}, more...)...)
			m.want(0, "", "open", "-i", m.key, "-o", m.file("out"), m.file("sealed"))
			m.same("out")
			if out := m.want(0, "", "open", "-i", m.key, m.file("sealed")); out != string(m.plain) {
				t.Error("standard output is something else")
			}
			sealed, err := os.ReadFile(m.file("sealed"))
			if err != nil {
				t.Fatal(err)
			}
			other, _ := keygen(t)
			m.want(exitFailed, "not sealed for this key", "open", "-i", other, "-o", m.file("none"), m.file("sealed"))
			m.absent("none")
			m.put("cut", sealed[:len(sealed)*2/3])
			says := "its end is missing"
			if name == "age" {
				says = "not authentic" // it cannot tell a cut within a chunk from a change
			}
			m.want(exitFailed, says, "open", "-i", m.key, "-o", m.file("none"), m.file("cut"))
			m.absent("none")
			changed := bytes.Clone(sealed)
			if at := len(sealed) / 2; changed[at] == 'A' {
				changed[at] = 'B'
			} else {
				changed[at] = 'A'
			}
			m.put("changed", changed)
			m.want(exitFailed, "not authentic", "open", "-i", m.key, "-o", m.file("none"), m.file("changed"))
			m.absent("none")
		})
	}
}

func TestSealSigned(t *testing.T) {
	m := newMailbox(t)
	signer, pin := keygen(t)
	for _, form := range [][]string{nil, {"--mime"}} {
		m.want(0, "", append([]string{"seal", "-r", m.receiver, "-i", signer, "-o", m.file("sealed"), m.file("plain")}, form...)...)
		m.want(0, "", "open", "-i", m.key, "--from", pin, "-o", m.file("out"), m.file("sealed"))
		m.same("out")
		m.want(exitFailed, "by nobody who is accepted", "open", "-i", m.key, "--from", m.pin, "-o", m.file("none"), m.file("sealed"))
		m.absent("none")
	}
	m.want(0, "", "seal", "-r", m.receiver, "-i", signer, "-o", m.file("sealed"), m.file("plain"))
	m.want(0, "signed by "+pin, "open", "-i", m.key, "--from", "any", "-o", m.file("out"), m.file("sealed"))
	m.same("out")
	m.want(0, "a signed message is inside", "open", "-i", m.key, "-o", m.file("inside"), m.file("sealed"))
	m.want(0, "", "seal", "-r", m.receiver, "-o", m.file("again"), m.file("inside"))
	m.want(0, "", "open", "-i", m.key, "--from", pin, "-o", m.file("out"), m.file("again"))
	m.same("out")
	m.want(0, "", "seal", "-r", m.receiver, "-o", m.file("sealed"), m.file("plain"))
	m.want(exitFailed, "not signed", "open", "-i", m.key, "--from", pin, "-o", m.file("none"), m.file("sealed"))
	m.absent("none")
	m.want(0, "", "seal", "--age", "-r", m.receiver, "-o", m.file("sealed"), m.file("plain"))
	m.want(exitFailed, "not signed", "open", "-i", m.key, "--from", pin, m.file("sealed"))
}

func TestSealMisuse(t *testing.T) {
	m := newMailbox(t)
	m.want(exitUsage, "a pin is the hash of a key", "seal", "-r", m.pin, m.file("plain"))
	m.want(exitUsage, "say for whom", "seal", m.file("plain"))
	m.want(exitUsage, "checksum is wrong", "seal", "-r", m.receiver[:len(m.receiver)-1], m.file("plain"))
	m.want(exitUsage, "a string that begins with mfpub1", "seal", "-r", "somebody", m.file("plain"))
	m.want(exitUsage, "holds no certificate", "seal", "-r", m.key, m.file("plain"))
	m.want(exitUsage, "there is no cipher", "seal", "-r", m.receiver, "--cipher", "rot13", m.file("plain"))
	m.want(exitUsage, "goes with none of", "seal", "-r", m.receiver, "--age", "--mime", m.file("plain"))
	m.want(exitUsage, "no such file", "seal", "-r", m.receiver, m.file("absent"))
	m.want(exitUsage, "is never overwritten", "seal", "-r", m.receiver, "-o", m.key, m.file("plain"))
	m.want(0, "", "pin", m.key)
	if err := os.Truncate(m.file("plain"), 1<<36); err != nil { // sparse
		t.Log(err)
	} else {
		m.want(exitUsage, "longer than a message with AES-128-GCM may be, 64 GiB: --age", "seal", "-r", m.receiver, "--cipher", "aes-128-gcm", m.file("plain"))
		m.put("plain", m.plain)
	}
	m.want(exitUsage, "say with which key", "open", m.file("plain"))
	m.want(exitFailed, "is no sealed message", "open", "-i", m.key, m.file("plain"))
	m.put("empty", nil)
	m.want(exitFailed, "its end is missing", "open", "-i", m.key, m.file("empty"))
}

// TestKeygenAdd adds an encryption key to a file of an older version's.
func TestKeygenAdd(t *testing.T) {
	m := newMailbox(t)
	text, err := os.ReadFile(m.key)
	if err != nil {
		t.Fatal(err)
	}
	end := []byte("-----END PRIVATE KEY-----\n")
	old := text[:bytes.Index(text, end)+len(end)-1] // without the last newline
	m.put("old", old)
	m.want(exitUsage, "keygen --add", "recipient", m.file("old"))
	m.want(0, "", "keygen", "--add", "-o", m.file("old"))
	m.want(exitUsage, "has a key for messages already", "keygen", "--add", "-o", m.file("old"))
	if pin := strings.TrimSpace(m.want(0, "", "pin", m.file("old"))); pin != m.pin {
		t.Errorf("the pin is %s, and was %s", pin, m.pin)
	}
	receiver := strings.TrimSpace(m.want(0, "", "recipient", m.file("old")))
	m.want(0, "", "seal", "-r", receiver, "-o", m.file("sealed"), m.file("plain"))
	m.want(0, "", "open", "-i", m.file("old"), "-o", m.file("out"), m.file("sealed"))
	m.same("out")
}

// TestSealCertificate seals for the certificate of a key.
func TestSealCertificate(t *testing.T) {
	m := newMailbox(t)
	m.put("cert.pem", []byte(m.want(0, "", "recipient", "--certificate", m.key)))
	m.want(0, "", "seal", "-r", m.file("cert.pem"), "-o", m.file("sealed"), m.file("plain"))
	m.want(0, "", "open", "-i", m.key, "-o", m.file("out"), m.file("sealed"))
	m.same("out")
}

// pair writes NAME.pem and NAME.key, a certificate that its key has signed.
func (m *mailbox) pair(name string, key crypto.Signer, usage x509.KeyUsage, until time.Time) {
	m.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, KeyUsage: usage, IsCA: true, BasicConstraintsValid: true,
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		m.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		m.t.Fatal(err)
	}
	m.put(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	m.put(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// TestSealWithX509 has the one side and the other known by X.509 certificates.
func TestSealWithX509(t *testing.T) {
	m := newMailbox(t)
	tomorrow := time.Now().Add(24 * time.Hour)
	nist := func() crypto.Signer {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	encryption := nist()
	m.pair("to", encryption, x509.KeyUsageKeyAgreement|x509.KeyUsageCertSign, tomorrow)
	m.pair("expired", encryption, x509.KeyUsageKeyAgreement, tomorrow.AddDate(0, 0, -3))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"ecdsa": nist(), "rsa": rsaKey} {
		m.pair(name, key, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign, tomorrow)
		for _, form := range []string{"--mime=false", "--mime"} {
			m.want(0, "", "seal", "-r", m.file("to.pem"), "-r", m.receiver, "--cert", m.file(name+".pem"), "--cert-key", m.file(name+".key"), form, "-o", m.file("sealed"), m.file("plain"))
			for _, key := range []string{m.key, m.file("to.key")} {
				m.want(0, `("CN=`+name+`")`, "open", "-i", key, "--ca", m.file(name+".pem"), "-o", m.file("out"), m.file("sealed"))
				m.same("out")
			}
			m.want(exitFailed, "no accepted authority", "open", "-i", m.key, "--ca", m.file("to.pem"), "-o", m.file("none"), m.file("sealed"))
			m.absent("none")
		}
	}
	m.want(exitUsage, "has expired", "seal", "-r", m.file("expired.pem"), m.file("plain"))
	m.want(exitUsage, "does not allow its key to agree", "seal", "-r", m.file("ecdsa.pem"), m.file("plain"))
	m.want(exitUsage, "RSA", "seal", "-r", m.file("rsa.pem"), m.file("plain"))
	m.want(exitUsage, "does not allow its key to sign", "seal", "-r", m.receiver, "--cert", m.file("to.pem"), "--cert-key", m.file("to.key"), m.file("plain"))
	m.want(exitUsage, "does not match", "seal", "-r", m.receiver, "--cert", m.file("ecdsa.pem"), "--cert-key", m.file("to.key"), m.file("plain"))
	m.want(exitUsage, "cert-key", "seal", "-r", m.receiver, "--cert", m.file("ecdsa.pem"), m.file("plain"))
	m.want(exitUsage, "identity", "seal", "-r", m.receiver, "-i", m.key, "--cert", m.file("ecdsa.pem"), "--cert-key", m.file("ecdsa.key"), m.file("plain"))
}

// TestSignedBy shows which names are printed, and what is said of one that the signature does
// not cover.
func TestSignedBy(t *testing.T) {
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}}
	const note = "the signature does not cover the name"
	cert.EmailAddresses = []string{"alice@example.com", "\x1b[2J@example.com"}
	email := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "a+b@example.com"}
	mailed := &x509.Certificate{Subject: pkix.Name{CommonName: "alice", Names: []pkix.AttributeTypeAndValue{email}}}
	if line := signedBy(&message.Signature{Certificate: mailed, CertificateBound: true}, true); !strings.Contains(line, `("CN=alice,emailAddress=a\\+b@example.com")`) {
		t.Error(line)
	}
	for _, v := range []struct{ named, bound bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		line := signedBy(&message.Signature{Certificate: cert, CertificateBound: v.bound}, v.named)
		if strings.Contains(line, `("CN=alice", "alice@example.com", "\x1b[2J@example.com")`) != v.named || strings.Contains(line, note) != (v.named && !v.bound) {
			t.Errorf("named %v, covered %v: %s", v.named, v.bound, line)
		}
	}
}

// TestOutput has something in the output's place: a file, a link, a device, a
// directory.
func TestOutput(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes and links are Unix's")
	}
	m := newMailbox(t)
	m.want(0, "", "seal", "-r", m.receiver, "-o", m.file("sealed"), m.file("plain"))
	mode := func(name string, want os.FileMode) {
		t.Helper()
		if info, err := os.Lstat(m.file(name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	open := func(code int, name string) { m.want(code, "", "open", "-i", m.key, "-o", name, m.file("sealed")) }
	open(0, m.file("new"))
	mode("new", 0o600)
	m.put("old", []byte("old"))
	if err := os.Chmod(m.file("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	open(0, m.file("old"))
	mode("old", 0o640)
	m.put("aim", []byte("untouched"))
	if err := errors.Join(os.Chmod(m.file("aim"), 0o644), os.Symlink("aim", m.file("link"))); err != nil {
		t.Fatal(err)
	}
	open(0, m.file("link"))
	mode("link", 0o600)
	m.same("link")
	if b, _ := os.ReadFile(m.file("aim")); string(b) != "untouched" {
		t.Error("a symbolic link was followed")
	}
	open(0, os.DevNull)
	if info, err := os.Lstat(os.DevNull); err != nil || info.Mode()&os.ModeDevice == 0 {
		t.Fatalf("%s is %v now, %v", os.DevNull, info.Mode(), err)
	}
	open(exitUsage, m.dir)
	m.put("in and out", m.plain)
	m.want(0, "", "seal", "-r", m.receiver, "-o", m.file("in and out"), m.file("in and out"))
	m.want(0, "", "open", "-i", m.key, "-o", m.file("in and out"), m.file("in and out"))
	m.same("in and out")
	m.absent("none")
}

// TestSpoolLimit bounds what is kept of standard input.
func TestSpoolLimit(t *testing.T) {
	t.Parallel()
	m := newMailbox(t)
	m.put("long", make([]byte, 3<<20))
	m.want(0, "", "seal", "-r", m.receiver, "-o", m.file("sealed"), m.file("long"))
	sealed, err := os.ReadFile(m.file("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[string]int{"1": exitFailed, "4": 0, "0": 0, "-1": exitUsage} {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"open", "-i", m.key, "--spool", limit, "-o", m.file("out")}, io.MultiReader(bytes.NewReader(sealed)), &out, &errs)
		if code != want || want == exitFailed && !strings.Contains(errs.String(), "larger than the limit") {
			t.Errorf("--spool %s: %d, %s", limit, code, &errs)
		}
	}
	m.absent("none")
}

// TestAgeErrors says what is the matter with a file, and quotes none of it.
func TestAgeErrors(t *testing.T) {
	t.Parallel()
	m := newMailbox(t)
	k, err := message.LoadKey(m.key)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	m.want(0, "", "seal", "--age", "-r", m.receiver, "-o", m.file("sealed"), m.file("plain"))
	sealed, err := os.ReadFile(m.file("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]struct {
		r    io.Reader
		want error
	}{
		"stanza":    {strings.NewReader(ageIntro + "-> evil evil\nevil!\n--- evil\n"), message.ErrDamaged},
		"long":      {strings.NewReader(ageIntro + "-> " + strings.Repeat("evil ", 1<<20)), message.ErrDamaged},
		"crowd":     {strings.NewReader(ageIntro + strings.Repeat("-> evil\n\n", 2000) + "--- evil\n"), message.ErrDamaged},
		"no end":    {strings.NewReader(ageIntro), message.ErrTruncated},
		"header":    {io.MultiReader(strings.NewReader(ageIntro+"-> x"), iotest.ErrReader(broken)), broken},
		"chunk":     {io.MultiReader(bytes.NewReader(sealed[:len(sealed)/2]), iotest.ErrReader(broken)), broken},
		"cut":       {bytes.NewReader(sealed[:len(sealed)/2]), message.ErrNotAuthentic},
		"last byte": {bytes.NewReader(sealed[:len(sealed)-1]), message.ErrNotAuthentic},
		"more":      {io.MultiReader(bytes.NewReader(sealed), strings.NewReader("x")), message.ErrNotAuthentic},
	} {
		r, err := openAge(v.r, k)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.Is(err, v.want) || strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: %.100v", name, err)
		}
	}
}

// TestOpenArmoredAge opens armored files of the age format, as editors and mail programs leave
// them, and names those that are cut or damaged.
func TestOpenArmoredAge(t *testing.T) {
	m := newMailbox(t)
	m.want(0, "", "seal", "--age", "-r", m.receiver, "-o", m.file("binary"), m.file("plain"))
	binary, err := os.ReadFile(m.file("binary"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	w := armor.NewWriter(&b)
	if _, err := w.Write(binary); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	lines := strings.SplitAfter(text, "\n")
	const cut, damaged = "its end is missing", "it is damaged"
	for name, v := range map[string]struct{ text, says string }{
		"as it is":               {text, ""},
		"with CRLF":              {strings.ReplaceAll(text, "\n", "\r\n"), ""},
		"behind a mark and gaps": {"\ufeff\n \t\n" + text, ""},
		"before gaps":            {text + "\n\n", ""},
		"cut after a line":       {strings.Join(lines[:100], ""), cut},
		"only a header":          {lines[0], cut},
		"cut in a line":          {text[:5000], damaged},
		"with a line too many":   {lines[0] + "evil\n" + strings.Join(lines[1:], ""), damaged},
		"before other text":      {text + "evil\n", damaged},
		"with an endless line":   {lines[0] + strings.Repeat("A", 1<<20), damaged},
		"without an end":         {strings.Join(lines[:len(lines)-2], "") + "evil\n", damaged},
	} {
		m.put("armored", []byte(v.text))
		if v.says == "" {
			m.want(0, "", "open", "-i", m.key, "-o", m.file("out"), m.file("armored"))
			m.same("out")
			continue
		}
		_, errs, code := runMayfly(t, "open", "-i", m.key, "-o", m.file("none"), m.file("armored"))
		if code != exitFailed || !strings.Contains(errs, v.says) || strings.Contains(errs, "evil") {
			t.Errorf("%s: %d, %.200s", name, code, errs)
		}
		m.absent("none")
	}
	m.want(exitFailed, "which is not signed", "open", "-i", m.key, "--from", "any", m.file("armored"))
}

// TestAge exchanges files with the age tool.
func TestAge(t *testing.T) {
	age, err := exec.LookPath("age")
	if err != nil {
		if os.Getenv("MAYFLY_REQUIRE_PEERS") == "1" {
			t.Fatal("age is not installed, and MAYFLY_REQUIRE_PEERS is set")
		}
		t.Skip("age is not installed")
	}
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(bounded(t), name, args...).Output()
		if err != nil {
			t.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
		return string(out)
	}
	m := newMailbox(t)
	theirs := strings.TrimSpace(m.want(0, "", "recipient", "--age", m.key))
	run(age, "-r", theirs, "-o", m.file("sealed"), m.file("plain"))
	m.want(0, "", "open", "-i", m.key, "-o", m.file("out"), m.file("sealed"))
	m.same("out")

	run(age, "-a", "-r", theirs, "-o", m.file("armored"), m.file("plain"))
	m.want(0, "", "open", "-i", m.key, "-o", m.file("out"), m.file("armored"))
	m.same("out")

	k, err := message.LoadKey(m.key)
	if err != nil {
		t.Fatal(err)
	}
	m.put("identity", []byte(k.AgeIdentity()+"\n"))
	m.want(0, "", "seal", "--age", "-r", m.receiver, "-o", m.file("sealed"), m.file("plain"))
	if out := run(age, "-d", "-i", m.file("identity"), m.file("sealed")); out != string(m.plain) {
		t.Error("age reads something else")
	}
}
