// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestUnknownFlags shows that a flag which is not known, or stands for what mayfly does
// not do, ends the shim before it dials: nothing passes because nobody looked.
func TestUnknownFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-no-such-flag"},
		{"-server", "-expect-ech-accept"},
		{"-on-retry-no-such-flag"},
		{"-curves", "60000"},
	} {
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != exitUnimplemented {
			t.Errorf("%q: exit code %d: %s", args, code, errs.String())
		}
	}
	for _, args := range [][]string{{"-port"}, {"-port", "one"}, {"-expect-ocsp-response", "?"}} {
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != exitFailed {
			t.Errorf("%q: exit code %d: %s", args, code, errs.String())
		}
	}
}

// TestHandshaker answers what the tests ask first: whether the handshake can be moved to
// another process in the way of BoringSSL.
func TestHandshaker(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := run([]string{"-is-handshaker-supported"}, &out, &errs); code != exitPassed || strings.TrimSpace(out.String()) != "No" {
		t.Errorf("exit code %d, %q", code, out.String())
	}
}

// TestPrefixes shows that a flag goes to the connections that its prefix names.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	all, err := parseFlags([]string{"-expect-curve-id", "29", "-on-resume-expect-curve-id", "23", "-on-retry-verify-fail", "-on-initial-expect-alpn", "foo"})
	if err != nil {
		t.Fatal(err)
	}
	i, s, r := &all.initial, &all.resume, &all.retry
	if i.expect.curveID != 29 || s.expect.curveID != 23 || r.expect.curveID != 29 ||
		i.verifyFail || s.verifyFail || !r.verifyFail || i.expect.alpn != "foo" || s.expect.alpn != "" {
		t.Errorf("%+v", all)
	}
}
