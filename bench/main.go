// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Command bench runs mayfly beside crypto/tls and flynn/noise on the same work, in
// turn, round after round, and prints the medians as a table with ratios. The raw
// cipher and the bare transport stand beside them as the limits.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 5, "how often each measurement is repeated; the median counts")
	span := flag.Duration("time", 250*time.Millisecond, "how long one measurement takes")
	only := flag.String("run", "", "measure only what matches this `pattern`")
	picture := flag.String("svg", "", "also draw the table into this `file`")
	child := flag.Bool("without-aes", false, "measure ChaCha20-Poly1305 alone and print JSON: for this program's own use")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: -run:", err)
		os.Exit(2)
	}
	if *child {
		t, err := measure(chachaWorks(), pattern, *rounds, *span)
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(t)
		}
		exit(err)
		return
	}
	fmt.Printf("%s, %s/%s, %d processors\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	t, err := measure(aesWorks(), pattern, *rounds, *span)
	exit(err)
	more, err := withoutAES(*rounds, *span, *only)
	exit(err)
	rest, err := measure(otherWorks(), pattern, *rounds, *span)
	exit(err)
	t = append(append(t, more...), rest...)
	t.print(os.Stdout)
	if *picture != "" {
		exit(os.WriteFile(*picture, t.svg(), 0o644))
	}
}

// exit ends the program if there is an error.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// withoutAES measures ChaCha20-Poly1305 in a process of its own, whose processor
// seems to have no instructions for AES: crypto/tls would not choose it otherwise.
func withoutAES(rounds int, span time.Duration, only string) (t table, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-without-aes", "-rounds", strconv.Itoa(rounds), "-time", span.String(), "-run", only)
	cmd.Env = append(os.Environ(), "GODEBUG=cpu.aes=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &t)
	}
	return t, err
}

// A work is something that several libraries do, and a figure that says how well.
type work struct {
	name  string
	unit  string
	less  bool // a smaller figure is better
	parts []part
}

// A part is one library's way to do a work. run does it for about span, and returns
// the figure.
type part struct {
	name string
	run  func(span time.Duration) (float64, error)
}

// measure does all works that match, each round with each library once.
func measure(all []work, pattern *regexp.Regexp, rounds int, span time.Duration) (table, error) {
	var t table
	for _, w := range all {
		if !pattern.MatchString(w.name) {
			continue
		}
		figures := make([][]float64, len(w.parts))
		for round := range rounds {
			for i := range w.parts {
				// Nobody is always first, nor always behind the same one.
				i = (i + round) % len(w.parts)
				runtime.GC()
				debug.FreeOSMemory()
				figure, err := w.parts[i].run(span)
				if err != nil {
					return t, fmt.Errorf("%s, %s: %w", w.name, w.parts[i].name, err)
				}
				figures[i] = append(figures[i], figure)
			}
		}
		r := row{Work: w.name, Unit: w.unit, Less: w.less}
		for i, p := range w.parts {
			r.Cells = append(r.Cells, cell{p.name, median(figures[i])})
		}
		t = append(t, r)
	}
	return t, nil
}
