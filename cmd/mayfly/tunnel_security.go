// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// A security is who a tunnel is and whom it accepts, read again when that changes. Each
// part is read by itself: a key that cannot be read must not keep a pin that was taken
// from the list in use.
//
// The file of --peers mayfly reads again by itself; here it is only looked at, so that
// whoever has broken it is told at once.
type security struct {
	o       options
	server  bool
	config  string                   // the configuration file; "" without one, or with --peer on the command line
	pins    func() ([]string, error) // of the configuration file
	log     *slog.Logger
	current atomic.Pointer[mayfly.Config]
	reloads atomic.Uint64 // in which all could be read
	kept    atomic.Uint64 // in which something stayed as it was

	cutRevoked func() int // cuts the connections of peers that are no longer accepted; nil: they go on
	cutExpired bool       // whether time alone makes cutRevoked cut

	mu                  sync.Mutex
	pinned, file, roots mayfly.Peers
	stamps              map[string]os.FileInfo
}

// newSecurity reads everything. From then on, errors go to the log.
func newSecurity(o *tunnelOptions, log *slog.Logger) (*security, error) {
	s := &security{o: o.id, server: o.server, log: log, stamps: make(map[string]os.FileInfo)}
	s.changed()
	config, err := s.o.config(s.server)
	if err != nil {
		return nil, err
	}
	config.MaxLifetime = o.lifetime
	if !s.server {
		config.Sessions = mayfly.NewSessionCache(0)
	}
	if s.pinned, err = s.o.pinned(); err != nil {
		return nil, err
	}
	if s.file, err = s.o.listed(s.server); err != nil {
		return nil, err
	}
	if s.roots, err = s.o.certified(); err != nil {
		return nil, err
	}
	if config.Peers, err = s.o.anyOf(s.server, s.pinned, s.file, s.roots); err != nil {
		return nil, err
	}
	if err := usable(config, s.server); err != nil {
		return nil, err
	}
	s.current.Store(config)
	return s, nil
}

// usable returns the error of a Config that cannot work. A handshake tells it before it
// finds that there is nobody at the other end.
func usable(c *mayfly.Config, server bool) error {
	near, far := net.Pipe()
	defer near.Close()
	_ = far.Close()
	c = c.Clone()
	c.Sessions = nil // none is to be used up
	conn := mayfly.Server(near, c)
	if !server {
		if c.ServerName == "" {
			c.ServerName = "localhost" // the name is in the address that is dialled
		}
		conn = mayfly.Client(near, c)
	}
	err := conn.Handshake()
	if errors.Is(err, io.ErrClosedPipe) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// watch looks for changes until ctx ends.
func (s *security) watch(ctx context.Context, every time.Duration) {
	if every == 0 {
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			switch {
			case s.changed():
				s.reload()
			case s.cutExpired:
				s.revoke()
			}
		case <-ctx.Done():
			return
		}
	}
}

// changed reports whether a file is another than when it was last asked.
func (s *security) changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for _, path := range []string{s.o.key, s.o.cert, s.o.certKey, s.o.ca, s.o.peers, s.config} {
		if path == "" {
			continue
		}
		now, err := os.Stat(path)
		if err != nil {
			now = nil
		}
		before := s.stamps[path]
		if (before == nil) != (now == nil) || now != nil && (!os.SameFile(before, now) ||
			before.Size() != now.Size() || before.Mode() != now.Mode() || !before.ModTime().Equal(now.ModTime())) {
			changed = true
		}
		s.stamps[path] = now
	}
	return changed
}

// reload reads everything again. What cannot be read stays as it was. Then it cuts the
// connections of peers that are no longer accepted.
func (s *security) reload() {
	defer s.revoke()
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := false
	kept := func(what string, err error) {
		failed = true
		s.log.Error("reload: "+what+" cannot be used; what was read before stays in use", "error", sentence(err))
	}
	next := s.current.Load().Clone()
	if s.o.key != "" {
		if id, err := mayfly.LoadIdentity(s.o.key); err != nil {
			kept("the key", err)
		} else {
			next.Identity = id
		}
	}
	if s.o.cert != "" {
		if cert, err := loadCertificate(s.o.cert, s.o.certKey); err != nil {
			kept("the certificate", err)
		} else {
			next.Certificates = []tls.Certificate{cert}
		}
	}
	if err := s.reloadPins(); err != nil {
		kept("the list of pins", err)
	}
	if roots, err := s.o.certified(); err != nil {
		kept("the file of authorities", err)
	} else {
		s.roots = roots
	}
	if err := s.look(next); err != nil {
		kept("the list of peers", err)
	}
	peers, err := s.o.anyOf(s.server, s.pinned, s.file, s.roots)
	if err != nil {
		kept("the list of peers", err)
	} else {
		next.Peers = peers
	}
	s.current.Store(next)
	if failed {
		s.kept.Add(1)
		return
	}
	s.reloads.Add(1)
	s.log.Info("reloaded", "self", self(next))
}

// revoke cuts the connections of peers that are no longer accepted.
func (s *security) revoke() {
	if s.cutRevoked == nil {
		return
	}
	if cut := s.cutRevoked(); cut > 0 {
		s.log.Warn("connections were cut: their peers are no longer accepted", "cut", cut)
	}
}

// look reads the file of --peers as it is now.
func (s *security) look(c *mayfly.Config) error {
	list, err := s.o.listed(s.server)
	if list == nil || err != nil {
		return err
	}
	c = c.Clone()
	c.Peers = list
	return usable(c, s.server)
}

// reloadPins takes the pins of the configuration file.
func (s *security) reloadPins() error {
	if s.config == "" {
		return nil
	}
	pins, err := s.pins()
	if err != nil {
		return err
	}
	had := s.o.pins
	s.o.pins = pins
	pinned, err := s.o.pinned()
	if err == nil && pinned == nil && len(had) > 0 {
		err = errors.New("it names nobody any more: to accept nobody, end the tunnel")
	}
	if err != nil {
		s.o.pins = had
		return err
	}
	s.pinned = pinned
	return nil
}

// self is what others know this side by.
func self(c *mayfly.Config) string {
	if c.Identity != nil {
		return c.Identity.Pin().String()
	}
	if len(c.Certificates) > 0 {
		return mayfly.PinOfCertificate(c.Certificates[0].Leaf).String()
	}
	return "nobody"
}
