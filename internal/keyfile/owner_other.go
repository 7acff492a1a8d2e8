// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !unix

package keyfile

import "io/fs"

func ownedByRoot(fs.FileInfo) bool { return false }
