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
	begin := func(host string, limit, times int) (begun int) {
		for range times {
			if c.Begin(host, limit) {
				begun++
			}
		}
		return begun
	}
	if n := begin("a", 2, 3); n != 2 {
		t.Errorf("host a began %d times, want 2", n)
	}
	if begin("b", 2, 1) != 1 || begin("", 2, 3) != 3 {
		t.Error("another host, or an unknown one, was refused")
	}
	c.End("a")
	if n := begin("a", 2, 2); n != 1 {
		t.Errorf("host a began %d times after an end, want 1", n)
	}
	if begin("a", 0, 1) != 1 {
		t.Error("refused without a limit")
	}
	for range 3 {
		c.End("a")
	}
	if c.End("b"); len(c) != 0 {
		t.Errorf("after all have ended: %v", c)
	}
}
