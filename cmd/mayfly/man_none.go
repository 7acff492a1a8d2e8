// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !man

package main

import "github.com/spf13/cobra"

func generators() []*cobra.Command { return nil }
