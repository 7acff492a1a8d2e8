// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPin(t *testing.T) {
	t.Parallel()
	// RFC 7469's own example, in the form of curl.
	const example = "sha256//d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="
	p, err := ParsePin(example)
	if err != nil || p.String() != example {
		t.Fatalf("%v, %v", p, err)
	}
	b, err := json.Marshal(map[string]Pin{"pin": p})
	if err != nil || string(b) != `{"pin":"`+example+`"}` {
		t.Errorf("%s, %v", b, err)
	}
	var back map[string]Pin
	if err := json.Unmarshal(b, &back); err != nil || back["pin"] != p {
		t.Errorf("%v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"pin":"sha256//"}`), &back); err == nil {
		t.Error("half a pin was accepted")
	}
	if !p.is(p) || p.is(Pin{}) {
		t.Error("the comparison is wrong")
	}
	id := seeded(1)
	if q, err := PinOf(id.Public()); err != nil || q != id.Pin() {
		t.Errorf("PinOf: %v, %v", q, err)
	}
	if _, err := PinOf("no key"); err == nil {
		t.Error("a string has a pin")
	}
	for _, s := range []string{
		"", "sha256//", "sha256/" + example[8:], "SHA256//" + example[8:], example[8:], example[:len(example)-1],
		example + "=", " " + example, example + "\n", example + ";" + example, example[:20] + "\n" + example[20:],
		strings.Replace(example, "WmM=", "WmN=", 1), // another encoding of the same bytes
		strings.Replace(example, "d", "-", 1), "sha256//" + strings.Repeat("A", 88),
	} {
		if p, err := ParsePin(s); err == nil {
			t.Errorf("%q was read as %v", s, p)
		} else if s != "" && strings.Contains(err.Error(), s[8%len(s):]) && len(s) > 8 {
			t.Errorf("the error repeats %q", s)
		}
	}
}

func TestPins(t *testing.T) {
	t.Parallel()
	good := seeded(1).Pin().String()
	if _, err := ParsePins(good, "bad"); err == nil || !strings.Contains(err.Error(), "index 1") {
		t.Errorf("a bad pin: %v", err)
	}
	if _, err := ParsePins(); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("no pin: %v", err)
	}
	func() {
		defer func() {
			if s, ok := recover().(string); !ok || !strings.Contains(s, "this is not a pin") {
				t.Errorf("panicked with %q", s)
			}
		}()
		MustParsePins(good, "bad")
	}()
}

func TestPinSet(t *testing.T) {
	t.Parallel()
	a, b, c := seeded(1).Pin(), seeded(2).Pin(), seeded(3).Pin()
	list := []Pin{a, b}
	s := NewPinSet(list...)
	list[0] = c
	has := func(want ...bool) {
		t.Helper()
		for i, p := range []Pin{a, b, c} {
			if s.Contains(p) != want[i] {
				t.Errorf("pin %d: %t", i, !want[i])
			}
		}
	}
	has(true, true, false)
	s.Add(c, c)
	has(true, true, true)
	s.Remove(c)
	has(true, true, false)
	s.Replace(c)
	has(false, false, true)
	s.Replace()
	has(false, false, false)
}
