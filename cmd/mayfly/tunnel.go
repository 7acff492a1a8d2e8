// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/tunnel"
)

func tunnelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tunnel",
		Short: "Carry the connections of programs that cannot be changed",
		Long: `Carry the connections of programs that cannot be changed. The server stands in front
of a target, the client in front of the target's users, each on the same machine as
what it serves; between the two everything is encrypted, and each knows the other.

A connection ends by halves as it would without a tunnel; what fails, fails on the other
side too (a reset), so that nobody takes a part for the whole.

Signals: HUP reads keys, pins and certificates again, as does a change of their files; a
file that cannot be used is reported, and what was read before stays in use. A reload
cuts the open connections of peers that are no longer accepted, unless --keep-revoked is
given. TERM or INT stops accepting, waits for connections up to --drain, and cuts the
rest; a second one cuts at once. USR2 starts the program again and hands it the listener
and the live connections: for a new version, or new settings.

The log goes to standard error. A connection never waits for its reader: what a slow
reader does not take is dropped and counted, and a log without a reader ends nothing.

Exit codes: 0 all connections had ended by themselves, or were handed on; 1 some were
cut, or an address cannot be listened on; 2 the command line, the configuration or a key
cannot be used.`,
	}
	cmd.AddCommand(tunnelServerCommand(), tunnelClientCommand())
	return cmd
}

func tunnelServerCommand() *cobra.Command {
	o := &tunnelOptions{server: true}
	cmd := &cobra.Command{
		Use:   "server --listen ADDR --target ADDR",
		Short: "Take secure connections, and dial a target on this machine",
		Long: `Take secure connections on --listen, and dial --target for each whose peer is
accepted, when it is. An address is host:port, or unix: and a path; --listen systemd:
takes the socket that systemd hands over, systemd:NAME the one of that name.`,
		Example: "  mayfly tunnel server --listen :7000 --target 127.0.0.1:5432 --key db.key --peers clients",
		Args:    cobra.NoArgs,
		RunE:    o.run,
	}
	f := cmd.Flags()
	f.StringVar(&o.other, "target", "", "the `address` to dial in the clear")
	f.BoolVar(&o.sendProxy, "send-proxy-v2", false, "begin each connection to the target with a PROXY protocol v2 header: the client's address, its pin (TLV 0xE0) and name")
	o.register(f)
	return cmd
}

func tunnelClientCommand() *cobra.Command {
	o := &tunnelOptions{}
	cmd := &cobra.Command{
		Use:   "client --listen ADDR --server ADDR",
		Short: "Take plain connections on this machine, and dial a tunnel server",
		Long: `Take plain connections on --listen, and dial --server for each. An address is
host:port, or unix: and a path; a Unix socket is made for this user alone, so
abstract ones (unix:@name) are refused. --listen systemd: takes the socket that systemd
hands over, systemd:NAME the one of that name.`,
		Example: "  mayfly tunnel client --listen 127.0.0.1:5432 --server db:7000 --key app.key --peer sha256//9fQ…=",
		Args:    cobra.NoArgs,
		RunE:    o.run,
	}
	f := cmd.Flags()
	f.StringVar(&o.other, "server", "", "the `address` of the server to dial")
	f.StringVar(&o.upstream, "proxy", "", "dial the server through this proxy `URL`: http://host:port (CONNECT) or socks5://host:port, with user:password@ before the host")
	o.register(f)
	return cmd
}

// tunnelOptions are the flags of both, and the settings of a configuration file.
type tunnelOptions struct {
	server bool
	id     options

	listen, other  string
	overNetwork    bool
	idle, lifetime time.Duration
	dialTimeout    time.Duration
	drain, watch   time.Duration
	maxConnections int
	sendProxy      bool
	upstream       string
	keepRevoked    bool
	cutExpired     bool

	configFile          string
	pinsFromFile        bool // --peer is not on the command line
	admin               string
	logFormat, logLevel string
}

func (o *tunnelOptions) register(f *pflag.FlagSet) {
	o.id.register(f, o.server)
	f.StringVar(&o.listen, "listen", "", "the `address` to listen on")
	f.BoolVar(&o.overNetwork, "plain-over-network", false, "let the plain side leave this machine, where anybody in its way can read and change it")
	f.DurationVar(&o.idle, "idle", 0, "cut a connection that carries nothing for so long: 90s, 15m or 2h, say (0: never)")
	f.DurationVar(&o.lifetime, "lifetime", 0, "cut a connection that is so old (0: never)")
	f.IntVar(&o.maxConnections, "max-connections", 0, "the most `connections` that there may be at once; more are closed at once (0: any number)")
	f.DurationVar(&o.dialTimeout, "dial-timeout", 10*time.Second, "how long reaching the other side may take")
	f.DurationVar(&o.drain, "drain", 30*time.Second, "how long to wait for connections before ending (0: not at all)")
	f.DurationVar(&o.watch, "watch", 5*time.Second, "how often to look whether a key, certificate or list has changed (0: at SIGHUP alone)")
	f.BoolVar(&o.keepRevoked, "keep-revoked", false, "let the open connections of a peer go on when a reload no longer accepts it")
	f.BoolVar(&o.cutExpired, "cut-expired", false, "cut the open connections of a peer whose certificate has expired: looked at every --watch, and at SIGHUP")
	f.StringVar(&o.admin, "admin", "", "serve /metrics, /healthz and /readyz over HTTP on this `address`, unencrypted and to anybody")
	f.StringVar(&o.logFormat, "log-format", "text", "the `format` of the log: text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "the least `level` of what is logged: debug, info, warn or error")
	f.StringVar(&o.configFile, "config", "", "a TOML `file` of settings, which are named as the flags are; flags win")
}

// check says what is missing or wrong in what the engine does not see.
func (o *tunnelOptions) check() error {
	switch {
	case o.listen == "":
		return errors.New("say where to listen: --listen ADDR")
	case o.keepRevoked && o.cutExpired:
		return errors.New("--keep-revoked and --cut-expired contradict each other: give one of them")
	case o.other == "":
		return fmt.Errorf("say what to dial: --%s ADDR", o.otherFlag())
	}
	for _, limit := range []struct {
		flag  string
		value int64
	}{
		{"idle", int64(o.idle)}, {"lifetime", int64(o.lifetime)}, {"dial-timeout", int64(o.dialTimeout)},
		{"drain", int64(o.drain)}, {"watch", int64(o.watch)}, {"max-connections", int64(o.maxConnections)},
	} {
		if limit.value < 0 {
			return fmt.Errorf("--%s is below zero: 0 is its least value", limit.flag)
		}
	}
	return nil
}

// otherFlag names the flag of the side that is dialled.
func (o *tunnelOptions) otherFlag() string {
	if o.server {
		return "target"
	}
	return "server"
}

// logger writes to standard error. It never blocks: see lineWriter.
func (o *tunnelOptions) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level is debug, info, warn or error, not %q", o.logLevel)
	}
	handler := func(w io.Writer) slog.Handler {
		options := &slog.HandlerOptions{Level: level}
		if o.logFormat == "json" {
			return slog.NewJSONHandler(w, options)
		}
		return slog.NewTextHandler(w, options)
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		return nil, fmt.Errorf("--log-format is text or json, not %q", o.logFormat)
	}
	if l, ok := w.(*lineWriter); ok {
		l.setNotice(func(dropped uint64) []byte {
			var line bytes.Buffer
			slog.New(handler(&line)).Error("log lines were dropped: their reader is too slow", "dropped", dropped)
			return line.Bytes()
		})
	}
	return slog.New(handler(w)), nil
}

// nameable refuses a server whose certificate could not be checked, as it has no name.
func nameable(c *mayfly.Config, server tunnel.Address) error {
	host, _, err := net.SplitHostPort(server.Addr)
	if c.Peers != nil || c.ServerName != "" || server.Network == "tcp" && err == nil && host != "" {
		return nil
	}
	return fmt.Errorf("--server %s has no name that its certificate could be checked against: say which server to accept, by --peer PIN, or its --name", server)
}

// engine makes the tunnel.
func (o *tunnelOptions) engine(ln net.Listener, security func() *mayfly.Config, log *slog.Logger) (*tunnel.Tunnel, error) {
	other, err := tunnel.ParseAddress(o.other)
	config := tunnel.Config{
		Security: security, Idle: o.idle, DialTimeout: o.dialTimeout, MaxConnections: o.maxConnections,
		CutExpired: o.cutExpired, SendProxy: o.sendProxy, Log: log,
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("--%s: %w", o.otherFlag(), err)
	case !o.server:
		if err := nameable(security(), other); err != nil {
			return nil, err
		}
		if o.upstream != "" {
			if config.Upstream, err = tunnel.ParseUpstream(o.upstream); err != nil {
				return nil, fmt.Errorf("--proxy: %w", err)
			}
		}
		return tunnel.NewClient(ln, other, config)
	}
	if err := o.plain("target", other); err != nil {
		return nil, err
	}
	return tunnel.NewServer(ln, other, config)
}
