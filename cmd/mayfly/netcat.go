// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/tunnel"
)

func listenCommand() *cobra.Command {
	var o options
	var ticketKey string
	cmd := &cobra.Command{
		Use:   "listen ADDR",
		Short: "Wait for one connection, and join it to standard input and output",
		Long: `Wait on ADDR (host:port, or :port) for one connection of a peer that is accepted,
and join it to standard input and output. Peers that are not accepted are turned
away, and waiting goes on. The address is printed on standard error.`,
		Example: "  mayfly listen --key node.key --peer sha256//x3T…= :7000 > file",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAddress(args[0], false); err != nil {
				return err
			}
			config, err := o.config(true)
			if err != nil {
				return err
			}
			if ticketKey != "" {
				key, err := sealingKey(ticketKey, true)
				if err != nil {
					return err
				}
				defer key.Wipe()
				config.TicketKeys = mayfly.NewTicketRing(key)
			}
			config.Trace = o.listenerTrace(cmd.ErrOrStderr())
			ln, err := waitOn(cmd, args[0], config)
			if err != nil {
				return err
			}
			defer ln.Close()
			conn, err := ln.AcceptConn()
			if err != nil {
				return connectionError{err}
			}
			_ = ln.Close() // one connection, and no more
			return join(cmd.Context(), conn, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	o.register(cmd.Flags(), true)
	o.registerTrace(cmd.Flags())
	cmd.Flags().StringVar(&ticketKey, "ticket-key", "", "let clients resume sessions with a later listen: a `file` with 32 random bytes in base64, made where it is not there")
	return cmd
}

// waitOn starts a Listener, which ends with the command, and says where it is.
func waitOn(cmd *cobra.Command, addr string, config *mayfly.Config) (*mayfly.Listener, error) {
	ln, err := mayfly.Listen("tcp", addr, config)
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return nil, connectionError{err} // the address is taken, say
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "listening on", ln.Addr())
	context.AfterFunc(cmd.Context(), func() { _ = ln.Close() })
	return ln, nil
}

// listenerTrace says whom a listener turns away, and now and then that the system hands out
// no connections; with --trace, all that happens.
func (o *options) listenerTrace(stderr io.Writer) *mayfly.Trace {
	var log tunnel.AcceptLog
	all := &mayfly.Trace{HandshakeDone: func(_ context.Context, i mayfly.HandshakeInfo) {
		if i.Err != nil {
			fmt.Fprintf(stderr, "turned %v away: %s\n", i.RemoteAddr, sentence(i.Err))
		}
	}}
	if o.trace {
		all = printTrace(stderr)
	}
	turnedAway := all.AcceptError
	all.AcceptError = func(ctx context.Context, i mayfly.AcceptErrorInfo) {
		if i.RemoteAddr != nil {
			if turnedAway != nil {
				turnedAway(ctx, i)
			}
			return
		}
		if failures, ok := log.Take(time.Now()); ok {
			fmt.Fprintf(stderr, "a connection cannot be accepted, %d times so far or since the last such line; trying again: %s\n", failures, sentence(i.Err))
		}
	}
	return all
}

func dialCommand() *cobra.Command {
	var o options
	var sessions savedSessions
	var confirm bool
	cmd := &cobra.Command{
		Use:   "dial ADDR",
		Short: "Connect, and join the connection to standard input and output",
		Long: `Connect to ADDR (host:port) and join the connection to standard input and output.
With neither --key, --peer, --peers nor --ca, the server needs a certificate of
the system's roots.

With --session-file, a session that the file has with this server is resumed, if the
server is still one to accept; its new ones are saved. What is saved can be shown by
the session command.`,
		Example: "  mayfly dial --key node.key --peer sha256//9fQ…= db:7000 < file",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAddress(args[0], true); err != nil {
				return err
			}
			config, err := o.config(false)
			if err != nil {
				return err
			}
			if o.trace {
				config.Trace = printTrace(cmd.ErrOrStderr())
			}
			if err := sessions.load(config, cmd.ErrOrStderr()); err != nil {
				return err
			}
			defer sessions.wipe()
			d := &mayfly.Dialer{Config: config, Confirm: confirm}
			conn, err := d.DialConn(cmd.Context(), "tcp", args[0])
			saved := sessions.save() // without the one that was used
			if err != nil {
				return connectionError{err}
			}
			if saved != nil {
				_ = conn.Close()
				return saved
			}
			err = join(cmd.Context(), conn, cmd.InOrStdin(), cmd.OutOrStdout())
			if saved = sessions.save(); err == nil {
				return saved
			}
			return err
		},
	}
	o.register(cmd.Flags(), false)
	o.registerTrace(cmd.Flags())
	sessions.register(cmd.Flags())
	cmd.Flags().BoolVar(&confirm, "confirm", false, "send nothing before the server has accepted this side (servers of mayfly say so at once; others may not)")
	return cmd
}

// join copies in to conn and conn to out, each until its end; the end of in closes
// one half of the connection. Where in is a terminal, the end of conn is the end.
//
// Whatever stops it before that cuts the transport: a close_notify would tell the
// peer that what it has is all there was.
func join(ctx context.Context, conn *mayfly.Conn, in io.Reader, out io.Writer) error {
	defer conn.Close()
	cut := func() { _ = conn.NetConn().Close() }
	defer context.AfterFunc(ctx, cut)()
	source, sink := &input{Reader: in}, &output{Writer: out}
	unread, sent := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, source)
		switch {
		case source.err != nil:
			unread <- source.err
			cut()
		case err == nil:
			err = conn.CloseWrite()
		}
		sent <- err
	}()
	if _, err := io.Copy(sink, conn); err != nil {
		if sink.err != nil {
			cut()
		}
		select {
		case err = <-unread: // the cause of the other
		default:
		}
		return connectionError{err}
	}
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return closeConn(conn, nil)
	}
	select {
	case err := <-sent:
		return closeConn(conn, err)
	case <-ctx.Done():
		cut() // AfterFunc's may not have run yet
		return connectionError{ctx.Err()}
	}
}

func closeConn(conn *mayfly.Conn, err error) error {
	if err = errors.Join(err, conn.Close()); err != nil {
		return connectionError{err}
	}
	return nil
}

// input and output note errors of their own, to tell them from the connection's.
type input struct {
	io.Reader
	err error
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if err != nil && err != io.EOF {
		i.err = err
	}
	return n, err
}

type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	o.err = err
	return n, err
}
