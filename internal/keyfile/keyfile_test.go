// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package keyfile

import (
	"io/fs"
	"testing"
	"time"
)

// A file has the permissions that it says, and no owner that the system knows.
type file fs.FileMode

func (f file) Name() string       { return "key" }
func (f file) Size() int64        { return 0 }
func (f file) Mode() fs.FileMode  { return fs.FileMode(f) }
func (f file) ModTime() time.Time { return time.Time{} }
func (f file) IsDir() bool        { return false }
func (f file) Sys() any           { return nil }

func TestPrivateWithoutAKnownOwner(t *testing.T) {
	for mode, want := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o660: false, fs.ModeNamedPipe | 0o644: true,
	} {
		if got := Private(file(mode)); got != want {
			t.Errorf("%v: %t, want %t", mode, got, want)
		}
	}
}

func TestTrimMark(t *testing.T) {
	for text, want := range map[string]string{"\ufeff-----BEGIN": "-----BEGIN", "-----BEGIN": "-----BEGIN", "": ""} {
		if got := string(TrimMark([]byte(text))); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
