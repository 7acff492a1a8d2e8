// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !linux || race

package memscan_test

import "testing"

// TestMemory is there on Linux alone, and not under the race detector, whose
// memory is not the library's.
func TestMemory(t *testing.T) { t.Skip("not measured") }
