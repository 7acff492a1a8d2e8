// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transfer

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFolder locks a folder for this process. Some network file systems have no such lock:
// there it returns nil.
func lockFolder(root *os.Root) (*os.File, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	switch err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case err == nil:
		return f, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(errors.New("another process receives into this folder"), f.Close())
	}
	return nil, f.Close()
}
