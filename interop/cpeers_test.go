// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// compile makes the echo peer in a C file of testdata.
func compile(ctx context.Context, program, source string, more ...string) error {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		return errors.New("cc is not installed")
	}
	cmd := exec.CommandContext(ctx, compiler, append([]string{"-O1", "-o", program, source}, more...)...)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", source, err, lastLine(out))
	}
	return nil
}
