// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/message"
)

// TestFIPSModes runs processes with GODEBUG=fips140. In the mode "on" messages are sealed,
// signed and opened; in the mode "only" everything is refused, and nothing panics.
func TestFIPSModes(t *testing.T) {
	switch os.Getenv("MAYFLY_TEST_FIPS") {
	case "on":
		k, to := newKey(t)
		for name, s := range signers(t) {
			sealed := seal(t, []byte("text"), []*message.Recipient{to}, &message.SealOptions{Signer: s})
			got, err := open(sealed, k, &message.OpenOptions{Accept: anybody})
			if err != nil || string(got) != "text" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		return
	case "only":
		refusedInFIPSMode(t)
		return
	}
	for _, mode := range []string{"on", "only"} {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPSModes$", "-test.timeout=2m")
		child.Env = append(os.Environ(), "MAYFLY_TEST_FIPS="+mode, "GODEBUG=fips140="+mode)
		out, err := child.CombinedOutput()
		if err != nil && (bytes.Contains(out, []byte("FIPS 140-3 mode is")) || bytes.Contains(out, []byte("fips140: "))) {
			t.Skipf("FIPS 140-3 mode is not available: %.200s", out)
		}
		if err != nil {
			t.Errorf("fips140=%s: %v\n%.3000s", mode, err, out)
		}
	}
}

func refusedInFIPSMode(t *testing.T) {
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"NewKey":               func() error { _, err := message.NewKey(id); return err },
		"ParseKey":             func() error { _, err := message.ParseKey(nil); return err },
		"LoadKey":              func() error { _, err := message.LoadKey("key"); return err },
		"NewSigner":            func() error { _, err := message.NewSigner(id); return err },
		"CertificateSigner":    func() error { _, err := message.CertificateSigner(tls.Certificate{}); return err },
		"ParseRecipient":       func() error { _, err := message.ParseRecipient("mfpub1"); return err },
		"CertificateRecipient": func() error { _, err := message.CertificateRecipient(&x509.Certificate{}); return err },
		"Seal":                 func() error { _, err := message.Seal(io.Discard, []*message.Recipient{{}}, nil); return err },
		"Open":                 func() error { _, err := message.Open(strings.NewReader(""), &message.Key{}, nil); return err },
	} {
		if err := f(); !errors.Is(err, mayfly.ErrConfig) || !strings.Contains(err.Error(), "fips140=only") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
