// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package interop holds the tests that let mayfly talk to programs that others
// wrote: crypto/tls in the same process, and other libraries and programs.
//
// It uses mayfly's public API alone, and must not know how anything below it
// works: what a test here says about a connection, it learned from that API,
// from the bytes on the wire, or from the other program.
//
// Each cell of the matrix (peer, role, cipher suite, group, authentication)
// makes one connection, sends some megabytes both ways, compares what arrived
// with what was sent, and closes it so that both sides see the end. A program
// that is not installed, or a version that cannot do what a cell needs, is
// skipped by name and with the reason. With MAYFLY_REQUIRE_PEERS=1 a program
// that is missing is a failure.
//
// The results are printed as a table when the tests are done, and written to
// the file that MAYFLY_MATRIX names, if it is set.
//
// This package promises no compatibility: it holds tests (docs/stability.md).
package interop
