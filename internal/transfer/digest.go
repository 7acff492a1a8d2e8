// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// A digest is of all files of a transfer: of a line for each, of its hash, two spaces
// and its path, as sha256sum writes it.
type digest struct {
	h     hash.Hash
	files int64
	bytes int64
}

func newDigest() *digest { return &digest{h: sha256.New()} }

func (d *digest) add(path string, size int64, sum []byte) {
	d.files++
	d.bytes += size
	_, _ = io.WriteString(d.h, hex.EncodeToString(sum)+"  "+path+"\n")
}

func (d *digest) done() done { return done{Files: d.files, Bytes: d.bytes, Sum: d.h.Sum(nil)} }
