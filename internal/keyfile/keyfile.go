// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package keyfile reads what surrounds a private key in a file: whether the permissions
// protect it, and where its PEM begins.
package keyfile

import (
	"bytes"
	"io/fs"
)

// Advice says what to do about a file that is not Private, after its name.
const Advice = "is open to others than its owner: chmod 600 %[1]s, and if they may have read it, make a new one; a file of root may also be readable by one group (mode 640), as a Kubernetes secret with fsGroup is"

// Private reports whether a file is the owner's only. It accepts what PostgreSQL accepts:
// a file of another owner than root must have no permissions for its group and others. A
// file of root may be readable by its group where the process is not root: root has chosen
// that group, and such a process has no other way to read it. What is no regular file has
// no permissions that count.
func Private(info fs.FileInfo) bool {
	mode := info.Mode()
	if !mode.IsRegular() || mode.Perm()&0o077 == 0 {
		return true
	}
	return mode.Perm()&0o037 == 0 && ownedByRoot(info)
}

// TrimMark returns PEM without the byte order mark that some editors put before text in
// UTF-8. pem.Decode would pass over the first block behind it.
func TrimMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }
