// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !unix

package stream

import "net"

// A rawReader reads from a socket without a buffer in hand: elsewhere.
type rawReader struct{}

func newRawReader(net.Conn) *rawReader { return nil }

func (*rawReader) wait(int) (*[]byte, int, error) { return nil, 0, nil }
