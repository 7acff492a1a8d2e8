// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Command mayfly makes keys, shows their pins, and joins standard input and output
// to a secure connection: see mayfly help. It is written on the public API, but
// for inspect, which looks into what passes (internal/inspect).
//
// It exits with 0 after success; 1 where a connection failed or was cut, or a message or
// a transfer is not what it should be; 2 for a command line, a key file or a list of
// peers that cannot be used; 3 where one side refused the other; 4 where send has left out
// files that it was not able to read, or that changed. A transfer that was interrupted, or whose input or output
// failed, cuts the connection, so that the other side does not exit with 0 either.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mayfly-tls/mayfly"
)

// The exit codes.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	exitPartly  = 4
)

func main() {
	surviveBrokenPipe()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, messages io.Writer) int {
	stderr := newLineWriter(messages)
	defer stderr.flush()
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if _, told := errors.AsType[cutConnections](err); err != nil && ctx.Err() != nil && !told {
		err = connectionError{errors.New("interrupted")}
	}
	if err != nil {
		fmt.Fprintln(stderr, "mayfly:", sentence(err))
	}
	return exitCode(err)
}

// rootCommand is the command with all that it can do.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:     "mayfly",
		Version: version(),
		Short:   "Secure connections between programs that know each other's keys",
		Long: `Secure connections between programs that know each other's keys.

A key is made with keygen, which prints its pin; the other side is given the pin.
listen and dial join standard input and output to a connection, as netcat does.

Exit codes: 0 success; 1 the connection failed or was cut, or a message or a transfer
is not what it should be; 2 the command line, a key file or a list of peers cannot be
used; 3 one side refused the other; 4 all but some files were sent. Errors go to standard
error, one sentence each.

completion writes a script for bash, zsh, fish or PowerShell.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.AddCommand(keygenCommand(), pinCommand(), recipientCommand(), sealCommand(), openCommand(), listenCommand(), dialCommand(), sendCommand(), recvCommand(), sessionCommand(), tunnelCommand(), inspectCommand(), demoCommand(), demoClientCommand())
	root.AddCommand(generators()...)
	root.InitDefaultCompletionCmd()
	complete(root)
	explain(root)
	explainHelp(root)
	return root
}

// version is that of the module and the one of Go, as the build recorded them.
func version() string {
	built := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		built = info.Main.Version
	}
	return fmt.Sprintf("%s %s %s/%s", built, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// A connectionError is one that came after the command line was understood.
type connectionError struct{ error }

func (e connectionError) Unwrap() error { return e.error }

// A partlyDone is the error of a command that has done all but some of its work.
type partlyDone struct{ error }

func (e partlyDone) Unwrap() error { return e.error }

func exitCode(err error) int {
	var failed connectionError
	if _, ok := errors.AsType[partlyDone](err); ok {
		return exitPartly
	}
	switch {
	case err == nil:
		return 0
	case isRefusal(err):
		return exitRefused
	case errors.Is(err, mayfly.ErrConfig):
		return exitUsage
	case errors.As(err, &failed):
		return exitFailed
	}
	return exitUsage
}

// isRefusal reports whether one side did not accept the other.
func isRefusal(err error) bool {
	if errors.Is(err, mayfly.ErrPeerRefused) {
		return true
	}
	var e *mayfly.AlertError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code.String() {
	case "bad_certificate", "unsupported_certificate", "certificate_revoked", "certificate_expired",
		"certificate_unknown", "certificate_required", "unknown_ca", "access_denied", "unrecognized_name":
		return true
	}
	return false
}
