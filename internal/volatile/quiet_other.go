// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !linux

package volatile

// quiet is a time in which the thread takes no signals: on Linux alone.
type quiet struct{}

func (*quiet) begin() {}

func (*quiet) end() {}
