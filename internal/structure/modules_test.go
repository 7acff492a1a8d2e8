// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A modFile is what go.mod and go.work files say.
type modFile struct {
	Go      string
	Require []struct{ Path, Version string }
	Exclude []struct{ Path string }
	Replace []struct {
		Old struct{ Path, Version string }
	}
}

// readModFile reads a go.mod file, or a go.work file.
func readModFile(t *testing.T, name string) (f modFile) {
	t.Helper()
	kind := map[string]string{"go.mod": "mod", "go.work": "work"}[filepath.Base(name)]
	out, err := exec.CommandContext(t.Context(), "go", kind, "edit", "-json", name).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := json.Unmarshal(out, &f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

// needsClone skips a test in a release of the library, which holds no other module.
func needsClone(t *testing.T) {
	t.Helper()
	if !exists("../../cmd/mayfly") {
		t.Skip("the tool is not here: this is no clone of the repository")
	}
}

// required returns the version of the library that a module requires.
func (f modFile) required() string {
	for _, r := range f.Require {
		if r.Path == module {
			return r.Version
		}
	}
	return ""
}

// dependable reports whether the library may require a module.
func dependable(path string) bool {
	return strings.HasPrefix(path, "golang.org/x/") || path == "github.com/cloudflare/circl"
}

func TestLibraryRequiresOnlyModulesOfTheGoProjectAndCircl(t *testing.T) {
	f := readModFile(t, "../../go.mod")
	if len(f.Require) == 0 {
		t.Error("go.mod requires nothing")
	}
	for _, r := range f.Require {
		if !dependable(r.Path) {
			t.Errorf("go.mod requires %s: a program that imports the library would get it", r.Path)
		}
	}
	if len(f.Replace)+len(f.Exclude) > 0 {
		t.Error("go.mod replaces or excludes a module: a program that imports the library would not")
	}
}

// TestReleasedModulesCanBeRequired covers the tool and the modules in contrib: "go install
// …@version" refuses replace directives, and a program that requires a module does not
// inherit them.
func TestReleasedModulesCanBeRequired(t *testing.T) {
	needsClone(t)
	library := readModFile(t, "../../go.mod")
	tool := readModFile(t, "../../cmd/mayfly/go.mod")
	names, err := filepath.Glob("../../contrib/*/go.mod")
	if err != nil || len(names) < 4 {
		t.Fatalf("modules in contrib: %q, %v", names, err)
	}
	for _, name := range append(names, "../../cmd/mayfly/go.mod") {
		f := readModFile(t, name)
		if len(f.Replace)+len(f.Exclude) > 0 {
			t.Errorf("%s replaces or excludes a module", name)
		}
		if f.Go != library.Go {
			t.Errorf("%s asks for Go %s, the library for %s", name, f.Go, library.Go)
		}
		if f.required() == "" || f.required() != tool.required() {
			t.Errorf("%s requires version %q of the library, the tool %q", name, f.required(), tool.required())
		}
	}
}

// TestWorkspacesReplaceTheRequiredVersion shows that a clone builds before the version
// that its modules require is tagged.
func TestWorkspacesReplaceTheRequiredVersion(t *testing.T) {
	needsClone(t)
	want := readModFile(t, "../../cmd/mayfly/go.mod").required()
	names, err := filepath.Glob("../../contrib/*/go.work")
	if err != nil || len(names) < 4 {
		t.Fatalf("workspaces in contrib: %q, %v", names, err)
	}
	for _, name := range append(names, "../../go.work") {
		f := readModFile(t, name)
		if len(f.Replace) != 1 || f.Replace[0].Old.Path != module || f.Replace[0].Old.Version != want {
			t.Errorf("%s replaces %v, not version %s of the library", name, f.Replace, want)
		}
	}
}
