// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strconv"
	"strings"
	"testing"
)

// A testFunc is a function of a test file: the strings in it, and what else of its
// package it refers to.
type testFunc struct {
	literals map[string]bool
	uses     map[string]bool
}

// testPackage holds the functions, and the variables, of a package's test files.
type testPackage map[string]*testFunc

// has reports whether the package has the test.
func (p testPackage) has(test string) bool { return p[test] != nil }

// hasSubtest reports whether a string that could name the subtest stands in the test
// itself, or in a function or variable of the package's tests that it uses.
func (p testPackage) hasSubtest(test, subtest string) bool {
	seen := make(map[string]bool)
	var visit func(name string) bool
	visit = func(name string) bool {
		f := p[name]
		if f == nil || seen[name] {
			return false
		}
		seen[name] = true
		if f.literals[subtest] {
			return true
		}
		for used := range f.uses {
			if visit(used) {
				return true
			}
		}
		return false
	}
	return visit(test)
}

// add reads a test file.
func (p testPackage) add(file *ast.File) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			p.addDecl(d.Name.Name, d)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					for _, id := range v.Names {
						p.addDecl(id.Name, v)
					}
				}
			}
		}
	}
}

func (p testPackage) addDecl(name string, decl ast.Node) {
	f := p[name]
	if f == nil { // methods of several types may share a name
		f = &testFunc{make(map[string]bool), make(map[string]bool)}
		p[name] = f
	}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				if s, err := strconv.Unquote(n.Value); err == nil {
					f.literals[s] = true
				}
			}
		case *ast.Ident:
			f.uses[n.Name] = n.Name != name
		}
		return true
	})
}

// testPackages reads the tests of each package, by the last part of its path. The
// command's are under "tool".
func testPackages(t *testing.T) map[string]testPackage {
	t.Helper()
	packages := make(map[string]testPackage)
	walk(t, func(name string) {
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		folder := path.Base(path.Dir(name))
		if path.Dir(name) == "." {
			folder = "mayfly"
		} else if folder == "mayfly" {
			folder = "tool"
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if packages[folder] == nil {
			packages[folder] = make(testPackage)
		}
		packages[folder].add(file)
	})
	return packages
}

func TestSubtestsAreBoundToTheirOwnTest(t *testing.T) {
	const source = `package p

var table = []string{"from a table"}

func TestA(t *testing.T) { t.Run("direct", nil); helper(t); for range table {} }

func helper(t *testing.T) { t.Run("by a helper", nil) }

func TestB(t *testing.T) { t.Run("another test's", nil) }
`
	file, err := parser.ParseFile(token.NewFileSet(), "p_test.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	p := make(testPackage)
	p.add(file)
	for subtest, want := range map[string]bool{"direct": true, "by a helper": true, "from a table": true, "another test's": false, "none": false} {
		if got := p.hasSubtest("TestA", subtest); got != want {
			t.Errorf("TestA/%s: got %t, want %t", subtest, got, want)
		}
	}
	if p.has("TestC") || !p.has("TestB") {
		t.Error("the tests of the package are not known")
	}
}
