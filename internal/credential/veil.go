// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

// veiled is a cause that can be found and does not speak: its text may hold what
// the peer chose.
type veiled struct {
	sentence string // ours
	cause    error
}

func (v veiled) Error() string { return v.sentence }
func (v veiled) Unwrap() error { return v.cause }
