// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/transfer"
)

func sendCommand() *cobra.Command {
	var o options
	var retries int
	cmd := &cobra.Command{
		Use:   "send ADDR FILE...",
		Short: "Send files and folders to a recv",
		Long: `Send files and folders to the recv that waits on ADDR (host:port), which takes each
under the last part of its name. A connection that is cut is made again, and what has
arrived is not sent again, then or when send is run again: both sides hash it. At the
end both print the SHA-256 of all that was sent: of what sha256sum would print of the
files, in the order of the transfer. Symbolic links in folders, and what is neither file
nor folder, are not sent, and named.

A file that cannot be read is named and left out. A file that changes while it is sent is
named. send goes on with the other files, and exits with 4.`,
		Example: "  mayfly send --key node.key --peer sha256//9fQ…= db:7000 photos backup.tar",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAddress(args[0], true); err != nil {
				return err
			}
			if retries < 0 {
				return errors.New("--retries is below zero: 0 is its least value")
			}
			config, err := o.config(false)
			if err != nil {
				return err
			}
			if err := transfer.Check(args[1:]...); err != nil {
				return err
			}
			config.NextProtos = []string{transfer.Proto}
			if o.trace {
				config.Trace = printTrace(cmd.ErrOrStderr())
			}
			d := &mayfly.Dialer{Config: config, Confirm: true}
			failed := make(map[string]bool)
			for attempt := 0; ; attempt++ {
				total, err := send(cmd, d, args[0], args[1:], failed)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), summary("sent", total))
					if len(failed) > 0 {
						return partlyDone{fmt.Errorf("not all was sent as it is: files that were not readable, or have changed: %d", len(failed))}
					}
					return nil
				}
				if attempt >= retries || !wasCut(err) || cmd.Context().Err() != nil {
					return connectionError{err}
				}
				wait := time.Second << min(attempt, 5)
				what := "cut"
				if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
					what = "not reached"
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s; it goes on in %v\n", what, sentence(err), wait)
				select {
				case <-time.After(wait):
				case <-cmd.Context().Done():
				}
			}
		},
	}
	o.register(cmd.Flags(), false)
	o.registerTrace(cmd.Flags())
	cmd.Flags().IntVar(&retries, "retries", 5, "how many `times` a connection that was cut is made again")
	return cmd
}

// send makes one connection and sends. It adds to failed the files that were not readable,
// or have changed.
func send(cmd *cobra.Command, d *mayfly.Dialer, addr string, names []string, failed map[string]bool) (*transfer.Total, error) {
	conn, err := d.DialContext(cmd.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(cmd.Context(), func() { _ = conn.NetConn().Close() })()
	bar := newBar(cmd.ErrOrStderr())
	defer bar.end()
	s := &transfer.Sender{Begun: bar.begin, Progress: bar.add, Skip: func(name, why string) {
		bar.say("not sent, as " + why + ": " + printable(name))
	}, Fail: func(name string, err error, sent bool) {
		if failed[name] {
			return // an earlier connection has named it
		}
		failed[name] = true
		if sent {
			bar.say("sent, but " + sentence(err) + ": " + printable(name))
			return
		}
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		bar.say("not sent: " + printable(name) + ": " + sentence(err))
	}}
	total, err := s.Send(conn, names...)
	if err != nil {
		return nil, err
	}
	return total, conn.Close()
}

// wasCut reports whether trying again may help: nobody has refused anything.
func wasCut(err error) bool {
	if isRefusal(err) {
		return false
	}
	if _, ok := errors.AsType[*mayfly.AlertError](err); ok {
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func recvCommand() *cobra.Command {
	var o options
	var keep bool
	var maxBytes int64
	cmd := &cobra.Command{
		Use:   "recv ADDR [FOLDER]",
		Short: "Receive files and folders of a send",
		Long: `Wait on ADDR (host:port, or :port) for a send, and put what it sends into FOLDER, which
is made where it is not there, or into the present one. A file takes its name, and the
place of what had it, when it is whole and its SHA-256 is right; what came before a cut
lies beside it, in a file whose name ends in .mayfly-part, until the sender comes again.
Files keep their permissions and the time of their last change; folders that are made
here have the sender's permissions, and can be used by their owner. Peers that are not
accepted are turned away. After one whole transfer it ends, unless --keep is given.`,
		Example: "  mayfly recv --key node.key --peer sha256//x3T…= :7000 inbox",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAddress(args[0], false); err != nil {
				return err
			}
			if maxBytes < 0 {
				return errors.New("--max-bytes is below zero: 0 is its least value, and no bound")
			}
			config, err := o.config(true)
			if err != nil {
				return err
			}
			folder := "."
			if len(args) == 2 {
				folder = args[1]
				if err := os.MkdirAll(folder, 0o777); err != nil {
					return err
				}
			}
			root, err := os.OpenRoot(folder)
			if err != nil {
				return err
			}
			defer root.Close()
			config.NextProtos = []string{transfer.Proto}
			config.Trace = o.listenerTrace(cmd.ErrOrStderr())
			ln, err := waitOn(cmd, args[0], config)
			if err != nil {
				return err
			}
			defer ln.Close()
			stdout := newLineWriter(cmd.OutOrStdout()) // its reader must not block a sender
			defer stdout.flush()
			for {
				conn, err := ln.AcceptConn()
				if err != nil {
					return connectionError{err}
				}
				total, err := receive(cmd, conn, &transfer.Receiver{Root: root, MaxBytes: maxBytes})
				switch {
				case cmd.Context().Err() != nil:
					return connectionError{cmd.Context().Err()}
				case err != nil:
					fmt.Fprintf(cmd.ErrOrStderr(), "%v has not sent all: %s; waiting for more\n", conn.RemoteAddr(), sentence(err))
				default:
					fmt.Fprintln(stdout, summary("received", total))
					if !keep {
						return nil
					}
				}
			}
		},
	}
	o.register(cmd.Flags(), true)
	o.registerTrace(cmd.Flags())
	cmd.Flags().BoolVar(&keep, "keep", false, "go on after a whole transfer")
	cmd.Flags().Int64Var(&maxBytes, "max-bytes", 0, "take no transfer of more `bytes` (0: no bound)")
	return cmd
}

func receive(cmd *cobra.Command, conn *mayfly.Conn, r *transfer.Receiver) (*transfer.Total, error) {
	defer conn.Close()
	defer context.AfterFunc(cmd.Context(), func() { _ = conn.NetConn().Close() })()
	bar := newBar(cmd.ErrOrStderr())
	defer bar.end()
	r.Begun, r.Progress = bar.begin, bar.add
	total, err := r.Receive(conn)
	if err != nil {
		hangUp(conn)
		return nil, err
	}
	return total, conn.Close()
}

// hangUp lets the sender read why: what it has sent meanwhile must be read, or its end
// of the connection is reset.
func hangUp(conn *mayfly.Conn) {
	if conn.CloseWrite() == nil && conn.SetReadDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, 64<<20))
	}
}

// summary is the line that both sides print at the end.
func summary(did string, t *transfer.Total) string {
	files := "files"
	if t.Files == 1 {
		files = "file"
	}
	s := fmt.Sprintf("%s %d %s, %d bytes, SHA-256 %x", did, t.Files, files, t.Bytes, t.Sum)
	if t.Saved > 0 {
		s += fmt.Sprintf(", of which %d bytes had arrived before", t.Saved)
	}
	return s
}
