// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package testvec

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "name.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	t.Parallel()
	tr, err := Load(write(t, "# comment\n\nserver: do (same as client)\nclient: do\nhash =\nkey_x = 0aff\n"))
	if err != nil {
		t.Fatal(err)
	}
	if tr.Name != "name" || len(tr.Steps) != 2 {
		t.Fatalf("trace %q of %d steps", tr.Name, len(tr.Steps))
	}
	same, step := tr.Steps[0], tr.Steps[1]
	if same.What != "do" || same.Same != "same as client" || tr.Resolve(same) != step {
		t.Errorf("step %+v resolves to %+v", same, tr.Resolve(same))
	}
	if !reflect.DeepEqual(step.Names(), []string{"hash", "key_x"}) {
		t.Errorf("names %q", step.Names())
	}
	if v := step.Value("hash"); v == nil || len(v) != 0 {
		t.Errorf("an empty value is %v", v)
	}
	if v := step.Value("key_x"); !reflect.DeepEqual(v, []byte{0x0a, 0xff}) {
		t.Errorf("key_x is %x", v)
	}
	if v := step.Value("missing"); v != nil {
		t.Errorf("a missing value is %v", v)
	}
}

func TestLoadRejects(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"x = 00\n":                        "before the first step",
		"client: a\nx = 00\nx = 01\n":     "twice",
		"client: a\nx = 0\n":              "odd length",
		"client: a\nx = zz\n":             "invalid byte",
		"middle: a\n":                     "unknown side",
		"client: a\nneither\n":            "neither",
		"client: a\n\n# c\nx = 00 # no\n": "invalid byte",
	} {
		if _, err := Load(write(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	if _, err := LoadValues(write(t, "client: a\n")); err == nil {
		t.Error("LoadValues took a step")
	}
}

// TestRecordsKeys checks that each sender's keys and numbers are followed.
func TestRecordsKeys(t *testing.T) {
	t.Parallel()
	tr, err := Load(write(t, `
client: send handshake record
payload = 01000000
complete_record = 160303000401000000
server: derive read traffic keys for handshake data
PRK = 01
key_expanded = 02
iv_expanded = 03
client: send change_cipher_spec record
payload = 01
complete_record = 140303000101
client: derive write traffic keys for handshake data (same as server handshake data read traffic keys)
client: send handshake record
payload = 0500000014000000
complete_record = 1703030000
client: send change_cipher_spec record
payload = 01
complete_record = 140303000101
client: send alert record
payload = 0100
complete_record = 1703030000
`))
	if err != nil {
		t.Fatal(err)
	}
	records, err := tr.Records()
	if err != nil {
		t.Fatal(err)
	}
	type fact struct {
		typ   uint8
		label string
		seq   uint64
	}
	var got []fact
	for _, r := range records {
		got = append(got, fact{r.Type, r.Label, r.Seq})
	}
	want := []fact{{22, "", 0}, {20, "", 0}, {22, "c hs traffic", 0}, {20, "", 0}, {21, "c hs traffic", 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
	messages, err := tr.Messages()
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) != 3 || messages[2].Who != "client" || messages[2].Raw[0] != 20 {
		t.Errorf("messages %v", messages)
	}
}
