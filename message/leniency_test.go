// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/message"
)

// TestContainersThatProgramsWrite changes what surrounds a message as mail programs,
// editors and mail boxes do. The message opens.
func TestContainersThatProgramsWrite(t *testing.T) {
	t.Parallel()
	k, recipient := newKey(t)
	to := []*message.Recipient{recipient}
	plain := pattern(1000)
	der := seal(t, plain, to, nil)
	mail := string(seal(t, plain, to, &message.SealOptions{MIME: true}))
	armored := string(pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: der}))
	head, body, _ := strings.Cut(mail, "\r\n\r\n")
	lines := func(before, after string) string {
		return before + strings.ReplaceAll(strings.TrimSuffix(body, "\r\n"), "\r\n", after+"\r\n"+before) + after + "\r\n"
	}
	typed := func(parameters string) string {
		return "MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; " + parameters + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body
	}
	const mark = "\ufeff"
	long := strings.Repeat("X-Filler: "+strings.Repeat("x", 60)+"\r\n", 10_000) // 720,000 bytes
	for name, text := range map[string]string{
		"a mail":                                mail,
		"blanks behind lines of base64":         head + "\r\n\r\n" + lines("", " \t "),
		"blanks before lines of base64":         head + "\r\n\r\n" + lines(" \t", ""),
		"a byte order mark before a mail":       mark + mail,
		"a From line of an mbox":                "From alice@example.org Sat Nov 28 10:00:00 2026\n" + mail,
		"a name without quotes":                 typed("smime-type=authEnveloped-data; name=my smime file.p7m"),
		"a name in UTF-8":                       typed("name=\"größe.p7m\"; smime-type=authEnveloped-data"),
		"a name in UTF-8 without quotes":        typed("smime-type=authEnveloped-data; name=größe.p7m"),
		"a name with a semicolon":               typed("name=\"a; smime-type=x\"; smime-type=authEnveloped-data"),
		"an empty parameter":                    typed("smime-type=authEnveloped-data; name="),
		"smime-type=enveloped-data":             typed("smime-type=enveloped-data"),
		"fields of 720,000 bytes":               long + mail,
		"one field of 720,000 bytes":            "X-Filler: " + strings.ReplaceAll(long, "\r\n", " ") + "\r\n" + mail,
		"PEM":                                   armored,
		"PEM with text before it":               "Dear Bob,\n\nthis is for you: see below.\n\n" + armored,
		"PEM with a field of a mail before it":  "Subject: hello\n\n" + armored,
		"PEM with a byte order mark":            mark + armored,
		"PEM with blanks behind its boundaries": strings.ReplaceAll(armored, "CMS-----\n", "CMS----- \t\n"),
		"PEM with blanks around its lines":      " " + strings.ReplaceAll(armored, "\n", " \t\n "),
		"DER with newlines behind it":           string(der) + "\r\n\n",
		"DER with NULs behind it":               string(der) + strings.Repeat("\x00", 512),
		"DER with 64 KiB of NULs behind it":     string(der) + strings.Repeat("\x00", 64<<10),
	} {
		if got, err := open([]byte(text), k, nil); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for name, v := range map[string]struct {
		text string
		want error
	}{
		"fields of more than 1 MiB":          {long + long + mail, message.ErrDamaged},
		"text of more than 1 MiB before PEM": {strings.Repeat("text\n", 220_000) + armored, message.ErrDamaged},
		"letters behind DER":                 {string(der) + "\nx", message.ErrDamaged},
		"more than 64 KiB of NULs behind":    {string(der) + strings.Repeat("\x00", 64<<10+1), message.ErrDamaged},
		"two types":                          {"Content-Type: text/plain\r\n" + mail, message.ErrDamaged},
		"two smime-types":                    {typed("smime-type=authEnveloped-data; smime-type=signed-data"), message.ErrDamaged},
		"only signed":                        {typed("smime-type=signed-data"), message.ErrUnsupported},
		"letters in base64":                  {head + "\r\n\r\n" + lines("", "!"), message.ErrDamaged},
		"NULs in base64":                     {head + "\r\n\r\n" + lines("", "\x00"), message.ErrDamaged},
		"another block of PEM":               {"text\n" + strings.ReplaceAll(armored, "CMS", "CERTIFICATE"), message.ErrDamaged},
		"text alone":                         {"Dear Bob,\n\nhello\n", message.ErrDamaged},
	} {
		if got, err := open([]byte(v.text), k, nil); !errors.Is(err, v.want) || len(got) > 0 {
			t.Errorf("%s: %d bytes, %v; want %v", name, len(got), err, v.want)
		}
	}
	// The first key of a file counts, also behind a byte order mark.
	keyText, err := k.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	_, encryption := pem.Decode(keyText) // behind the identity
	marked := key(t, append([]byte(mark), encryption...))
	if got, err := open(der, marked, nil); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("a key behind a byte order mark: %v", err)
	}
}
