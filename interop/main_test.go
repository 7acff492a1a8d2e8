// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// keys are this run's.
var keys *keyring

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		code = 1
	}
	os.Exit(code)
}

// run runs the tests and prints what came of them.
func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "mayfly interop ")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if keys, err = newKeyring(dir); err != nil {
		return 1, err
	}
	code = m.Run()
	if err := matrix.print(os.Stdout); err != nil {
		return 1, err
	}
	return code, writeMatrix(os.Getenv("MAYFLY_MATRIX"))
}

func writeMatrix(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(matrix.print(f), f.Close())
}
