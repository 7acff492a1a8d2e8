// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package handshake is the TLS 1.3 handshake (RFC 9846) as a machine without
// input or output: messages go in, ordered events come out, for the client and
// for the server.
//
// The machine must not know connections, records, clocks or certificate chains:
// whoever owns it seals what it sends, opens what it receives, and judges whose
// key it is that the peer has proved to hold. It never imports the record layer;
// what crosses between them is suite.Keys.
//
// This package promises no compatibility: it is public to be read (docs/stability.md).
package handshake
