// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/inspect"
)

// errNotVerified is that of a server that was inspected and is not one to accept. It is
// a refusal by this side.
var errNotVerified error = notVerified{}

type notVerified struct{}

func (notVerified) Error() string        { return "the server is not verified" }
func (notVerified) Is(target error) bool { return target == mayfly.ErrPeerRefused }

func inspectCommand() *cobra.Command {
	var o options
	var page string
	var rekeys int
	var reveal, insecure bool
	cmd := &cobra.Command{
		Use:   "inspect ADDR",
		Short: "Connect to a TLS 1.3 server, and show what happened",
		Long: `Connect to ADDR (host:port), do a handshake, change the keys, close, and show what
happened: each message and its size, what was offered and taken, who the server is,
when each key of the schedule came and went, and how long things took. With --html,
all of it goes into one page as well, in which each byte is explained.

The server is judged as dial does, by --peer, --peers, --ca or the system's roots; one
that is not accepted is shown all the same, and nothing but the exit code and the
report tells. A --key or --cert is shown to whoever answers, if it asks for one.

--reveal prints the secrets, with which anybody can read a recording of this one
connection. Nothing is sent over it.

Exit codes: 0 the server is verified, or with --insecure, the handshake was done; 1 the
handshake or the connection failed (what there was of it is shown), or the page could
not be written; 2 the command line cannot be used; 3 the server is not verified, or it
refused the client.`,
		Example: `  mayfly inspect example.com:443 --html page.html
  mayfly inspect db:7000 --peer sha256//9fQ…= --key node.key --rekeys 3`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAddress(args[0], true); err != nil {
				return err
			}
			config, roots, err := o.inspection()
			if err != nil {
				return err
			}
			if rekeys < 0 || rekeys > 16 {
				return errors.New("--rekeys is from 0 to 16")
			}
			report, err := inspect.Run(cmd.Context(), &inspect.Options{Addr: args[0], Config: config, Roots: roots, Rekeys: rekeys, Reveal: reveal})
			if err != nil {
				return connectionError{err}
			}
			text := cmd.OutOrStdout()
			if page == "-" {
				text = cmd.ErrOrStderr()
			}
			if err := report.WriteText(text); err != nil {
				return connectionError{err}
			}
			switch page {
			case "":
			case "-":
				if err := report.WriteHTML(cmd.OutOrStdout()); err != nil {
					return connectionError{err}
				}
			default:
				if err := writePage(page, report); err != nil {
					return connectionError{err}
				}
			}
			switch {
			case report.Err != nil:
				return connectionError{report.Err}
			case !report.Verified && !insecure:
				return connectionError{errNotVerified}
			}
			return nil
		},
	}
	o.register(cmd.Flags(), false)
	cmd.Flags().StringVar(&page, "html", "", "write a page that explains every byte to this `file` (-: standard output, and the report to standard error)")
	cmd.Flags().IntVar(&rekeys, "rekeys", 1, "how many `times` to change the keys after the handshake, and to ask the server to do so; at most 16")
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show the values of the connection's secrets")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "exit with 0 though the server is not verified")
	return cmd
}

// inspection makes of the flags a Config that takes whatever kind of credential there
// is, and the roots of --ca, if they are given.
func (o *options) inspection() (*mayfly.Config, *x509.CertPool, error) {
	config, err := o.config(false)
	if err != nil {
		return nil, nil, err
	}
	if len(o.pins) == 0 && o.peers == "" {
		config.PeerKinds = []mayfly.PeerKind{mayfly.X509, mayfly.RawKey} // as dial would see it
	}
	if o.ca == "" {
		return config, nil, nil
	}
	roots, err := authorities(o.ca)
	return config, roots, err
}

func writePage(name string, report *inspect.Report) (err error) {
	mode := os.FileMode(0o644)
	if report.Revealed {
		mode = 0o600
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if report.Revealed {
		err = f.Chmod(mode) // it may have been there before
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err == nil {
		err = report.WriteHTML(f)
	}
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
