// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is this module's path.
const module = "github.com/mayfly-tls/mayfly"

// imports says who may import whom of the library and the tool, and what else from outside the
// standard library. "" is the root package. It is the table of DESIGN.md.
var imports = map[string][]string{
	"":                    {"internal/keyfile", "handshake", "record", "internal/alert", "internal/callback", "internal/compress", "internal/credential", "internal/handover", "internal/kex", "internal/once", "internal/perhost", "internal/replay", "internal/policy", "internal/resumption", "internal/schedule", "internal/stream", "internal/suite", "internal/trust", "internal/volatile", "internal/wire", "golang.org/x/crypto/cryptobyte"},
	"handshake":           {"transcript", "internal/alert", "internal/credential", "internal/kex", "internal/policy", "internal/schedule", "internal/suite", "internal/volatile", "internal/wire"},
	"record":              {"internal/alert", "internal/suite", "internal/volatile"},
	"transcript":          {"internal/volatile"},
	"internal/wire":       {"internal/alert", "internal/volatile", "golang.org/x/crypto/cryptobyte"},
	"internal/schedule":   {"internal/suite", "internal/volatile", "golang.org/x/crypto/hkdf"},
	"internal/credential": {"internal/alert", "internal/policy", "internal/volatile", "golang.org/x/crypto/cryptobyte", "golang.org/x/crypto/cryptobyte/asn1"},
	"internal/kex":        {"internal/alert", "internal/volatile", "github.com/cloudflare/circl/dh/x25519", "github.com/cloudflare/circl/kem/mlkem/mlkem1024", "github.com/cloudflare/circl/kem/mlkem/mlkem768"},
	"internal/handover":   {"internal/volatile", "golang.org/x/crypto/cryptobyte"},
	"internal/policy":     {},
	"internal/resumption": {"internal/credential", "internal/policy", "internal/schedule", "internal/suite", "internal/volatile", "golang.org/x/crypto/cryptobyte"},
	"internal/suite":      {"internal/volatile", "golang.org/x/crypto/chacha20poly1305", "golang.org/x/sys/cpu"},
	"internal/alert":      {},
	"internal/callback":   {"internal/alert"},
	"internal/perhost":    {},
	"internal/trust":      {},
	"internal/compress":   {},
	"internal/replay":     {},
	"internal/stream":     {"internal/callback", "internal/volatile", "record"},
	"internal/volatile":   {"golang.org/x/sys/unix"},
	"internal/memscan":    {},
	"internal/structure":  {},
	"internal/keyfile":    {"internal/volatile"},
	"internal/testvec":    {},
	"internal/testnet":    {},
	"internal/once":       {},
	"internal/cms":        {"golang.org/x/crypto/cryptobyte", "golang.org/x/crypto/cryptobyte/asn1"},
	"internal/content":    {"internal/volatile", "golang.org/x/crypto/chacha20", "golang.org/x/crypto/chacha20poly1305", "golang.org/x/crypto/poly1305"},
	"internal/keywrap":    {"internal/volatile", "golang.org/x/crypto/hkdf"},
	"message":             {"", "internal/keyfile", "internal/cms", "internal/content", "internal/credential", "internal/kex", "internal/keywrap", "internal/policy", "internal/volatile"},
	"examples/restart":    {""},
	"mayflyhttp":          {""},
	"mayflytest":          {""},
	"interop":             {},
	"fuzz":                {},
	"cmd/bogoshim":        {"", "golang.org/x/sys/cpu"},

	"cmd/mayfly/internal/dissect":  {"internal/alert", "internal/wire"},
	"cmd/mayfly/internal/inspect":  {"", "cmd/mayfly/internal/dissect", "internal/schedule", "internal/suite", "internal/volatile", "internal/wire", "record"},
	"cmd/mayfly/internal/tunnel":   {"", "golang.org/x/net/proxy", "github.com/pires/go-proxyproto", "github.com/pires/go-proxyproto/tlvparse"},
	"cmd/mayfly/internal/transfer": {"golang.org/x/sys/unix"},
	"cmd/mayfly":                   {"", "internal/keyfile", "cmd/mayfly/internal/dissect", "cmd/mayfly/internal/inspect", "cmd/mayfly/internal/transfer", "cmd/mayfly/internal/tunnel", "message", "filippo.io/age", "filippo.io/age/armor", "github.com/BurntSushi/toml", "github.com/VictoriaMetrics/metrics", "github.com/coreos/go-systemd/v22/activation", "github.com/coreos/go-systemd/v22/daemon", "github.com/schollz/progressbar/v3", "github.com/spf13/cobra", "github.com/spf13/cobra/doc", "github.com/spf13/pflag", "golang.org/x/term"},
}

// withoutIO are the packages that read no clock, start no goroutine and touch no
// socket.
var withoutIO = []string{"handshake", "internal/handover", "internal/resumption", "record", "transcript", "internal/wire", "internal/schedule", "internal/credential", "internal/kex", "internal/suite", "internal/policy", "internal/alert", "internal/volatile", "internal/cms", "internal/content", "internal/keywrap", "cmd/mayfly/internal/dissect"}

// values are packages of types alone, which stand below others that do more.
var values = []string{"net/netip", "log/slog"}

// walk calls f with each file of the library and the tool that is no test data.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || isModule(name) || name != "." && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if !d.IsDir() {
			f(filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isModule reports whether a folder is a module of its own, and not the tool's, which is
// released together with the library.
func isModule(dir string) bool {
	_, err := os.Stat(path.Join(dir, "go.mod"))
	return dir != "." && filepath.ToSlash(dir) != "cmd/mayfly" && err == nil
}

// needsClone skips a test in a release of the library, which holds no other module.
func needsClone(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("cmd/mayfly"); err != nil {
		t.Skipf("this is no clone of the repository: %v", err)
	}
}

// sources calls f with each Go file that is no test.
func sources(t *testing.T, f func(name string, file *ast.File, fset *token.FileSet)) {
	t.Helper()
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		f(name, file, fset)
	})
}

// TestImports holds the direction of imports against the table.
func TestImports(t *testing.T) {
	seen := 0
	sources(t, func(name string, file *ast.File, _ *token.FileSet) {
		dir := path.Dir(name)
		if dir == "." {
			dir = ""
		}
		allowed, ok := imports[dir]
		if !ok {
			t.Errorf("%s is not in the table", dir)
		}
		for _, spec := range file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Split(p, "/")[0], ".") {
				if slices.Contains(withoutIO, dir) && slices.Contains([]string{"net", "os", "log"}, strings.Split(p, "/")[0]) && !slices.Contains(values, p) {
					t.Errorf("%s imports %s", name, p)
				}
				continue
			}
			seen++
			p = strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
			if !slices.Contains(allowed, p) {
				t.Errorf("%s imports %q: the table says that it must not", name, p)
			}
		}
	})
	if seen < 20 {
		t.Fatalf("only %d imports were looked at", seen)
	}
}

// TestCitations shows that each section of RFC 9846 that the code, its tests and the
// papers cite exists.
func TestCitations(t *testing.T) {
	b, err := os.ReadFile("testdata/rfc9846-sections.txt")
	if err != nil {
		t.Fatal(err)
	}
	exists := make(map[string]bool)
	for line := range strings.Lines(string(b)) {
		number, _, _ := strings.Cut(line, " ")
		exists[number] = true
	}
	const section = `(?:[0-9]+|[A-Z])(?:\.[0-9]+)*\b`
	number := regexp.MustCompile(section)
	cite := regexp.MustCompile(`RFC\s+9846,?\s+(?:Sections?\s+|Appendix\s+|Appendices\s+|§\s*)(` + section + `(?:(?:,|,?\s+and)\s+` + section + `)*)`)
	comment := regexp.MustCompile(`\n\s*//\s*`)
	n := 0
	walk(t, func(name string) {
		if ext := path.Ext(name); ext != ".go" && ext != ".md" {
			return
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range cite.FindAllStringSubmatch(comment.ReplaceAllString(string(src), " "), -1) {
			for _, number := range number.FindAllString(m[1], -1) {
				if number == "X" {
					continue // any
				}
				n++
				if !exists[number] {
					t.Errorf("%s cites RFC 9846, Section %s, which does not exist", name, number)
				}
			}
		}
	})
	if n < 150 {
		t.Fatalf("only %d citations were found", n)
	}
}

// TestReadme runs the program in README.md.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	needsClone(t)
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "```go\n")
	program, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("README.md holds no program")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", "-buildvcs=false", file).CombinedOutput()
	if err != nil || string(out) != "hello <nil>\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// TestPapers shows that each test that SECURITY.md names exists.
func TestPapers(t *testing.T) {
	b, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	needsClone(t)
	packages := testPackages(t)
	exists := func(test, subtest string) bool {
		for _, p := range packages {
			if p.has(test) && (subtest == "" || p.hasSubtest(test, subtest)) {
				return true
			}
		}
		return false
	}
	n := 0
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)(?:/([^`]+))?`").FindAllStringSubmatch(string(b), -1) {
		n++
		if !exists(m[1], m[2]) {
			t.Errorf("SECURITY.md names %s, which does not exist", m[0])
		}
	}
	if n < 20 {
		t.Fatalf("SECURITY.md names only %d tests", n)
	}
}
