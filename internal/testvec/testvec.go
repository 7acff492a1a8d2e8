// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package testvec reads the handshake traces in testdata/rfc8448, whose format
// the README there describes. Tests alone import it. It knows the shape of a
// trace and nothing of mayfly, so that no mistake of the code under test can
// hide in the reading of its vectors.
package testvec

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Trace is one recorded handshake: its steps, in the RFC's order.
type Trace struct {
	Name  string
	Steps []*Step
}

// A Step is one thing that one side does.
type Step struct {
	Who  string // "client" or "server"
	What string // the RFC's heading, such as `derive secret "tls13 c hs traffic"`
	Same string // what the RFC says it equals, such as "same as server", or ""

	names  []string
	values map[string][]byte
}

// Load reads a trace.
func Load(path string) (*Trace, error) {
	t := &Trace{Name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	err := read(path, func(who, what string) error {
		s := &Step{Who: who, What: what, values: map[string][]byte{}}
		if i := strings.LastIndex(what, " (same as "); i >= 0 {
			s.What, s.Same = what[:i], strings.Trim(what[i:], " ()")
		}
		t.Steps = append(t.Steps, s)
		return nil
	}, func(name string, value []byte) error {
		if len(t.Steps) == 0 {
			return fmt.Errorf("value %q before the first step", name)
		}
		s := t.Steps[len(t.Steps)-1]
		if _, dup := s.values[name]; dup {
			return fmt.Errorf("value %q twice in one step", name)
		}
		s.names = append(s.names, name)
		s.values[name] = value
		return nil
	})
	return t, err
}

// LoadValues reads a file that has values and no steps.
func LoadValues(path string) (map[string][]byte, error) {
	values := map[string][]byte{}
	err := read(path, func(who, what string) error {
		return fmt.Errorf("step %q in a file of values", what)
	}, func(name string, value []byte) error {
		values[name] = value
		return nil
	})
	return values, err
}

func read(path string, step func(who, what string) error, value func(name string, v []byte) error) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		if err := readLine(lines.Text(), step, value); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	return lines.Err()
}

func readLine(line string, step func(who, what string) error, value func(name string, v []byte) error) error {
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	if who, what, ok := strings.Cut(line, ": "); ok {
		if who != "client" && who != "server" {
			return fmt.Errorf("unknown side %q", who)
		}
		return step(who, what)
	}
	name, text, ok := strings.Cut(line, " =")
	if !ok {
		return fmt.Errorf("neither a step nor a value: %q", line)
	}
	v, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("value %q: %w", name, err)
	}
	return value(name, v)
}

// Names lists the step's values in their order.
func (s *Step) Names() []string { return s.names }

// Value returns the value of that name: nil if the step has none, empty but
// not nil if the RFC says "(empty)".
func (s *Step) Value(name string) []byte { return s.values[name] }

// Find returns the first step of that side and heading that has values, or nil.
func (t *Trace) Find(who, what string) *Step {
	for _, s := range t.Steps {
		if s.Who == who && s.What == what && len(s.names) > 0 {
			return s
		}
	}
	return nil
}

// Resolve returns the step that s refers to with "same as", or s itself, or
// nil if there is no such step.
func (t *Trace) Resolve(s *Step) *Step {
	if s.Same == "" {
		return s
	}
	other := "client"
	if s.Who == other {
		other = "server"
	}
	words := strings.Fields(s.Same) // same as server handshake data write traffic keys
	if len(words) < 3 || words[2] != other {
		return nil
	}
	what := s.What
	if strings.HasSuffix(s.Same, " traffic keys") {
		what = strings.Join(words[3:], " ")
		for _, rw := range []string{"read", "write"} {
			if epoch, ok := strings.CutSuffix(what, " "+rw+" traffic keys"); ok {
				what = "derive " + rw + " traffic keys for " + epoch
				break
			}
		}
	}
	return t.Find(other, what)
}
