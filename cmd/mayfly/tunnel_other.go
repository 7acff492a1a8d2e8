// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !unix

package main

import (
	"net"
	"os"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/tunnel"
)

// There is neither reload by a signal nor hand-over here.
var tunnelSignals []os.Signal

// pipeSignals are those of a pipe that has lost its reader: there are none here.
var pipeSignals []os.Signal

func isReload(os.Signal) bool   { return false }
func isHandOver(os.Signal) bool { return false }

type heritage struct{}

func inherit() (*heritage, error) { return nil, nil }

func (*heritage) listeners() (ln, admin net.Listener, err error) { return nil, nil, nil }
func (*heritage) takeOver(*tunnel.Tunnel) (int, error)           { return 0, nil }

func (*runner) handOver() bool { return false }
