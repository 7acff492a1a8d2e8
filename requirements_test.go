// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestRequirements holds the list of the RFC's requirements against the tests: each row
// names some, or says why it is not ours, and each test that is named exists.
func TestRequirements(t *testing.T) {
	text, err := os.ReadFile("testdata/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	packages := testPackages(t)
	named := regexp.MustCompile("`([a-z]+)\\.((?:Test|Fuzz)\\w+)(?:/([^`]+))?`")
	section := regexp.MustCompile(`^(\d+|[A-F])(\.\d+)*$`)
	rows, seen := 0, make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 || strings.HasPrefix(line, "| Section") {
			continue
		}
		rows++
		where, requirement, shown := strings.TrimPrefix(cells[0], "| "), cells[1], strings.TrimSuffix(cells[2], " |")
		if !section.MatchString(where) || seen[where+requirement] {
			t.Errorf("a row without a section, or one that is there twice: %s", line)
		}
		seen[where+requirement] = true
		tests := named.FindAllStringSubmatch(shown, -1)
		if len(tests) == 0 && !strings.HasPrefix(shown, "not ours: ") {
			t.Errorf("%s, %q: no test shows it", where, requirement)
		}
		for _, m := range tests {
			if p := packages[m[1]]; !p.has(m[2]) {
				t.Errorf("%s, %q: there is no %s.%s", where, requirement, m[1], m[2])
			} else if m[3] != "" && !p.hasSubtest(m[2], m[3]) {
				t.Errorf("%s, %q: %s.%s has no %q", where, requirement, m[1], m[2], m[3])
			}
		}
	}
	if rows < 150 {
		t.Errorf("the list has only %d rows", rows)
	}
}
