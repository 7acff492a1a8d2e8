// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package keyfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// maxFile is the size of the largest key file.
const maxFile = 64 << 10

// Read returns the text of a key file, which the caller wipes. On Unix it refuses a file
// that is not Private. An error goes on a sentence about the key.
func Read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s is too large for a key", path)
	case runtime.GOOS != "windows" && !Private(info):
		return nil, fmt.Errorf("%s "+Advice, path)
	}
	text := make([]byte, maxFile+1) // one buffer, so that one can be wiped
	n, err := io.ReadFull(file, text)
	switch {
	case err == nil:
		err = fmt.Errorf("%s is too large for a key", path)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return text[:n], nil
	default:
		err = fmt.Errorf("cannot be read: %w", err)
	}
	volatile.Wipe(text)
	return nil, err
}
