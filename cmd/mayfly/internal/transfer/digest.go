// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strings"
)

// A digest is of all files of a transfer: of a line for each, of its hash, two spaces
// and its path, as sha256sum writes it, which marks a line whose path has such characters
// that they must be escaped.
type digest struct {
	h     hash.Hash
	files int64
	bytes int64
}

func newDigest() *digest { return &digest{h: sha256.New()} }

var escaper = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`)

func (d *digest) add(path filePath, size int64, sum []byte) {
	d.files++
	d.bytes += size
	mark, escaped := "", escaper.Replace(string(path))
	if escaped != string(path) {
		mark = `\`
	}
	_, _ = io.WriteString(d.h, mark+hex.EncodeToString(sum)+"  "+escaped+"\n")
}

func (d *digest) done() done { return done{Files: d.files, Bytes: d.bytes, Sum: d.h.Sum(nil)} }
