// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Command structure prints figures of the module's structure: how large the root
// package is, how its files depend on each other, and how many functions know a Conn.
// Its tests hold the figures to limits that only go down, and the rules of who may
// import whom and who may read a clock. It resolves identifiers with go/types.
//
// It must not know what the code does.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	if err := report("."); err != nil {
		fmt.Fprintln(os.Stderr, "structure:", err)
		os.Exit(1)
	}
}

func report(dir string) error {
	sources, err := load(dir, "./...")
	if err != nil {
		return err
	}
	f, err := measure(sources)
	if err != nil {
		return err
	}
	fmt.Printf("root package: files %d, lines %d, longest file %d lines\n", f.Files, f.Lines, f.LongestFile)
	fmt.Printf("largest dependency cycle %d files, mutual pairs %d\n", f.Cycle, f.MutualPairs)
	fmt.Printf("methods of Conn and functions with a *Conn parameter %d\n", f.ConnMethods)
	fmt.Printf("exported identifiers without a doc comment %d\n", f.Undocumented)
	for _, s := range sources {
		if s.path == "" {
			fmt.Printf("the cycle: %s\n", strings.Join(largestCycle(dependencies(s)), " "))
		}
	}
	return nil
}
