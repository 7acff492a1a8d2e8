// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// choices are the values of flags that have few.
var choices = map[string][]string{
	"cipher":     {"aes-256-gcm", "aes-128-gcm", "chacha20-poly1305"},
	"log-format": {"text", "json"},
	"log-level":  {"debug", "info", "warn", "error"},
}

// complete has shells offer what a command takes: the values of flags that have
// few, and names of files where the usage speaks of a file or a folder.
func complete(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		complete(sub)
	}
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		kind, _ := pflag.UnquoteUsage(f)
		switch {
		case err != nil || kind == "file":
		case choices[f.Name] != nil:
			err = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(choices[f.Name], cobra.ShellCompDirectiveNoFileComp))
		case f.Name != "recipient": // a certificate's file, too
			err = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
	})
	if err != nil {
		panic(err) // a flag that has just been seen is not there
	}
	if cmd.HasSubCommands() {
		return
	}
	arguments := arguments(cmd.Use)
	cmd.ValidArgsFunction = func(_ *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, directive(arguments, len(given))
	}
}

// arguments are those of a usage line, without flags and their values.
func arguments(use string) []string {
	var names []string
	fields := strings.Fields(use)[1:]
	for i := 0; i < len(fields); i++ {
		if strings.HasPrefix(strings.TrimPrefix(fields[i], "["), "-") {
			i++
			continue
		}
		names = append(names, fields[i])
	}
	return names
}

// directive says whether argument n is the name of a file or a folder.
func directive(arguments []string, n int) cobra.ShellCompDirective {
	if len(arguments) > 0 && strings.HasSuffix(arguments[len(arguments)-1], "...") {
		n = min(n, len(arguments)-1)
	}
	if n >= len(arguments) {
		return cobra.ShellCompDirectiveNoFileComp
	}
	switch name := strings.Trim(arguments[n], "[]."); {
	case name == "FOLDER":
		return cobra.ShellCompDirectiveFilterDirs
	case strings.HasSuffix(name, "FILE"):
		return cobra.ShellCompDirectiveDefault
	}
	return cobra.ShellCompDirectiveNoFileComp
}
