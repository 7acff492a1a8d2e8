// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// FuzzIdentity reads key files: what is read is written as a file of the same key, and
// an error holds nothing of the file.
func FuzzIdentity(f *testing.F) {
	for _, o := range []*owner{people().serverEd, people().serverP256} {
		f.Add(must(o.identity.MarshalPEM()))
		f.Add(o.identity.PublicPEM())
		f.Add(append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.cert.Leaf.Raw}), must(o.identity.MarshalPEM())...))
	}
	sec1 := must(x509.MarshalECPrivateKey(people().clientP256.cert.PrivateKey.(*ecdsa.PrivateKey)))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(people().rsa.cert.PrivateKey))}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sec1}))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, err := mayfly.ParseIdentity(text)
		if err != nil {
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); len(line) > 40 && strings.Contains(err.Error(), line) {
					t.Errorf("the error quotes the file: %v", err)
				}
			}
			return
		}
		again, err := mayfly.ParseIdentity(must(id.MarshalPEM()))
		if err != nil || again.Pin() != id.Pin() {
			t.Errorf("written and read again: %v", err)
		}
		if pin, err := mayfly.PinOf(id.Public()); err != nil || pin != id.Pin() {
			t.Errorf("the pin is that of another key: %v", err)
		}
	})
}

// FuzzPin reads pins: each has one text.
func FuzzPin(f *testing.F) {
	f.Add(people().serverEd.pin())
	f.Add(strings.TrimSuffix(people().serverEd.pin(), "="))
	f.Add("sha256//" + strings.Repeat("A", 43) + "=")
	f.Fuzz(func(t *testing.T, text string) {
		pin, err := mayfly.ParsePin(text)
		if (err == nil) != (pin.String() == text) {
			t.Errorf("%q was read as %v, %v", text, pin, err)
		}
		if _, err2 := mayfly.ParsePins(text); (err2 == nil) != (err == nil) {
			t.Errorf("%q: %v, in a list %v", text, err, err2)
		}
	})
}
