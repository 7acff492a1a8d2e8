// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package volatile

import _ "unsafe" // for go:linkname

// procPin keeps the goroutine running until procUnpin: the runtime neither preempts it,
// which would save its registers, nor shrinks its stack. sync.Pool works under it, and so
// do widely used modules, for which the runtime keeps both functions as they are. Calls
// nest. A goroutine that blocks or panics while it is pinned ends the process.
//
//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()
