// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mayfly-tls/mayfly"
)

// explain has a command, and those below it, say in our words what is wrong with a
// command line, and where to read more.
func explain(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		explain(sub)
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see %s --help", flagSentence(err), cmd.CommandPath())
	})
	if cmd.HasSubCommands() {
		cmd.SuggestionsMinimumDistance = 2
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		return
	}
	if fits := cmd.Args; fits != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if fits(cmd, args) == nil {
				return nil
			}
			return argumentError(cmd, args)
		}
	}
}

// explainHelp has help find fault with commands that there are not.
func explainHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		panic(err) // it has just been made
	}
	show := help.Run
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		if of, rest, _ := root.Find(args); len(rest) > 0 {
			return unknownCommand(of, rest[0])
		}
		show(cmd, args)
		return nil
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	meant := ""
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		meant = " (" + strings.Join(near, " or ") + ", perhaps)"
	}
	return fmt.Errorf("unknown command %q%s: see %s --help", name, meant, cmd.CommandPath())
}

// argumentError says what a command takes.
func argumentError(cmd *cobra.Command, args []string) error {
	takes, given := "no arguments", "nothing"
	if names := arguments(cmd.Use); len(names) > 0 {
		takes = strings.Join(names, " ")
	}
	if len(args) > 0 {
		given = strings.Trim(fmt.Sprintf("%q", args), "[]")
	}
	return fmt.Errorf("%s takes %s, and was given %s: see %s --help", cmd.Name(), takes, given, cmd.CommandPath())
}

// flagSentence is err without the words of a parser of numbers.
func flagSentence(err error) error {
	e, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	takes := map[string]string{
		"int": "a whole number", "int64": "a whole number", "bool": "true or false",
		"duration": "a time with its unit, as in 90s, 15m or 2h",
	}[e.GetFlag().Value.Type()]
	if takes == "" {
		return err
	}
	return fmt.Errorf("--%s takes %s, and not %q", e.GetFlag().Name, takes, e.GetValue())
}

// apart refuses flags of which one is enough.
func apart(f *pflag.FlagSet, names ...string) error {
	given := slices.DeleteFunc(names, func(name string) bool { return !f.Changed(name) })
	if len(given) > 1 {
		return fmt.Errorf("--%s do not go together: give one of them", strings.Join(given, " and --"))
	}
	return nil
}

// checkAddress says what is wrong with the address of a listener, or of one to dial.
func checkAddress(addr string, dialled bool) error {
	host, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil && dialled, err == nil && dialled && host == "":
		return fmt.Errorf("%q is no address to dial: say host:port", addr)
	case err != nil:
		return fmt.Errorf("%q is no address to listen on: say host:port, or :port", addr)
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return fmt.Errorf("%q is no address: what stands behind the colon is the number of a port, up to 65535", addr)
	}
	return nil
}

// parsePins reads the values of a flag.
func parsePins(flag string, values []string) ([]mayfly.Pin, error) {
	var pins []mayfly.Pin
	for _, s := range values {
		pin, err := mayfly.ParsePin(s)
		if err != nil {
			return nil, fmt.Errorf("--%s: %q is no pin, which is sha256// and 44 characters more, as keygen and pin print it", flag, s)
		}
		pins = append(pins, pin)
	}
	return pins, nil
}

// sentence is err on one line, without the name of the package.
func sentence(err error) string {
	s := err.Error()
	for _, name := range []string{"mayfly: ", "message: ", "transfer: "} {
		s = strings.TrimPrefix(s, name)
	}
	return printable(strings.ReplaceAll(s, "\n", "; "))
}

// printable is s without what a terminal would obey: names of files may be a peer's.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
