// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// promises reads the table of docs/stability.md: whether the API of a package follows the
// version number, by the package's path. The root package is "mayfly" there.
func promises(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/stability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Packages\n")
	section, _, _ = strings.Cut(section, "\n## ")
	promised := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\| (.*) \| (.*) \|$`).FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			if _, ok := promised[name[1]]; ok {
				t.Errorf("docs/stability.md names %s twice", name[1])
			}
			promised[name[1]] = !strings.HasPrefix(row[2], "none")
		}
	}
	return promised
}

func TestPackageCommentsAgreeWithStabilityPage(t *testing.T) {
	promised := promises(t)
	seen := 0
	for _, s := range packages(t) {
		if strings.Contains("/"+s.path, "/internal/") || s.pkg.Name() == "main" {
			continue
		}
		seen++
		name := s.path
		if name == "" {
			name = path.Base(module)
		}
		promise, ok := promised[name]
		if !ok {
			t.Errorf("docs/stability.md does not name %s", name)
			continue
		}
		want := "This package promises no compatibility"
		if promise {
			want = "The API of this package follows the version number"
		}
		if !strings.Contains(s.comment(), want) {
			t.Errorf("the comment of package %s does not say %q, as docs/stability.md has it", name, want)
		}
		delete(promised, name)
	}
	if seen < 9 {
		t.Errorf("only %d packages were looked at", seen)
	}
	for name := range promised {
		if dir := strings.TrimSuffix(name, "/…"); !exists("../../" + dir) {
			t.Errorf("docs/stability.md names %s, which does not exist", name)
		}
	}
}

// comment returns the package comment, with its line breaks as spaces.
func (s *source) comment() string {
	var all strings.Builder
	for _, f := range s.files {
		all.WriteString(strings.Join(strings.Fields(f.Doc.Text()), " "))
	}
	return all.String()
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
