// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handover

import "sync/atomic"

// A Claim decides once whether a connection ends here or goes on elsewhere: of End and
// Detach, the first one wins. The zero Claim is undecided. All methods may be called at
// the same time, and none blocks.
type Claim struct{ state atomic.Uint32 }

const (
	undecided = iota
	ended
	detached
)

// End reports whether the connection ends here: it was undecided, or has ended before.
func (c *Claim) End() bool {
	return c.state.CompareAndSwap(undecided, ended) || c.state.Load() == ended
}

// Detach reports whether the connection goes on elsewhere by this call. It succeeds once.
func (c *Claim) Detach() bool { return c.state.CompareAndSwap(undecided, detached) }

// Ended reports whether End has won.
func (c *Claim) Ended() bool { return c.state.Load() == ended }

// Detached reports whether Detach has won.
func (c *Claim) Detached() bool { return c.state.Load() == detached }
