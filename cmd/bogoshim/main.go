// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Command bogoshim is mayfly's shim for BoGo, the protocol tests of BoringSSL
// (ssl/test/runner): a program that the tests run, with flags that say how to set up
// the library, what to do with the connection, and what must be found out about it.
// It is written on the public API alone, and touches no byte of the protocol.
//
// make bogo builds and runs it. It is of no use by itself.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// The exit codes that the tests know.
const (
	exitPassed        = 0
	exitFailed        = 1
	exitUnimplemented = 89
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with its surroundings as arguments.
func run(args []string, stdout, stderr io.Writer) int {
	all, err := parseFlags(args)
	if err == nil {
		if all.initial.isHandshakerSupported {
			fmt.Fprintln(stdout, "No")
			return exitPassed
		}
		err = newShim(all).run()
	}
	switch {
	case err == nil:
		return exitPassed
	case errors.Is(err, errUnimplemented):
		fmt.Fprintln(stderr, err)
		return exitUnimplemented
	}
	fmt.Fprintln(stderr, err)
	return exitFailed
}
