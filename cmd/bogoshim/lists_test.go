// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const lists = "../../testdata/bogo/"

func readLines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(lists + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// TestLists shows that each of the tests either must pass or is excused by a sentence,
// and that nobody is excused who is not there.
func TestLists(t *testing.T) {
	t.Parallel()
	core, must := readLines(t, "core-tests.txt"), readLines(t, "must-pass.txt")
	b, err := os.ReadFile(lists + "bogo.json")
	if err != nil {
		t.Fatal(err)
	}
	var config struct{ DisabledTests map[string]string }
	if err := json.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	if len(core) != 1436 {
		t.Errorf("there are %d tests", len(core))
	}
	excuses := make(map[string]int)
	for _, name := range core {
		excused := false
		for pattern := range config.DisabledTests {
			if ok, err := path.Match(pattern, name); err != nil {
				t.Fatal(err)
			} else if ok {
				excused = true
				excuses[pattern]++
			}
		}
		if slices.Contains(must, name) == excused {
			t.Errorf("%s: must it pass, or is it excused?", name)
		}
	}
	for _, name := range must {
		if !slices.Contains(core, name) {
			t.Errorf("%s must pass, and there is no such test", name)
		}
	}
	for pattern, reason := range config.DisabledTests {
		if excuses[pattern] == 0 {
			t.Errorf("%s excuses no test", pattern)
		}
		if !strings.HasSuffix(reason, ".") || len(strings.Fields(reason)) < 3 {
			t.Errorf("%s: %q is no sentence", pattern, reason)
		}
	}
}

// TestAreas shows that each of the tests counts in some area, and that each area has
// some.
func TestAreas(t *testing.T) {
	t.Parallel()
	var areas []*regexp.Regexp
	for _, line := range readLines(t, "areas.txt") {
		_, expr, ok := strings.Cut(line, "\t")
		if !ok {
			t.Fatalf("%q has no expression", line)
		}
		areas = append(areas, regexp.MustCompile(expr))
	}
	counts := make([]int, len(areas))
	for _, name := range readLines(t, "core-tests.txt") {
		i := slices.IndexFunc(areas, func(re *regexp.Regexp) bool { return re.MatchString(name) })
		if i < 0 {
			t.Fatalf("%s is in no area", name)
		}
		counts[i]++
	}
	if i := slices.Index(counts, 0); i >= 0 {
		t.Errorf("no test is in area %d", i)
	}
}

// TestScore holds the number in the README against the list.
func TestScore(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := len(readLines(t, "must-pass.txt"))
	if want := fmt.Sprintf("| mayfly | %d,%03d |", n/1000, n%1000); !strings.Contains(string(b), want) {
		t.Errorf("the README does not say %q", want)
	}
}
