// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package transfer

import "os"

// lockFolder locks nothing: two processes must not receive into one folder.
func lockFolder(*os.Root) (*os.File, error) { return nil, nil }
