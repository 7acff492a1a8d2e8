// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package fuzz holds the fuzz targets and the long tests that cross the packages of
// this module; the others stand beside their code.
//
// FuzzPeer plays a whole handshake against the public Conn, with real keys,
// signatures and Finished, and breaks one rule of the protocol or none. FuzzStdlib
// runs configurations taken at random against crypto/tls. Both know beforehand what
// must come of it.
//
// It must not make a connection's inner parts fit a test: what it knows of a Conn it
// learns from outside.
//
// This package promises no compatibility: it holds tests (docs/stability.md).
package fuzz
