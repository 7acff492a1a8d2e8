// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build go1.27

package memscan_test

// standardMLKEM says whether crypto/tls makes ML-KEM keys of Config.Rand, so that the
// parent can compute them. From Go 1.27 on it does not: the rows of ML-KEM then have
// mayfly's key in use as their positive control, and no column of crypto/tls.
const standardMLKEM = false
