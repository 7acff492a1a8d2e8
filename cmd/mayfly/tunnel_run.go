// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/tunnel"
)

// A runner is a tunnel as a process.
type runner struct {
	o        *tunnelOptions
	log      *slog.Logger
	security *security
	tunnel   *tunnel.Tunnel
	admin    *admin // nil without --admin
}

// run is the commands' RunE.
func (o *tunnelOptions) run(cmd *cobra.Command, _ []string) error {
	if err := o.configure(cmd.Flags()); err != nil {
		return err
	}
	log, err := o.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	slog.SetDefault(log) // mayfly warns of lists that it cannot read again
	r := &runner{o: o, log: log}
	if r.security, err = newSecurity(o, log); err != nil {
		return err
	}
	if o.pinsFromFile {
		r.security.config, r.security.pins = o.configFile, func() ([]string, error) {
			settings, err := readConfig(o.configFile, cmd.Flags())
			return settings["peer"], err
		}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, append(tunnelSignals, os.Interrupt, syscall.SIGTERM)...)
	defer signal.Stop(signals)
	if cmd.Context().Err() != nil {
		return connectionError{cmd.Context().Err()}
	}
	heritage, err := inherit()
	if err != nil {
		return connectionError{err}
	}
	if err := r.listen(heritage); err != nil {
		return err
	}
	return r.serve(heritage, signals)
}

// configure reads the configuration file.
func (o *tunnelOptions) configure(f *pflag.FlagSet) error {
	if o.configFile != "" {
		given := f.Lookup("peer").Changed
		settings, err := readConfig(o.configFile, f)
		if err != nil {
			return err
		}
		if err := settings.apply(o.configFile, f); err != nil {
			return err
		}
		o.pinsFromFile = !given
	}
	return o.check()
}

// listen makes the tunnel.
func (r *runner) listen(h *heritage) error {
	ln, adminListener, err := r.o.listeners(h)
	if err != nil {
		return err
	}
	if r.tunnel, err = r.o.engine(ln, r.security.current.Load, r.log); err != nil {
		_ = ln.Close()
		if adminListener != nil {
			_ = adminListener.Close()
		}
		return err
	}
	owned(ln, r.o.listen)
	if adminListener != nil {
		owned(adminListener, r.o.admin)
		r.admin = newAdmin(adminListener, r.tunnel, r.security)
	}
	facts := []any{"listen", ln.Addr().String(), "to", r.o.other, "self", self(r.security.current.Load()), "pid", os.Getpid()}
	if r.admin != nil {
		facts = append(facts, "admin", r.admin.listener.Addr().String())
	}
	r.log.Info("tunnel begins", facts...)
	return nil
}

// serve runs until a signal ends it.
func (r *runner) serve(h *heritage, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !r.o.keepRevoked {
		r.security.cutRevoked, r.security.cutExpired = r.tunnel.Recheck, r.o.cutExpired
	}
	go r.security.watch(ctx, r.o.watch)
	if r.admin != nil {
		go r.admin.serve()
		defer r.admin.close()
	}
	served := make(chan error, 1)
	go func() { served <- r.tunnel.Serve() }()
	if h != nil {
		taken, err := h.takeOver(r.tunnel)
		facts := []any{"connections", taken, "pid", os.Getpid()}
		if err != nil {
			facts = append(facts, "error", err)
		}
		r.log.Info("taken over from the process before", facts...)
	}
	r.notify(daemon.SdNotifyReady)
	for {
		select {
		case err := <-served:
			return connectionError{fmt.Errorf("the tunnel accepts no more connections: %w", err)}
		case s := <-signals:
			switch {
			case isReload(s):
				r.security.reload()
			case isHandOver(s):
				if r.handOver() {
					<-served
					return r.drain(signals)
				}
			default:
				r.notify(daemon.SdNotifyStopping)
				return r.drain(signals)
			}
		}
	}
}

// drain waits for connections, up to --drain or a signal, and cuts the rest.
func (r *runner) drain(signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), r.o.drain)
	defer cancel()
	if r.admin != nil {
		r.admin.draining.Store(true)
	}
	r.log.Info("draining", "connections", r.tunnel.Stats().Live, "pid", os.Getpid())
	drained := make(chan int, 1)
	go func() { drained <- r.tunnel.Drain(ctx) }()
	for {
		select {
		case cut := <-drained:
			r.log.Info("tunnel ends", "cut", cut, "pid", os.Getpid())
			if cut > 0 {
				return connectionError{cutConnections(cut)}
			}
			return nil
		case s := <-signals:
			if !isReload(s) && !isHandOver(s) {
				cancel()
			}
		}
	}
}

// cutConnections is how many connections the end of a tunnel has cut.
type cutConnections int

func (n cutConnections) Error() string {
	return fmt.Sprintf("connections that were cut: %d; --drain says how long to wait for them", int(n))
}

// notify tells systemd, if that has started the process.
func (r *runner) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		r.log.Warn("systemd cannot be told", "error", err)
	}
}
