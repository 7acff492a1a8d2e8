// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/tunnel"
)

// tunnelSignals are those that a tunnel heeds besides those that end it.
var tunnelSignals = []os.Signal{syscall.SIGHUP, syscall.SIGUSR2}

// pipeSignals are those of a pipe that has lost its reader.
var pipeSignals = []os.Signal{syscall.SIGPIPE}

func isReload(s os.Signal) bool   { return s == syscall.SIGHUP }
func isHandOver(s os.Signal) bool { return s == syscall.SIGUSR2 }

const (
	// heirVariable says to a process that it takes over from its parent, whose link
	// has the descriptor heirDescriptor.
	heirVariable   = "MAYFLY_TUNNEL_HEIR"
	heirDescriptor = 3

	handOverTimeout = time.Minute
)

// A heritage is what the process before hands over.
type heritage struct{ link *tunnel.Link }

// inherit returns nil where there was no process before.
func inherit() (*heritage, error) {
	if os.Getenv(heirVariable) != fmt.Sprint(os.Getppid()) {
		return nil, nil
	}
	link, err := tunnel.LinkOf(os.NewFile(heirDescriptor, "link"))
	if err != nil {
		return nil, err
	}
	return &heritage{link}, nil
}

func (h *heritage) listeners() (ln, admin net.Listener, err error) {
	ln, others, err := h.link.Inherit()
	return ln, others["admin"], err
}

func (h *heritage) takeOver(t *tunnel.Tunnel) (int, error) {
	defer h.link.Close()
	return t.TakeOver(h.link)
}

// handOver starts the program again, and gives it all there is. It reports whether that
// process has taken over; otherwise this one goes on.
func (r *runner) handOver() bool {
	ctx, cancel := context.WithTimeout(context.Background(), handOverTimeout)
	defer cancel()
	link, theirs, err := tunnel.NewLink()
	if err != nil {
		r.log.Error("hand-over failed; this process goes on", "error", err)
		return false
	}
	defer link.Close()
	heir, err := startHeir(theirs)
	_ = theirs.Close()
	if err != nil {
		r.log.Error("hand-over failed; this process goes on", "error", err)
		return false
	}
	others := make(map[string]net.Listener)
	if r.admin != nil {
		others["admin"] = r.admin.listener
	}
	moved, err := r.tunnel.HandOver(ctx, link, others)
	if err != nil {
		_ = heir.Kill() // so that there is one tunnel and not two
		_, _ = heir.Wait()
		r.log.Error("hand-over failed; this process goes on", "error", err, "moved", moved)
		return false
	}
	if r.admin != nil {
		if unix, ok := r.admin.listener.(*net.UnixListener); ok {
			unix.SetUnlinkOnClose(false)
		}
		r.admin.close()
	}
	r.notify(fmt.Sprintf("MAINPID=%d", heir.Pid))
	r.log.Info("handed over", "connections", moved, "to", heir.Pid, "pid", os.Getpid())
	return true
}

func startHeir(link *os.File) (*os.Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// A new version has taken the place of the old one, which has no name any more.
	program = strings.TrimSuffix(program, " (deleted)")
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{link}
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, heirVariable+"=") || strings.HasPrefix(s, "LISTEN_")
	})
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", heirVariable, os.Getpid()))
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(errors.New("the program cannot be started again"), err)
	}
	return cmd.Process, nil
}
