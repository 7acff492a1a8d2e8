// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !unix

package mayfly

import "net"

// A waiter reads from a socket without a buffer in hand: elsewhere.
type waiter struct{}

func newWaiter(net.Conn) *waiter { return nil }

func (*waiter) wait(int) (*[]byte, int, error) { return nil, 0, nil }
