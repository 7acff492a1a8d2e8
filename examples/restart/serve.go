// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// A server echoes what its clients send.
type server struct {
	config *mayfly.Config
	inner  *net.TCPListener
	ln     *mayfly.Listener

	mu    sync.Mutex
	conns map[*mayfly.Conn]chan []byte // what an echo was not able to write, once it has ended
	all   sync.WaitGroup
}

// inherited is the descriptor of the Unix socket to the process before.
const inherited = 3

// serve listens, or goes on where the process before has stopped.
func serve(addr string, config *mayfly.Config) error {
	s := &server{config: config, conns: make(map[*mayfly.Conn]chan []byte)}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	if os.Getenv("RESTARTED") == "1" {
		if err := s.takeOver(); err != nil {
			return err
		}
	} else {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		s.inner = ln.(*net.TCPListener)
	}
	var err error
	if s.ln, err = mayfly.NewListener(s.inner, config); err != nil {
		return err
	}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := s.ln.AcceptConn()
			if err != nil {
				return
			}
			s.start(c, nil)
		}
	}()
	fmt.Println("serving", s.inner.Addr(), os.Getpid())
	<-hup
	return s.handOver(accepting)
}

// start echoes what comes over a connection, after what is left of what came before.
func (s *server) start(c *mayfly.Conn, rest []byte) {
	left := make(chan []byte, 1)
	s.mu.Lock()
	s.conns[c] = left
	s.mu.Unlock()
	s.all.Go(func() {
		rest, err := echo(c, rest)
		if left <- rest; !errors.Is(err, mayfly.ErrDetached) {
			_ = c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		}
	})
}

// echo returns what it has read and not written.
func echo(c *mayfly.Conn, rest []byte) ([]byte, error) {
	if err := c.Flush(); err != nil { // what the process before has sealed, and not sent
		return rest, err
	}
	p := make([]byte, 32<<10)
	for {
		for len(rest) > 0 {
			n, err := c.Write(rest)
			if rest = rest[n:]; err != nil {
				return rest, err
			}
		}
		n, err := c.Read(p)
		rest = p[:n]
		if err == io.EOF {
			err = c.CloseWrite()
			if err == nil {
				err = io.EOF
			}
		}
		if err != nil {
			return rest, err
		}
	}
}

// handOver starts a new process and gives it all there is.
func (s *server) handOver(accepting chan struct{}) error {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	theirs := os.NewFile(uintptr(fds[1]), "theirs")
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Env = append(os.Environ(), "RESTARTED=1")
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = theirs.Close()
	link, err := newLink(fds[0])
	if err != nil {
		return err
	}
	defer link.Close()
	if err := link.send(s.inner, nil, nil); err != nil {
		return err
	}
	// What has come in is finished here; what comes from now on waits for the other.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.ln.Shutdown(ctx); err != nil {
		return err
	}
	<-accepting
	offer, err := link.receive()
	if err != nil {
		return err
	}
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for c, left := range conns {
		blob, raw, err := c.Detach(ctx, offer)
		if err != nil {
			continue // it has just ended
		}
		if err := link.send(raw.(*net.TCPConn), blob, <-left); err != nil {
			return err
		}
		_ = raw.Close() // the other process has it now
		if offer, err = link.receive(); err != nil {
			return err
		}
	}
	s.all.Wait()
	return nil
}

// takeOver receives what the process before gives.
func (s *server) takeOver() error {
	link, err := newLink(inherited)
	if err != nil {
		return err
	}
	defer link.Close()
	file, _, _, err := link.take()
	if err != nil {
		return err
	}
	ln, err := net.FileListener(file)
	if err != nil {
		return err
	}
	_ = file.Close()
	s.inner = ln.(*net.TCPListener)
	for {
		r, err := mayfly.NewReceiver()
		if err != nil {
			return err
		}
		if err := link.offer(r.Offer()); err != nil {
			return err
		}
		file, blob, rest, err := link.take()
		if err == io.EOF {
			r.Wipe()
			return nil // that was all
		} else if err != nil {
			return err
		}
		raw, err := net.FileConn(file)
		if err != nil {
			return err
		}
		_ = file.Close()
		c, err := r.Attach(raw, blob, s.config)
		if err != nil {
			_ = raw.Close()
			return err
		}
		s.start(c, rest)
	}
}
