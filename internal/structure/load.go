// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is the path of the module that is measured.
const module = "github.com/mayfly-tls/mayfly"

// A source is one package of the module, parsed and type-checked as it is built for
// this platform, without its tests.
type source struct {
	path  string // relative to the module; "" is the root package
	dir   string
	fset  *token.FileSet
	files []*ast.File
	pkg   *types.Package
	info  *types.Info
}

// listed is what go list says of a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	Standard                bool
	Module                  *struct{ Path string }
}

// load reads the packages of the module at dir that match the patterns. It takes the
// types of what they import from the compiler's export data.
func load(dir string, patterns ...string) ([]*source, error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Standard,Module"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	exports := make(map[string]string)
	var ours []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[l.ImportPath] = l.Export
		if l.Module != nil && (l.Module.Path == module || strings.HasPrefix(l.Module.Path, module+"/")) && len(l.GoFiles) > 0 {
			ours = append(ours, l)
		}
	}
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	var sources []*source
	for _, l := range ours {
		s, err := check(l, lookup)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// check parses a package and resolves its identifiers.
func check(l listed, lookup importer.Lookup) (*source, error) {
	s := &source{
		path: strings.TrimPrefix(strings.TrimPrefix(l.ImportPath, module), "/"),
		dir:  l.Dir,
		fset: token.NewFileSet(),
		info: &types.Info{
			Uses:       make(map[*ast.Ident]types.Object),
			Defs:       make(map[*ast.Ident]types.Object),
			Selections: make(map[*ast.SelectorExpr]*types.Selection),
		},
	}
	for _, name := range l.GoFiles {
		f, err := parser.ParseFile(s.fset, filepath.Join(l.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, f)
	}
	conf := types.Config{Importer: importer.ForCompiler(s.fset, "gc", lookup)}
	pkg, err := conf.Check(l.ImportPath, s.fset, s.files, s.info)
	s.pkg = pkg
	return s, err
}

// fileOf returns the name of the file that holds a position.
func (s *source) fileOf(pos token.Pos) string { return filepath.Base(s.fset.Position(pos).Filename) }
