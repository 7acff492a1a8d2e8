// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package compress

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"testing"
)

func TestZlibShortensOrReturnsNothing(t *testing.T) {
	message := bytes.Repeat([]byte("certificate "), 100)
	short, err := Zlib(message)
	if err != nil || len(short) == 0 || len(short) >= len(message) {
		t.Fatalf("%d bytes of %d, %v", len(short), len(message), err)
	}
	r, err := zlib.NewReader(bytes.NewReader(short))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, message) {
		t.Errorf("another message came out: %v", err)
	}
	if got, err := Zlib([]byte("abc")); err != nil || got != nil {
		t.Errorf("a message that does not get shorter: %q, %v", got, err)
	}
}

func TestRememberAsksOncePerMessage(t *testing.T) {
	asked, failure := 0, errors.New("failed")
	get := Remember(func(m []byte) ([]byte, error) {
		if asked++; m[0] == 'x' {
			return nil, failure
		}
		return m[:1], nil
	})
	for range 3 {
		if b, err := get([]byte("ab")); err != nil || string(b) != "a" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	for range 2 {
		if _, err := get([]byte("x")); err != failure {
			t.Error(err)
		}
	}
	if asked != 3 {
		t.Errorf("a failure was remembered: asked %d times", asked)
	}
	for i := range byte(2 * maxRemembered) {
		if b, err := get([]byte{i, 1}); err != nil || b[0] != i {
			t.Fatalf("%v, %v", b, err)
		}
	}
}
