// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"go/ast"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Figures measure the structure of the root package.
type figures struct {
	Files        int // source files that are no tests, for every platform
	Lines        int // their lines
	LongestFile  int // lines of the longest of them
	Cycle        int // files in the largest dependency cycle
	MutualPairs  int // pairs of files that depend on each other directly
	ConnMethods  int // methods of *Conn, promoted ones included, and functions with a *Conn parameter
	Undocumented int // exported identifiers without a doc comment, in packages that programs import
}

// measure takes the figures of the module whose packages are given.
func measure(sources []*source) (figures, error) {
	var f figures
	for _, s := range sources {
		if !strings.Contains("/"+s.path, "/internal/") && s.pkg.Name() != "main" {
			f.Undocumented += len(undocumented(s))
		}
		if s.path != "" {
			continue
		}
		if err := f.countLines(s.dir); err != nil {
			return f, err
		}
		depends := dependencies(s)
		f.Cycle, f.MutualPairs = len(largestCycle(depends)), mutualPairs(depends)
		f.ConnMethods = len(connFunctions(s))
	}
	return f, nil
}

func (f *figures) countLines(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		n := bytes.Count(b, []byte("\n"))
		f.Files, f.Lines, f.LongestFile = f.Files+1, f.Lines+n, max(f.LongestFile, n)
	}
	return nil
}

// dependencies says for each file of a package which others declare what it uses:
// functions, types, variables, constants, methods and fields.
func dependencies(s *source) map[string][]string {
	depends := make(map[string][]string)
	for _, file := range s.files {
		from := s.fileOf(file.Pos())
		depends[from] = nil
		ast.Inspect(file, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			obj := s.info.Uses[id]
			if obj == nil || obj.Pkg() != s.pkg || isLocal(obj) {
				return true
			}
			if to := s.fileOf(obj.Pos()); to != from && !slices.Contains(depends[from], to) {
				depends[from] = append(depends[from], to)
			}
			return true
		})
		slices.Sort(depends[from])
	}
	return depends
}

// isLocal reports whether an object lives within a function.
func isLocal(obj types.Object) bool {
	if v, ok := obj.(*types.Var); ok && v.IsField() {
		return false
	}
	if f, ok := obj.(*types.Func); ok && f.Signature().Recv() != nil {
		return false
	}
	return obj.Parent() != obj.Pkg().Scope()
}

// largestCycle returns the largest set of files of which each depends on each other,
// by way of others or not (Tarjan's strongly connected components).
func largestCycle(depends map[string][]string) []string {
	var (
		index, low = make(map[string]int), make(map[string]int)
		stack      []string
		largest    []string
		visit      func(string)
	)
	visit = func(v string) {
		index[v] = len(index) + 1
		low[v] = index[v]
		stack = append(stack, v)
		for _, w := range depends[v] {
			if index[w] == 0 {
				visit(w)
				low[v] = min(low[v], low[w])
			} else if slices.Contains(stack, w) {
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] != index[v] {
			return
		}
		i := slices.Index(stack, v)
		if component := stack[i:]; len(component) > max(1, len(largest)) {
			largest = slices.Clone(component)
		}
		stack = stack[:i]
	}
	for v := range depends {
		if index[v] == 0 {
			visit(v)
		}
	}
	slices.Sort(largest)
	return largest
}

func mutualPairs(depends map[string][]string) (n int) {
	for a, uses := range depends {
		for _, b := range uses {
			if a < b && slices.Contains(depends[b], a) {
				n++
			}
		}
	}
	return n
}

// connFunctions names the methods of *Conn, with those of embedded fields, and each
// other function or method that takes a *Conn.
func connFunctions(s *source) (names []string) {
	conn := s.pkg.Scope().Lookup("Conn")
	if conn == nil {
		return nil
	}
	pointer := types.NewPointer(conn.Type())
	for m := range types.NewMethodSet(pointer).Methods() {
		names = append(names, m.Obj().Name())
	}
	for _, obj := range s.info.Defs {
		f, ok := obj.(*types.Func)
		if !ok || f.Signature().Recv() != nil && types.Identical(f.Signature().Recv().Type(), pointer) {
			continue
		}
		for p := range f.Signature().Params().Variables() {
			if types.Identical(p.Type(), pointer) {
				names = append(names, f.FullName())
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// undocumented names the exported declarations of a package that no doc comment
// describes. A comment above a group describes each of its members.
func undocumented(s *source) (names []string) {
	add := func(id *ast.Ident, documented bool) {
		if id.IsExported() && !documented {
			names = append(names, s.pkg.Name()+"."+id.Name)
		}
	}
	for _, file := range s.files {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil || receiverIsExported(d.Recv) {
					add(d.Name, d.Doc != nil)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						add(spec.Name, d.Doc != nil || spec.Doc != nil || spec.Comment != nil)
					case *ast.ValueSpec:
						for _, id := range spec.Names {
							add(id, d.Doc != nil || spec.Doc != nil || spec.Comment != nil)
						}
					}
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

func receiverIsExported(recv *ast.FieldList) bool {
	t := recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}
