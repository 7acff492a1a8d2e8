// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package replay

import (
	"testing"
	"time"
)

const window = 20 * time.Second

var start = time.Unix(1_700_000_000, 0)

// use is one of a ticket that was issued at the start, at a later time.
func use(token byte, later time.Duration) Use {
	return Use{Token: [32]byte{token}, Issued: start, Now: start.Add(later), Until: start.Add(later + window)}
}

func TestGuardAdmitsATicketOnce(t *testing.T) {
	g := NewGuard(0, start.Add(-time.Hour), window)
	if !g.Admit(use(1, 0)) || !g.Admit(use(2, 0)) {
		t.Fatal("a first use was refused")
	}
	for _, later := range []time.Duration{0, window / 2, window - 1} {
		if g.Admit(use(1, later)) {
			t.Errorf("a second use was admitted after %v", later)
		}
	}
}

func TestGuardRefusesWhatItCannotKnow(t *testing.T) {
	later := start.Add(window)
	for name, test := range map[string]struct{ before, use Use }{
		"a ticket older than the guard": {use: Use{Issued: start.Add(-time.Second), Now: start, Until: start}},
		"more than it remembers":        {use: Use{Issued: later, Now: later, Until: later.Add(window + 1)}},
		"a clock that was set back": {
			before: Use{Token: [32]byte{9}, Issued: later, Now: later.Add(2 * time.Second), Until: later.Add(2 * time.Second)},
			use:    Use{Issued: later, Now: later, Until: later},
		},
	} {
		g := NewGuard(0, start, window)
		g.Admit(test.before)
		if g.Admit(test.use) {
			t.Errorf("%s: admitted", name)
		}
	}
	if !NewGuard(0, start, window).Admit(Use{Issued: later, Now: later, Until: later.Add(window)}) {
		t.Error("a use that it can know about was refused")
	}
}

func TestGuardRefusesWhenFull(t *testing.T) {
	g := NewGuard(2, start.Add(-time.Hour), window)
	if !g.Admit(use(1, 0)) || !g.Admit(use(2, 0)) || g.Admit(use(3, 0)) {
		t.Error("want two uses")
	}
	if !g.Admit(use(4, 3*window)) {
		t.Error("refused when all others are too old")
	}
}
