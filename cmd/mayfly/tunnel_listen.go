// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/tunnel"
)

// plain refuses a plain side that leaves this machine, unless that is wanted.
func (o *tunnelOptions) plain(flag string, a tunnel.Address) error {
	if a.Abstract() {
		return fmt.Errorf("--%s %s is an abstract socket, which every user of this machine can use: give the path of a socket", flag, a)
	}
	if o.overNetwork || a.Local() {
		return nil
	}
	return fmt.Errorf("--%s %s is not on this machine, and what passes there is neither encrypted nor authenticated: give a loopback address or a Unix socket, or --plain-over-network if you want that", flag, a)
}

// listeners takes those of the process before, or listens at --listen; and at --admin,
// where that is wanted.
func (o *tunnelOptions) listeners(h *heritage) (ln, admin net.Listener, err error) {
	systemd := activatedSockets()
	defer systemd.close() // those that nobody asks for
	if h == nil {
		ln, err = o.listener(systemd, "listen", o.listen, !o.server)
	} else if ln, admin, err = h.listeners(); err != nil {
		err = connectionError{err}
	}
	if err != nil {
		return nil, nil, err
	}
	switch {
	case admin == nil && o.admin != "":
		if admin, err = o.listener(systemd, "admin", o.admin, false); err != nil {
			_ = ln.Close()
			return nil, nil, err
		}
	case admin != nil && o.admin == "": // since the configuration was changed
		_ = admin.Close()
		admin = nil
	}
	return ln, admin, nil
}

// listener listens at an address of the command line.
func (o *tunnelOptions) listener(systemd sockets, flag, at string, plain bool) (net.Listener, error) {
	if name, ok := strings.CutPrefix(at, "systemd:"); ok {
		ln, err := systemd.take(name)
		if err != nil {
			return nil, fmt.Errorf("--%s %s: %w", flag, at, err)
		}
		if plain {
			err = o.plain(flag, tunnel.Address{Network: ln.Addr().Network(), Addr: ln.Addr().String()})
		}
		if err != nil {
			_ = ln.Close()
			return nil, err
		}
		return ln, nil
	}
	a, err := tunnel.ParseAddress(at)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	if plain {
		if err := o.plain(flag, a); err != nil {
			return nil, err
		}
	}
	ln, err := a.Listen()
	if err != nil {
		return nil, connectionError{fmt.Errorf("--%s: %w", flag, err)}
	}
	return ln, nil
}

// Sockets are those that systemd hands over, by their names (sd_listen_fds(3)).
type sockets map[string][]net.Listener

func activatedSockets() sockets {
	s := make(sockets)
	for _, f := range activation.Files(true) {
		if ln, err := net.FileListener(f); err == nil { // a copy
			s[f.Name()] = append(s[f.Name()], ln)
		}
		_ = f.Close()
	}
	return s
}

// take returns the only socket, or the one of a name.
func (s sockets) take(name string) (net.Listener, error) {
	count, of := 0, name
	for n, some := range s {
		if n == name || name == "" {
			count, of = count+len(some), n
		}
	}
	if count != 1 {
		return nil, fmt.Errorf("this stands for one stream socket of systemd, and %d were handed over: see FileDescriptorName in systemd.socket(5)", count)
	}
	ln := s[of][0]
	delete(s, of)
	return ln, nil
}

func (s sockets) close() {
	for _, some := range s {
		for _, ln := range some {
			_ = ln.Close()
		}
	}
}

// owned lets a Unix socket go with the process, unless it is systemd's.
func owned(ln net.Listener, at string) {
	if unix, ok := ln.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(!strings.HasPrefix(at, "systemd:"))
	}
}
