// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// bufferSize is how much is read at once.
const bufferSize = 32 << 10

// A pair is a connection of each side, and what is under way between them.
type pair struct {
	secure   *mayfly.Conn
	plain    net.Conn
	up, down flow // from plain to secure, and back

	began  time.Time
	moved  atomic.Int64 // when something was last carried, after began
	idle   atomic.Pointer[time.Timer]
	cause  atomic.Pointer[error] // why it was cut; the first one counts
	ended  chan struct{}         // closed when neither flow is carried any more
	handed atomic.Bool           // the secure connection was detached
	open   bool                  // a flow was stopped by that; to be read after ended
}

// A flow is one direction. What is not counted belongs to the goroutine that carries it,
// and to nobody until that has begun and after it has ended.
type flow struct {
	pending []byte // read, and not yet written
	ended   bool   // the source has ended
	told    bool   // and the sink was told
	bytes   atomic.Uint64
}

// A stream is what both sides are.
type stream interface {
	io.ReadWriter
	CloseWrite() error
}

// The reasons of this side for which a pair is cut.
var (
	errIdle  = errors.New("nothing was carried for as long as the idle limit allows")
	errCut   = errors.New("the tunnel is closing, and does not wait any longer")
	errPlain = errors.New("the plain side failed")
)

func newPair(secure *mayfly.Conn, plain net.Conn) *pair {
	return &pair{secure: secure, plain: plain, began: time.Now(), ended: make(chan struct{})}
}

// run carries both flows to their end. Its error is mayfly.ErrDetached where the pair is
// to go on in another process; neither connection is closed then.
//
// An end is passed on as an end, of each half by itself. A failure is passed on as one:
// with a close_notify, or the end of a TCP stream, the other side would take what it has
// for all there was.
func (p *pair) run(idle time.Duration) error {
	if idle > 0 {
		p.idle.Store(time.AfterFunc(idle, func() { p.watch(idle) }))
		defer func() { p.idle.Load().Stop() }()
	}
	plain, ok := p.plain.(stream)
	if !ok {
		p.cut(errors.New("the plain side cannot be closed by halves"))
		return *p.cause.Load()
	}
	results := make(chan error, 2)
	go func() {
		err := p.secure.Flush() // what the process before has sealed, and not sent
		if err == nil {
			err = p.carry(&p.up, plain, p.secure)
		}
		results <- err
	}()
	go func() { results <- p.carry(&p.down, p.secure, plain) }()
	for range 2 {
		switch err := <-results; {
		case err == nil:
		case errors.Is(err, mayfly.ErrDetached), p.handed.Load():
			p.open = true
		default:
			p.cut(err)
		}
	}
	close(p.ended)
	switch cause := p.cause.Load(); {
	case cause != nil:
		return *cause
	case p.open:
		return mayfly.ErrDetached
	}
	return errors.Join(p.secure.Close(), p.plain.Close())
}

// carry moves what comes from one side to the other.
func (p *pair) carry(f *flow, from, to stream) error {
	buf := make([]byte, bufferSize)
	for {
		for len(f.pending) > 0 {
			n, err := to.Write(f.pending)
			f.pending = f.pending[n:]
			f.bytes.Add(uint64(n))
			p.moved.Store(int64(time.Since(p.began)))
			if err != nil {
				return p.blame(to, err)
			}
		}
		if f.ended {
			return p.tell(f, to)
		}
		n, err := from.Read(buf)
		f.pending, f.ended = buf[:n], err == io.EOF
		if err != nil && !f.ended {
			return p.blame(from, err)
		}
	}
}

// tell passes the end of a flow on.
func (p *pair) tell(f *flow, to stream) error {
	if f.told {
		return nil
	}
	err := to.CloseWrite()
	if errors.Is(err, syscall.ENOTCONN) {
		err = nil // a plain side that has closed both halves needs not to be told
	}
	if err != nil {
		return p.blame(to, err)
	}
	f.told = true
	p.moved.Store(int64(time.Since(p.began)))
	return nil
}

// blame says which side an error is of.
func (p *pair) blame(side stream, err error) error {
	if side == stream(p.secure) {
		return err
	}
	return fmt.Errorf("%w: %w", errPlain, err)
}

// watch cuts the pair when nothing has moved for so long.
func (p *pair) watch(idle time.Duration) {
	select {
	case <-p.ended:
		return
	default:
	}
	rest := idle - (time.Since(p.began) - time.Duration(p.moved.Load()))
	if rest <= 0 {
		p.cut(errIdle)
		return
	}
	p.idle.Store(time.AfterFunc(rest, func() { p.watch(idle) }))
}

// cut ends both connections so that neither peer takes it for an end of the data. Where
// the secure one ended by an alert, that has been sent or received. It reports false for
// a pair that was cut before.
func (p *pair) cut(err error) (first bool) {
	if !p.cause.CompareAndSwap(nil, &err) {
		return false
	}
	if _, alerted := errors.AsType[*mayfly.AlertError](err); !alerted {
		_ = p.secure.NetConn().Close()
	}
	_ = p.secure.Close()
	reset(p.plain)
	return true
}

// reset closes a plain connection so that its peer sees a failure, where its kind can say
// so: the peer of a Unix socket sees an end, unless data was on its way.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
