// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package perhost

import (
	"net"
	"testing"
)

func TestOfTakesAnIPv6NetworkForOneHost(t *testing.T) {
	for addr, host := range map[string]string{
		"192.0.2.1:1": "192.0.2.1", "[::ffff:192.0.2.1]:2": "192.0.2.1",
		"[2001:db8:1:2:3::1]:1": "2001:db8:1:2::", "[2001:db8:1:2:ffff::2]:9": "2001:db8:1:2::", "[2001:db8:1:3::1]:1": "2001:db8:1:3::",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := Of(tcp); got != host {
			t.Errorf("%s: %s, want %s", addr, got, host)
		}
	}
	if got := Of(&net.UnixAddr{Name: "x"}); got != "" {
		t.Errorf("a Unix socket: %s", got)
	}
}

func TestCountsRefuseAboveTheLimitUntilOneEnds(t *testing.T) {
	c := make(Counts)
	if !c.Begin("a", 2) || !c.Begin("a", 2) || c.Begin("a", 2) {
		t.Error("host a: want two")
	}
	if !c.Begin("b", 2) || !c.Begin("", 2) || !c.Begin("", 2) || !c.Begin("", 2) {
		t.Error("another host, or an unknown one, was refused")
	}
	if c.End("a"); !c.Begin("a", 2) || c.Begin("a", 2) {
		t.Error("host a after an end: want one more")
	}
	if !c.Begin("a", 0) {
		t.Error("refused without a limit")
	}
	for range 3 {
		c.End("a")
	}
	if c.End("b"); len(c) != 0 {
		t.Errorf("after all have ended: %v", c)
	}
}
