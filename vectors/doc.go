// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package vectors holds the module's cryptography against the vectors of Wycheproof,
// through the interfaces by which the module uses it: what the standard library does
// right can be called wrongly. It is a module of its own, because the vectors are
// large.
package vectors
