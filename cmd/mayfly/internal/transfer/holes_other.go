// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !unix

package transfer

import "io/fs"

// hasHoles is not known here: files are sent without holes.
func hasHoles(fs.FileInfo) bool { return false }
