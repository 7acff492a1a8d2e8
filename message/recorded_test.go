// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/message"
)

// recorded are messages of OpenSSL 3.0 (openssl-*) and Bouncy Castle 1.86 (bc-*), and
// the key that opens them.
func recorded(t testing.TB) map[string]*message.Key {
	t.Helper()
	files, err := filepath.Glob("testdata/recorded/*-*")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	all := make(map[string]*message.Key)
	for _, f := range files {
		name := "p256"
		if strings.Contains(f, "x25519") {
			name = "x25519"
		}
		text, err := os.ReadFile("testdata/recorded/" + name + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		all[f] = key(t, text)
	}
	return all
}

// TestRecorded opens messages that other programs have sealed.
func TestRecorded(t *testing.T) {
	t.Parallel()
	for file, k := range recorded(t) {
		sealed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var o message.OpenOptions
		signer, bound := "", false
		if strings.Contains(file, "signed") {
			o.Accept = func(s *message.Signature) error {
				signer, bound = s.Certificate.Subject.CommonName, s.CertificateBound
				return nil
			}
		}
		got, err := open(sealed, k, &o)
		if want := "The content of a message that another program has sealed."; err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
		if (signer == "signer") != (o.Accept != nil) || bound != strings.Contains(file, "cades") {
			t.Errorf("%s: signed by %q, and the certificate is bound: %v", file, signer, bound)
		}
		// Those of Bouncy Castle have authenticated attributes, which Seal makes none of.
		// They are behind the content, where nothing is forgiven.
		from := len(sealed)
		if strings.HasSuffix(file, ".p7m") {
			from = bytes.LastIndex(sealed, []byte{4, 12}) + 14 // the nonce
		}
		for i := range 8 * len(sealed) {
			if i/8 < max(from, len(sealed)-80) && i%8 != i/8%8 {
				continue // one bit of each byte before the attributes and the tag
			}
			changed := bytes.Clone(sealed)
			changed[i/8] ^= 1 << (i % 8)
			other, err := leak(changed, k, &o)
			if err == nil && (!bytes.Equal(other, got) || i/8 >= from) || err != nil && (len(other) > 0 || !isRefusal(err)) {
				t.Errorf("%s, byte %d of %d, from %d: %q, %v", file, i/8, len(sealed), from, other, err)
			}
		}
	}
}

// FuzzOpen opens anything: CMS, PEM and mails. No other content comes of what begins
// as a message that the key opens.
func FuzzOpen(f *testing.F) {
	keys := make(map[*message.Key]bool)
	for file, k := range recorded(f) {
		sealed, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sealed)
		keys[k] = true
	}
	f.Add([]byte("MIME-Version: 1.0\nContent-Type: application/pkcs7-mime;\n smime-type=authEnveloped-data\nContent-Transfer-Encoding: base64\n\nMIAA\n"))
	f.Add([]byte("-----BEGIN CMS-----\nMIAA\n-----END CMS-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for k := range keys {
			for _, o := range []*message.OpenOptions{nil, {Accept: anybody}} {
				m, err := message.Open(bytes.NewReader(b), k, o)
				if err != nil {
					if !isRefusal(err) {
						t.Errorf("%v", err)
					}
					continue
				}
				got, err := io.ReadAll(m)
				if err != nil || !bytes.Contains(got, []byte("The content of a message")) && !bytes.Contains(got, []byte("MIME-Version")) {
					t.Errorf("%q, %v", got, err)
				}
			}
		}
	})
}

// TestMail reads mails as programs write them.
func TestMail(t *testing.T) {
	t.Parallel()
	k, to := newKey(t)
	sealed := string(seal(t, []byte("text"), []*message.Recipient{to}, &message.SealOptions{MIME: true}))
	for line := range strings.Lines(sealed) {
		if !strings.HasSuffix(line, "\r\n") || len(line) > 78 {
			t.Errorf("a line is %q", line)
		}
	}
	_, body, _ := strings.Cut(sealed, "\r\n\r\n")
	const base64 = "Content-Transfer-Encoding: base64\n"
	for name, v := range map[string]struct {
		head string
		err  error
	}{
		"plain":          {"Content-Type: application/pkcs7-mime\n" + base64, nil},
		"folded":         {"Subject: a\n mail\nContent-Type: application/pkcs7-mime;\n\tsmime-type=\"authEnveloped-data\";\n\tname=\"smime.p7m\"\n" + base64, nil},
		"case":           {"CONTENT-TYPE: Application/PKCS7-MIME; SMIME-Type=AUTHENVELOPED-DATA\nContent-transfer-encoding: BASE64\n", nil},
		"old":            {"Content-Type: application/x-pkcs7-mime\n" + base64, nil},
		"signed":         {"Content-Type: application/pkcs7-mime; smime-type=signed-data\n" + base64, message.ErrUnsupported},
		"text":           {"Content-Type: text/plain\n" + base64, message.ErrUnsupported},
		"multipart":      {"Content-Type: multipart/signed; boundary=x\n" + base64, message.ErrUnsupported},
		"no type":        {base64, message.ErrDamaged},
		"no encoding":    {"Content-Type: application/pkcs7-mime\n", message.ErrUnsupported},
		"quoted":         {"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: quoted-printable\n", message.ErrUnsupported},
		"no header":      {"text\n", message.ErrDamaged},
		"endless":        {"Subject: " + strings.Repeat("a ", 40_000) + "\n", message.ErrDamaged},
		"endless folded": {"Subject: a\n" + strings.Repeat(" a\n", 40_000), message.ErrDamaged},
	} {
		if got, err := open([]byte(v.head+"\n"+body), k, nil); !errors.Is(err, v.err) || err == nil && string(got) != "text" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		crlf := strings.ReplaceAll(v.head, "\n", "\r\n") + "\r\n" + body
		if _, err := open([]byte(crlf), k, nil); !errors.Is(err, v.err) {
			t.Errorf("%s, CRLF: %v", name, err)
		}
	}
	head := "Content-Type: application/pkcs7-mime\n" + base64 + "\n"
	for name, bad := range map[string]string{"letter": "?" + body, "behind": strings.TrimSpace(body) + "\n?", "dash": strings.TrimSpace(body) + "\n--x--"} {
		if got, err := open([]byte(head+bad), k, nil); !isRefusal(err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
