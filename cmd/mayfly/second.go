// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/mayfly-tls/mayfly"
)

// A second is the demo's second process. It stops twice, with its connection open
// and after it was closed, so that its memory can be searched for the secrets that
// it wrote to a pipe.
type second struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Reader
	secrets *needles
	ended   chan struct{}
	err     error // after ended
}

// startSecond starts the second process.
func startSecond(ctx context.Context, stderr io.Writer, self string, args ...string) (*second, error) {
	cmd := exec.CommandContext(ctx, self, append([]string{"demo-client"}, args...)...)
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, toUs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	secrets, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = toUs
	if canMeasure {
		cmd.ExtraFiles = []*os.File{theirs}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_, _ = toUs.Close(), theirs.Close()
	s := &second{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(answers), secrets: collect(secrets), ended: make(chan struct{})}
	go func() {
		s.err = cmd.Wait()
		close(s.ended)
	}()
	return s, nil
}

// examine searches the process's memory at both stops. The first search proves
// that the second one can find something.
func (s *second) examine() (r report, verdict string, err error) {
	if _, err := s.stdout.ReadString('\n'); err != nil {
		return r, "", err
	}
	open, _, openErr := s.search()
	if openErr != nil && !errors.Is(openErr, errNotMeasured) {
		return r, "", openErr
	}
	if _, err := io.WriteString(s.stdin, "\n"); err != nil {
		return r, "", err
	}
	line, err := s.stdout.ReadBytes('\n')
	if err != nil {
		return r, "", err
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, "", err
	}
	closed, scanned, err := s.search()
	switch {
	case openErr != nil:
		verdict, err = openErr.Error(), nil
	case err == nil:
		verdict, err = judge(open, closed, scanned)
	}
	return r, verdict, errors.Join(err, s.stdin.Close())
}

// search counts the pieces of secrets in the process's memory, where that can be.
func (s *second) search() (found map[string]int, scanned int64, err error) {
	if !canMeasure {
		return nil, 0, errNotMeasured
	}
	return s.secrets.search(s.cmd.Process.Pid)
}

// judge says what was found.
func judge(open, closed map[string]int, scanned int64) (string, error) {
	before, after := 0, 0
	for label := range closed {
		if open[label] > 0 {
			before++
		}
		after += closed[label]
	}
	if before == 0 {
		return "", errors.New("the scan found no secret in the open connection: it shows nothing")
	}
	verdict := fmt.Sprintf("of %d secrets of the second process, %d pieces in %d MiB after Close; %d was in use, and found, while it was open",
		len(closed), after, scanned>>20, before)
	if after > 0 {
		return "", errors.New(verdict)
	}
	return verdict, nil
}

// wait returns how the process ended.
func (s *second) wait() error {
	_ = s.stdin.Close()
	<-s.ended
	return s.err
}

// kill ends the process, if it has not ended.
func (s *second) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// beExamined is the second process's part: it stops with the connection open, and
// again when it is closed.
func beExamined(cmd *cobra.Command, conn *mayfly.Conn, r report, destroyed *atomic.Int64) error {
	in := bufio.NewReader(cmd.InOrStdin())
	fmt.Fprintln(cmd.OutOrStdout(), "open")
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return connectionError{err}
	}
	r.Destroyed = destroyed.Load()
	runtime.GC()
	runtime.GC()
	if err := json.NewEncoder(cmd.OutOrStdout()).Encode(r); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, in) // until the first process has searched
	return nil
}
