// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// listening is the name of the tunnel's own socket among those that are handed over.
const listening = "listen"

// HandOver gives the listener, others beside it, and the live connections to the process
// at the other end of l. Until that serves, nothing has changed here, and an error leaves
// the tunnel as it was. After it, an error means that the heir has failed with what it was
// given; the tunnel then accepts again.
//
// Connections that cannot be handed on, as they are about to end, remain: Drain waits for
// them. ctx bounds all. When HandOver has succeeded, Serve returns.
func (t *Tunnel) HandOver(ctx context.Context, l *Link, others map[string]net.Listener) (moved int, err error) {
	defer context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })()
	if t.sock == nil {
		return 0, errors.New("this listener cannot be handed to another process")
	}
	spare, err := t.sock.File() // to go on with if the heir fails
	if err != nil {
		return 0, err
	}
	defer spare.Close()
	if m, _, err := l.receive(); err != nil || !m.Ready {
		return 0, errors.Join(errors.New("the new process was not able to begin: its log says why"), ignoreEOF(err))
	}
	names, sockets := []string{listening}, []syscall.Conn{t.sock.(syscall.Conn)}
	for _, name := range slices.Sorted(maps.Keys(others)) {
		s, ok := others[name].(syscall.Conn)
		if !ok {
			return 0, fmt.Errorf("the listener %s cannot be handed to another process", name)
		}
		names, sockets = append(names, name), append(sockets, s)
	}
	if err := l.send(message{Sockets: names}, sockets...); err != nil {
		return 0, err
	}
	offer, err := l.offer()
	if err != nil {
		return 0, err
	}
	moved, err = t.leave(ctx, l, offer)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moving, t.closing = false, err == nil
	if err != nil {
		err = errors.Join(err, t.relisten(spare))
	}
	t.changed()
	return moved, err
}

// leave stops accepting, for the heir does, and gives it what is here.
func (t *Tunnel) leave(ctx context.Context, l *Link, offer []byte) (moved int, err error) {
	t.mu.Lock()
	t.moving = true
	front := t.front
	t.mu.Unlock()
	if unix, ok := t.sock.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	// What has come in is finished here; what comes from now on is the heir's.
	if err := front.Shutdown(ctx); err != nil {
		return 0, err
	}
	_ = front.Close()
	if err := t.wait(ctx, func() bool { return t.opening == 0 }); err != nil {
		return 0, err
	}
	t.mu.Lock()
	pairs := slices.Collect(maps.Keys(t.pairs))
	t.mu.Unlock()
	for _, p := range pairs {
		ok, err := t.give(ctx, l, p, offer)
		if err != nil {
			return moved, err
		}
		if !ok {
			continue
		}
		moved++
		if offer, err = l.offer(); err != nil {
			return moved, err
		}
	}
	if err := l.send(message{Done: true}); err != nil {
		return moved, err
	}
	_, _, err = l.receive()
	return moved, ignoreEOF(err)
}

// give hands one pair on. It reports false for one that is about to end, which stays.
func (t *Tunnel) give(ctx context.Context, l *Link, p *pair, offer []byte) (bool, error) {
	blob, raw, err := p.secure.Detach(ctx, offer)
	if err != nil {
		return false, nil
	}
	// Whoever carries it wakes up, and leaves what was read and not written.
	p.handed.Store(true)
	_ = p.plain.SetDeadline(time.Unix(1, 0))
	<-p.ended
	defer raw.Close()
	if p.cause.Load() != nil || !p.open {
		return false, nil // it ended meanwhile: carry says how
	}
	defer p.plain.Close()
	defer t.forget(p, mayfly.ErrDetached)
	secure, ok1 := raw.(syscall.Conn)
	plain, ok2 := p.plain.(syscall.Conn)
	if !ok1 || !ok2 {
		return false, errors.New("a connection without a descriptor cannot be handed on")
	}
	state := &pairState{Blob: blob, Age: time.Since(p.began), Up: p.up.state(), Down: p.down.state()}
	if err := l.send(message{Pair: state}, secure, plain); err != nil {
		return false, err
	}
	t.counts.handedOn.Add(1)
	return true, nil
}

// relisten goes on with a copy of the socket. t.mu is held.
func (t *Tunnel) relisten(spare *os.File) error {
	ln, err := net.FileListener(spare)
	if err != nil {
		return err
	}
	front, err := t.open(ln)
	if err != nil {
		return err
	}
	t.sock, t.front = socketOf(ln), front
	return nil
}

// Inherit says to the process before that this one can take over, and returns the
// listeners that it gives: that of NewServer or NewClient, and the others by their names.
func (l *Link) Inherit() (listener net.Listener, others map[string]net.Listener, err error) {
	if err := l.send(message{Ready: true}); err != nil {
		return nil, nil, err
	}
	m, files, err := l.receive()
	if err != nil {
		return nil, nil, err
	}
	defer closeAll(files)
	others = make(map[string]net.Listener)
	defer func() {
		if err != nil {
			for _, ln := range others {
				_ = ln.Close()
			}
			others = nil
		}
	}()
	if len(m.Sockets) == 0 {
		return nil, nil, errors.New("the process before has handed over no listener")
	}
	for i, name := range m.Sockets {
		if others[name] != nil {
			return nil, others, fmt.Errorf("the process before has handed over two listeners named %q", name)
		}
		ln, err := net.FileListener(files[i])
		if err != nil {
			return nil, others, err
		}
		others[name] = ln
	}
	listener = others[listening]
	if listener == nil {
		return nil, others, errors.New("the process before has handed over no listener")
	}
	delete(others, listening)
	return listener, others, nil
}

// TakeOver takes the live connections of the process before. The tunnel should be serving
// by then: that process now stops. A connection whose peer is not accepted any more is cut.
func (t *Tunnel) TakeOver(l *Link) (taken int, err error) {
	for {
		r, err := mayfly.NewReceiver()
		if err != nil {
			return taken, err
		}
		defer r.Wipe()
		if err := l.send(message{Offer: r.Offer()}); err != nil {
			return taken, err
		}
		m, files, err := l.receive()
		switch {
		case err != nil:
			return taken, err
		case m.Done:
			closeAll(files)
			return taken, nil
		case m.Pair == nil:
			closeAll(files)
			return taken, errors.New("the process before has sent what is no connection")
		}
		if p := t.attach(r, m.Pair, files); p != nil {
			taken++
			go t.carry(p)
		}
	}
}

// attach goes on with a pair. What fails concerns that alone.
func (t *Tunnel) attach(r *mayfly.Receiver, state *pairState, files []*os.File) *pair {
	defer closeAll(files)
	raw, err := net.FileConn(files[0])
	if err != nil {
		t.log.Error("a connection cannot be taken over", "error", err)
		return nil
	}
	plain, err := net.FileConn(files[1])
	if err != nil {
		_ = raw.Close()
		t.log.Error("a connection cannot be taken over", "error", err)
		return nil
	}
	secure, err := r.Attach(raw, state.Blob, t.config.Security())
	if err != nil {
		t.log.Error("a connection cannot be taken over", "secure", text(raw.RemoteAddr()), "error", err)
		_ = raw.Close()
		reset(plain)
		return nil
	}
	p := newPair(secure, plain)
	p.began = p.began.Add(-state.Age)
	p.moved.Store(int64(state.Age))
	p.up.restore(state.Up)
	p.down.restore(state.Down)
	t.counts.takenOver.Add(1)
	t.add(p)
	return p
}

// offer receives an offer.
func (l *Link) offer() ([]byte, error) {
	m, files, err := l.receive()
	closeAll(files)
	if err == nil && m.Offer == nil {
		err = errors.New("the new process has sent no offer")
	}
	return m.Offer, err
}

func (f *flow) state() flowState {
	return flowState{f.pending, f.ended, f.told, f.bytes.Load()}
}

func (f *flow) restore(s flowState) {
	f.pending, f.ended, f.told = s.Pending, s.Ended, s.Told
	f.bytes.Store(s.Bytes)
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
