// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !unix

package main

import "time"

var started = time.Now()

// processorTime is the time that has passed, for want of a better one.
func processorTime() time.Duration { return time.Since(started) }
