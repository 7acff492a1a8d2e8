// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build man

package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// generators are commands that no user needs. They are in no program but that of
// `make man`: what turns text into manual pages has no business beside keys.
func generators() []*cobra.Command {
	return []*cobra.Command{{
		Use:   "man DIR",
		Short: "Write the manual pages",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.RemoveCommand(cmd)
			root.DisableAutoGenTag = true
			root.InitDefaultHelpCmd()
			root.InitDefaultCompletionCmd()
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "mayfly", Manual: "mayfly"}, args[0])
		},
	}}
}
