// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package perhost counts what each host has in progress. It must not know what that is.
package perhost

import "net"

// Counts is what is in progress by host. It is not safe for concurrent use.
type Counts map[string]int

// Begin counts one more for host. It reports false, and counts none, if host has limit
// already. The empty host has no limit, nor has any host if limit is not positive.
func (c Counts) Begin(host string, limit int) bool {
	switch {
	case host == "":
	case limit > 0 && c[host] >= limit:
		return false
	default:
		c[host]++
	}
	return true
}

// End counts one less for host.
func (c Counts) End(host string) {
	if c[host] > 1 {
		c[host]--
	} else {
		delete(c, host)
	}
}

// Of returns the host of an address: an IPv4 address, or the /64 of an IPv6 address,
// since one host has that many. It is empty for addresses other than TCP's.
func Of(addr net.Addr) string {
	t, ok := addr.(*net.TCPAddr)
	switch {
	case !ok:
		return ""
	case t.IP.To4() == nil && len(t.IP) == net.IPv6len:
		return t.IP.Mask(net.CIDRMask(64, 128)).String()
	}
	return t.IP.String()
}
