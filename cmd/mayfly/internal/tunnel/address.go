// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// An Address is where the plain side listens or is dialled: TCP, or a Unix socket.
type Address struct {
	Network string // "tcp" or "unix"
	Addr    string // "127.0.0.1:5432", or the path of a socket
}

// ParseAddress reads "host:port", or "unix:" and a path. What begins with a slash is a
// path, too.
func ParseAddress(s string) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok || strings.HasPrefix(s, "/") {
		if path == "" {
			return Address{}, errors.New("unix: needs the path of a socket after it")
		}
		if abstract(path) {
			return Address{}, fmt.Errorf("%q is an abstract socket, which every user of this machine can use: give the path of a socket, or ./%s for a path that begins so", s, path)
		}
		return Address{"unix", path}, nil
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return Address{}, fmt.Errorf("%q is no address: say host:port, or unix: and the path of a socket", s)
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return Address{}, fmt.Errorf("%q is no address: what stands behind the colon is the number of a port, up to 65535", s)
	}
	return Address{"tcp", s}, nil
}

// abstract reports whether a name is that of a Linux socket without a file. Such a socket
// has no permissions: every local user can connect to it, and take its name.
func abstract(name string) bool { return name != "" && (name[0] == '@' || name[0] == 0) }

// Abstract reports whether the address is a socket without a file, which every local user
// can use.
func (a Address) Abstract() bool { return a.Network == "unix" && abstract(a.Addr) }

// Local reports whether only this machine can be at the other end: a Unix socket, a
// loopback address, or the name localhost.
func (a Address) Local() bool {
	if a.Network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// String returns what ParseAddress reads.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Addr
	}
	return a.Addr
}

// Listen listens at the address. A Unix socket can be used by the owner of the process
// alone, and takes the place of one at which nobody listens any more.
func (a Address) Listen() (net.Listener, error) {
	if a.Network == "unix" {
		return listenUnix(a.Addr)
	}
	return a.listenConfig().Listen(context.Background(), a.Network, a.Addr)
}

// dial connects to the address.
func (a Address) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Control: a.control()}
	return d.DialContext(ctx, a.Network, a.Addr)
}

func (a Address) listenConfig() *net.ListenConfig {
	return &net.ListenConfig{Control: a.control()}
}

// control refuses, for a name that says localhost, what it resolves to if that is
// elsewhere.
func (a Address) control() func(network, addr string, _ syscall.RawConn) error {
	if a.Network == "unix" || !a.Local() {
		return nil
	}
	return func(_, addr string, _ syscall.RawConn) error {
		if !(Address{"tcp", addr}).Local() {
			return fmt.Errorf("%s resolves to an address of the network", a)
		}
		return nil
	}
}
