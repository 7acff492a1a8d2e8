// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"go/ast"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

// limits are what the figures may be at most. They only go down: a change that
// improves a figure lowers its limit.
var limits = figures{
	Files:        43,
	Lines:        9082,
	LongestFile:  600,
	Cycle:        28,
	MutualPairs:  40,
	ConnMethods:  118,
	Undocumented: 0,
}

// repository loads the packages of the library and the tool once for all tests.
var repository = sync.OnceValues(func() ([]*source, error) { return load("../..", "./...", "./cmd/mayfly/...") })

func packages(t *testing.T) []*source {
	t.Helper()
	needsClone(t)
	sources, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

func TestFiguresStayWithinLimits(t *testing.T) {
	f, err := measure(packages(t))
	if err != nil {
		t.Fatal(err)
	}
	got, most := reflect.ValueOf(f), reflect.ValueOf(limits)
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		t.Logf("%-12s %5d of %5d", name, got.Field(i).Int(), most.Field(i).Int())
		if got.Field(i).Int() > most.Field(i).Int() {
			t.Errorf("%s is %d, at most %d", name, got.Field(i).Int(), most.Field(i).Int())
		}
	}
	if f.Files == 0 || f.ConnMethods == 0 {
		t.Error("the root package was not measured")
	}
}

// withoutIO are the packages that read no clock, start no goroutine and reach no
// file, socket or process.
var withoutIO = []string{"handshake", "internal/handover", "internal/resumption", "record", "transcript", "internal/wire", "internal/schedule", "internal/credential", "internal/kex", "internal/suite", "internal/alert", "internal/volatile", "internal/cms", "internal/content", "internal/keywrap", "cmd/mayfly/internal/dissect"}

// forbidden are the functions that withoutIO must not use, by package. An empty list
// stands for all of its functions and variables.
var forbidden = map[string][]string{
	"time":                  {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Reset"},
	"sync":                  {"Go"},
	"context":               {"AfterFunc", "WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"},
	"net":                   nil,
	"os":                    nil,
	"os/exec":               nil,
	"os/signal":             nil,
	"io/ioutil":             nil,
	"log":                   nil,
	"net/http":              nil,
	"syscall":               nil,
	"golang.org/x/sys/unix": nil,
}

// permitted are the exceptions: what volatile asks the kernel for.
var permitted = map[string][]string{
	"internal/volatile": {"golang.org/x/sys/unix"},
}

func TestInnerPackagesReadNoClockAndReachNothingOutside(t *testing.T) {
	seen := 0
	for _, s := range packages(t) {
		if !slices.Contains(withoutIO, s.path) {
			continue
		}
		seen++
		for _, what := range breaches(s) {
			t.Error(what)
		}
	}
	if seen != len(withoutIO) {
		t.Errorf("%d packages were looked at, of %d", seen, len(withoutIO))
	}
}

// breaches names each use of what is forbidden in a package.
func breaches(s *source) (found []string) {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if s.path == "internal/volatile" {
					break // Do gives a function a stack of its own, and waits for it
				}
				found = append(found, s.fset.Position(n.Pos()).String()+" starts a goroutine")
			case *ast.Ident:
				if obj := s.info.Uses[n]; isForbidden(s.path, obj) {
					found = append(found, s.fset.Position(n.Pos()).String()+" uses "+obj.Pkg().Path()+"."+obj.Name())
				}
			}
			return true
		})
	}
	return found
}

func isForbidden(user string, obj types.Object) bool {
	switch obj.(type) {
	case *types.Func, *types.Var:
	default:
		return false
	}
	if obj.Pkg() == nil || slices.Contains(permitted[user], obj.Pkg().Path()) {
		return false
	}
	if v, ok := obj.(*types.Var); ok && v.IsField() {
		return false
	}
	names, listed := forbidden[obj.Pkg().Path()]
	return listed && (len(names) == 0 || slices.Contains(names, obj.Name()))
}

// A package that breaks each rule once, by ways that a look at the names in the source
// would miss.
const breaking = `package breaking

import (
	. "context"
	clock "time"
	"sync"
	"syscall"
)

var until = clock.Until

func f() {
	var wg sync.WaitGroup
	wg.Go(func() {})
	AfterFunc(Background(), func() {})
	syscall.Socket(1, 2, 3)
	go f()
}
`

func TestRulesFindWhatHidesBehindOtherNames(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "go.mod", "module "+module+"\n\ngo 1.26\n")
	write(t, dir, "record/breaking.go", breaking)
	sources, err := load(dir, "./...")
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Join(breaches(sources[0]), "\n")
	for _, want := range []string{"time.Until", "sync.Go", "context.AfterFunc", "syscall.Socket", "starts a goroutine"} {
		if !strings.Contains(found, want) {
			t.Errorf("%s was not found in:\n%s", want, found)
		}
	}
}

func TestFiguresOfAKnownPackage(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "go.mod", "module "+module+"\n\ngo 1.26\n")
	write(t, dir, "a.go", "package mayfly\n\ntype Conn struct{ inner }\n\nfunc (c *Conn) A() { b() }\n")
	write(t, dir, "b.go", "package mayfly\n\ntype inner struct{}\n\nfunc (inner) Promoted() {}\n\nfunc b() { c(nil) }\n")
	write(t, dir, "c.go", "package mayfly\n\nfunc c(conn *Conn) { conn.A() }\n")
	write(t, dir, "d.go", "package mayfly\n\nfunc d() { e() }\n")
	write(t, dir, "e.go", "package mayfly\n\nfunc e() { d() }\n\nvar local = func(b int) int { return b }\n")
	sources, err := load(dir, "./...")
	if err != nil {
		t.Fatal(err)
	}
	f, err := measure(sources)
	if err != nil {
		t.Fatal(err)
	}
	want := figures{Files: 5, Lines: 23, LongestFile: 7, Cycle: 3, MutualPairs: 1, ConnMethods: 3, Undocumented: 2}
	if f != want {
		t.Errorf("got %+v, want %+v", f, want)
	}
}

func TestReport(t *testing.T) {
	needsClone(t)
	if err := report("../.."); err != nil {
		t.Error(err)
	}
	if err := report(t.TempDir()); err == nil {
		t.Error("a folder without a module was measured")
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
