// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Command sealing measures how fast messages are sealed and opened: package message
// beside the ciphers by themselves, and the tool beside openssl cms and age, in turn,
// round after round. It prints the medians as tables. What counts is processor time,
// which other work on the machine hardly changes; but time by the clock shows what more
// than one processor makes of ChaCha20-Poly1305. Run it in the directory bench:
//
//	go run ./sealing
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	size := flag.Int64("size", 1<<30, "how many `bytes` are sealed")
	rounds := flag.Int("rounds", 3, "how often each measurement is repeated; the median counts")
	flag.Parse()
	if *size < slice || *rounds < 1 {
		exit(errors.New("-size is at least 32 MiB, and -rounds 1"))
	}
	fmt.Printf("%s, %s/%s, %d processors, %d MiB\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), *size>>20)
	exit(library(*size, *rounds))
	exit(tools(*size, *rounds))
}

// exit ends the program if there is an error.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "sealing:", err)
		os.Exit(1)
	}
}

// A usage is what a run has taken.
type usage struct {
	wall, processor time.Duration
	memory          int64 // bytes at most; 0 if it is not known
}

// median takes the median of each figure.
func median(runs []usage) usage {
	of := func(f func(usage) int64) int64 {
		var all []int64
		for _, r := range runs {
			all = append(all, f(r))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return usage{
		wall:      time.Duration(of(func(u usage) int64 { return int64(u.wall) })),
		processor: time.Duration(of(func(u usage) int64 { return int64(u.processor) })),
		memory:    of(func(u usage) int64 { return u.memory }),
	}
}

// rate is in MiB for a second of processor time.
func (u usage) rate(size int64) string {
	return fmt.Sprintf("%.0f MiB/s", float64(size)/(1<<20)/u.processor.Seconds())
}

func row(cells ...string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }
