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
	"sync"
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
arrived is not sent again, then or when send is run again with the same key. At the
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
	list, err := s.List(names...) // before the receiver waits for it
	if err != nil {
		return nil, err
	}
	conn, err := d.DialConn(cmd.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(cmd.Context(), func() { _ = conn.NetConn().Close() })()
	total, err := s.Send(conn, list)
	if err != nil {
		return nil, err
	}
	return total, conn.Close()
}

// wasCut reports whether trying again may help: no side has refused anything.
func wasCut(err error) bool {
	if isRefusal(err) {
		return false
	}
	if errors.Is(err, transfer.ErrTryAgain) {
		return true
	}
	if _, ok := errors.AsType[*mayfly.AlertError](err); ok {
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func recvCommand() *cobra.Command {
	var o options
	r := new(recv)
	cmd := &cobra.Command{
		Use:   "recv ADDR [FOLDER]",
		Short: "Receive files and folders of a send",
		Long: `Wait on ADDR (host:port, or :port) for a send, and put what it sends into FOLDER, which
is made where it is not there, or into the present one. A file takes its name, and the
place of what had it, when it is whole, its SHA-256 is right and the disk has it. What
came before a cut stays in .mayfly-recv in FOLDER until the same sender comes again.
Files keep their permissions and the time of their last change; folders that are made
here have the sender's permissions, and can be used by their owner. Peers that are not
accepted are turned away. After one whole transfer it ends and cuts the others, unless
--keep is given.

Up to 16 transfers run at a time, 4 of one sender; further ones are told to come again.
A sender, known by its key, can go on with and compare only what it has sent itself. It
learns nothing of other files, but a file that it sends replaces one of the same name.
With --anybody no transfer can be continued. A sender that makes no progress for
--idle is cut. One recv at a time can use a FOLDER.`,
		Example: "  mayfly recv --key node.key --peer sha256//x3T…= :7000 inbox",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAddress(args[0], false); err != nil {
				return err
			}
			if r.maxBytes < 0 {
				return errors.New("--max-bytes is below zero: 0 is its least value, and no bound")
			}
			if r.idle < 0 {
				return errors.New("--idle is below zero: 0 is its least value, and no bound")
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
			if r.inbox, err = transfer.OpenInbox(folder); err != nil {
				return err
			}
			defer r.inbox.Close()
			config.NextProtos = []string{transfer.Proto}
			config.Trace = o.listenerTrace(cmd.ErrOrStderr())
			ln, err := waitOn(cmd, args[0], config)
			if err != nil {
				return err
			}
			defer ln.Close()
			stdout := newLineWriter(cmd.OutOrStdout()) // its reader must not block a sender
			defer stdout.flush()
			r.stdout, r.stderr = stdout, cmd.ErrOrStderr()
			return r.run(cmd.Context(), ln)
		},
	}
	o.register(cmd.Flags(), true)
	o.registerTrace(cmd.Flags())
	cmd.Flags().BoolVar(&r.keep, "keep", false, "go on after a whole transfer")
	cmd.Flags().Int64Var(&r.maxBytes, "max-bytes", 0, "take no transfer of more `bytes` (0: no bound)")
	cmd.Flags().DurationVar(&r.idle, "idle", time.Minute, "cut a sender that makes no progress for this `time` (0: no bound)")
	return cmd
}

// maxConnections bounds the connections of a recv. Those that the inbox has no place for are
// told so.
const maxConnections = 64

// A recv receives of several senders.
type recv struct {
	keep     bool
	maxBytes int64
	idle     time.Duration

	inbox          *transfer.Inbox
	stdout, stderr io.Writer
	progress       sync.Mutex // held by the transfer that shows a bar
}

// run receives until one transfer is whole, or with keep until ctx ends.
func (r *recv) run(ctx context.Context, ln *mayfly.Listener) error {
	running, stop := context.WithCancel(ctx)
	var connections sync.WaitGroup
	defer connections.Wait()
	defer stop()
	context.AfterFunc(running, func() { _ = ln.Close() })
	places := make(chan struct{}, maxConnections)
	for {
		conn, err := ln.AcceptConn()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return connectionError{ctx.Err()}
		case running.Err() != nil:
			return nil
		default:
			return connectionError{err}
		}
		select {
		case places <- struct{}{}:
		default:
			_ = conn.NetConn().Close() // its sender tries again
			_ = conn.Close()
			continue
		}
		connections.Go(func() {
			defer func() { <-places }()
			total, err := r.receive(running, conn)
			switch {
			case err == nil:
				fmt.Fprintln(r.stdout, summary("received", total))
				if !r.keep {
					stop()
				}
			case ctx.Err() == nil:
				fmt.Fprintf(r.stderr, "%v has not sent all: %s; waiting for more\n", conn.RemoteAddr(), sentence(err))
			}
		})
	}
}

// receive receives of one sender. A bar shows how far it is, if no other transfer has one.
func (r *recv) receive(ctx context.Context, conn *mayfly.Conn) (*transfer.Total, error) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })()
	receiver := &transfer.Receiver{Inbox: r.inbox, MaxBytes: r.maxBytes, Idle: r.idle}
	if peer := conn.Peer(); peer.Kind != mayfly.Anonymous {
		receiver.Sender = peer.Pin.String()
	}
	if r.progress.TryLock() {
		defer r.progress.Unlock()
		bar := newBar(r.stderr)
		defer bar.end()
		receiver.Begun, receiver.Progress = bar.begin, bar.add
	}
	total, err := receiver.Receive(conn)
	if err != nil {
		hangUp(conn)
		return nil, err
	}
	return total, conn.Close()
}

// hangUp lets the sender read why: what it has sent meanwhile must be read, or its end
// of the connection is reset.
func hangUp(conn *mayfly.Conn) {
	if conn.SetDeadline(time.Now().Add(time.Second)) == nil && conn.CloseWrite() == nil {
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
