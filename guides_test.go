// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// programs are the complete programs in a guide: those of its Go blocks, and what
// stands before and after each of its changes.
func programs(t *testing.T, guide string) []string {
	t.Helper()
	b, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, block := range regexp.MustCompile("(?s)```(go|diff)\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		if block[1] == "go" {
			found = append(found, block[2])
			continue
		}
		var before, after strings.Builder
		for line := range strings.Lines(block[2]) {
			switch rest := line[1:]; line[0] {
			case '-':
				before.WriteString(rest)
			case '+':
				after.WriteString(rest)
			case ' ', '\n':
				before.WriteString(strings.TrimPrefix(line, " "))
				after.WriteString(strings.TrimPrefix(line, " "))
			default:
				t.Fatalf("%s: a line of a change begins with %q", guide, line[0])
			}
		}
		found = append(found, before.String(), after.String())
	}
	return found
}

// TestGuides builds the programs of README and guides.
func TestGuides(t *testing.T) {
	needsClone(t)
	t.Parallel()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	var packages []string
	for guide, least := range map[string]int{"README.md": 1, "docs/from-crypto-tls.md": 8, "docs/from-noise.md": 1} {
		found := programs(t, guide)
		if len(found) < least {
			t.Errorf("%s has %d programs", guide, len(found))
		}
		for i, text := range found {
			if !strings.HasPrefix(text, "package main\n") {
				t.Errorf("%s: a block is no program: %.40q", guide, text)
				continue
			}
			if formatted, err := format.Source([]byte(text)); err != nil || string(formatted) != text {
				t.Errorf("%s: program %d is not as gofmt has it: %v", guide, i, err)
			}
			pkg := fmt.Sprintf("%s-%d", strings.TrimSuffix(filepath.Base(guide), ".md"), i)
			file := filepath.Join(dir, pkg+".go")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay["Replace"][filepath.Join(wd, "internal", "guides", pkg, "main.go")] = file
			packages = append(packages, "./internal/guides/"+pkg)
		}
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", append([]string{"build", "-buildvcs=false", "-overlay", file}, packages...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestGuideFromTLS shows that the guide leaves no field of a tls.Config and no method
// of a tls.Conn without a word.
func TestGuideFromTLS(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("docs/from-crypto-tls.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(b), "## Field by field")
	named := make(map[string]bool)
	for line := range strings.Lines(tables) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, name := range regexp.MustCompile("`(\\w+)").FindAllStringSubmatch(cells[1], -1) {
				named[name[1]] = true
			}
		}
	}
	config := reflect.TypeFor[tls.Config]()
	for i := range config.NumField() {
		if f := config.Field(i); f.IsExported() && !named[f.Name] {
			t.Errorf("tls.Config.%s", f.Name)
		}
	}
	conn := reflect.TypeFor[*tls.Conn]()
	for i := range conn.NumMethod() {
		if m := conn.Method(i); !named[m.Name] {
			t.Errorf("tls.Conn.%s", m.Name)
		}
	}
}

// TestGuideErrors shows that the guide of errors has every error value and every alert.
func TestGuideErrors(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	guide, found := string(b), 0
	for _, pattern := range []string{"*.go", "message/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range regexp.MustCompile(`(?m)^(?:var|\t)\s*(Err[A-Z]\w*)\b.*=`).FindAllStringSubmatch(string(text), -1) {
				if found++; !strings.Contains(guide, "`"+v[1]+"`") {
					t.Errorf("%s is not in it", v[1])
				}
			}
		}
	}
	for code := range 256 {
		name := mayfly.AlertCode(code).String()
		if strings.HasPrefix(name, "alert(") {
			continue
		}
		if found++; !strings.Contains(guide, "\n| `"+name+"` |") {
			t.Errorf("%s is not in it", name)
		}
	}
	if found < 40 {
		t.Errorf("only %d were looked for", found)
	}
}
