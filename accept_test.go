// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
)

// A strange listener returns what it is told to, one thing after the other.
type strange struct {
	net.Listener
	next chan any // an error or a net.Conn; closed by Close
}

func (s strange) Accept() (net.Conn, error) {
	switch x := (<-s.next).(type) {
	case net.Conn:
		return x, nil
	case error:
		return nil, x
	}
	return nil, net.ErrClosed
}

func (s strange) Addr() net.Addr { return &net.UnixAddr{Name: "strange", Net: "unix"} }
func (s strange) Close() error   { close(s.next); return nil }

// TestAcceptRecovers has the inner listener fail as one does that is out of file
// descriptors: the Listener tells of it, waits, and accepts the next. Another error ends
// Accept.
func TestAcceptRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := seeded(1), seeded(2)
		told := make(chan error, 3) // the hook runs beside the accept loop
		inner := strange{next: make(chan any, 3)}
		ln, err := NewListener(inner, &Config{
			Identity: server, Peers: Pins(client.Pin()),
			Trace: &Trace{AcceptError: func(_ context.Context, i AcceptErrorInfo) { told <- i.Err }},
		})
		if err != nil {
			t.Fatal(err)
		}
		a, b := net.Pipe()
		full := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept", syscall.EMFILE)}
		broken := errors.New("it is broken")
		inner.next <- full
		inner.next <- b
		c := Client(a, &Config{Identity: client, Peers: Pins(server.Pin())})
		defer c.Close()
		go func() { _ = c.Handshake() }()
		s, err := ln.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := <-told; !errors.Is(err, syscall.EMFILE) {
			t.Errorf("the Trace was told %v", err)
		}
		inner.next <- broken
		if _, err := ln.Accept(); err != broken {
			t.Errorf("Accept: %v", err)
		}
		if err := ln.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		synctest.Wait()
		if len(told) > 0 {
			t.Errorf("the Trace was also told %v", <-told)
		}
	})
}
