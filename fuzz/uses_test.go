// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/testnet"
)

// A use is what the two sides of a connection do with it: together, the uses call every
// operation that there is. meet runs them over a path that breaks.
type use struct {
	name string
	meet func(p path) (client, server *visit)
}

func uses() []use {
	both := func(f func(v *visit, p path)) func(p path) (client, server *visit) {
		return func(p path) (client, server *visit) { return meet(p, f, f) }
	}
	return []use{
		{"plain", both((*visit).plain)},
		{"copies", both((*visit).copies)},
		{"moves", both((*visit).moves)},
		{"aborts", func(p path) (client, server *visit) {
			if client, server = meet(p, (*visit).aborts, (*visit).plain); server.end == io.EOF {
				server.failed = "Abort looks like an end"
			}
			return client, server
		}},
		{"early", meetEarly},
		{"dials", meetDialled},
	}
}

// within is a context for one call.
func (p path) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), p.deadline())
}

// begin does the handshake. Where that fails, so do other calls.
func (v *visit) begin(p path) bool {
	c := v.conn
	if v.do("Handshake", c.Handshake) == nil {
		_ = c.SetDeadline(time.Now().Add(p.deadline()))
		return true
	}
	_ = v.do("Write", func() error { _, err := c.Write([]byte("x")); return err })
	_ = v.do("Read", func() error { _, v.end = c.Read(make([]byte, 1)); return v.end })
	v.leave()
	return false
}

// read reads to the end, beside whatever else is done.
func (v *visit) read() (done chan struct{}) {
	c := v.conn
	done = make(chan struct{})
	go func() {
		defer close(done)
		var more []byte
		if more, v.end = io.ReadAll(c); v.end == nil {
			v.end = io.EOF
		}
		v.got = append(v.got, more...)
	}()
	return done
}

// write writes what this side has to say up to byte n, and changes its keys after each
// piece.
func (v *visit) write(p path, n int) {
	c := v.conn
	for v.wrote < n {
		piece := v.says[v.wrote:min(v.wrote+7000, n)]
		if v.do("Write", func() error {
			k, err := c.Write(piece)
			v.wrote += k
			return err
		}) != nil {
			return
		}
		_ = v.do("Rekey", func() error {
			ctx, cancel := p.within()
			defer cancel()
			return c.Rekey(ctx)
		})
	}
}

// finish says that this side is done, hears the other out, and closes.
func (v *visit) finish(p path, read chan struct{}) {
	c := v.conn
	_ = v.do("Flush", c.Flush)
	_ = v.do("CloseWrite", c.CloseWrite)
	_ = v.do("WaitPeer", func() error {
		ctx, cancel := p.within()
		defer cancel()
		return c.WaitPeer(ctx)
	})
	_ = v.do("Read", func() error { <-read; return v.end })
	v.leave()
}

// leave closes.
func (v *visit) leave() {
	c := v.conn
	_, _, _ = c.Peer(), c.ConnectionState(), c.Stats()
	_, _ = c.EarlyDataAccepted(), c.TicketAgeSkew()
	_ = v.do("Close", c.Close)
	if v.do("Write after Close", func() error { _, err := c.Write([]byte("x")); return err }) == nil {
		v.failed = "Write after Close succeeded"
	}
}

// plain is the ordinary use.
func (v *visit) plain(p path) {
	if !v.begin(p) {
		return
	}
	_ = v.do("Confirm", func() error {
		ctx, cancel := p.within()
		defer cancel()
		return v.conn.Confirm(ctx)
	})
	read := v.read()
	v.write(p, len(v.says))
	_ = v.do("ExportKeyingMaterial", func() error { _, err := v.conn.ExportKeyingMaterial("EXPORTER-mayfly-fuzz", nil, 16); return err })
	v.finish(p, read)
}

// copies leaves reading and writing to the connection.
func (v *visit) copies(p path) {
	if !v.begin(p) {
		return
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		var got bytes.Buffer
		if _, v.end = v.conn.WriteTo(&got); v.end == nil {
			v.end = io.EOF
		}
		v.got = got.Bytes()
	}()
	_ = v.do("ReadFrom", func() error {
		n, err := v.conn.ReadFrom(struct{ io.Reader }{bytes.NewReader(v.says)})
		v.wrote = int(n)
		return err
	})
	v.finish(p, read)
}

// moves hands the connection on when a half was said.
func (v *visit) moves(p path) {
	if !v.begin(p) {
		return
	}
	read := v.read()
	v.write(p, len(v.says)/2)
	receiver := must(mayfly.NewReceiver())
	defer receiver.Wipe()
	var blob []byte
	var raw net.Conn
	if v.do("Detach", func() (err error) {
		ctx, cancel := p.within()
		defer cancel()
		blob, raw, err = v.conn.Detach(ctx, receiver.Offer())
		return err
	}) != nil {
		// It goes on where it is. A Read that was under way may have been woken.
		if <-read; v.end == mayfly.ErrDetached {
			read = v.read()
		}
		v.write(p, len(v.says))
		v.finish(p, read)
		return
	}
	<-read // it is over, one way or another
	v.leave()
	if left := leftIn(v.conn); left != "" {
		v.failed = "Detach has left keys: " + left
	}
	var moved *mayfly.Conn
	if v.do("Attach", func() (err error) { moved, err = receiver.Attach(raw, blob, v.config); return err }) != nil {
		v.failed = "Attach failed" // the path has no part in it
		_ = raw.Close()
		return
	}
	v.conn = moved
	_ = moved.SetDeadline(time.Now().Add(p.deadline()))
	_ = v.do("Flush", moved.Flush)
	read = v.read()
	v.write(p, len(v.says))
	v.finish(p, read)
}

// aborts ends the connection in the middle of it.
func (v *visit) aborts(p path) {
	if !v.begin(p) {
		return
	}
	read := v.read()
	v.write(p, len(v.says)/2)
	_ = v.do("Abort", func() error { return v.conn.Abort(mayfly.AlertAccessDenied) })
	v.finish(p, read)
}

// earlyWords are what a client says with its first flight.
var earlyWords = pattern(900, 'e')

// A welcome admits all early data: the default guard refuses tickets of the millisecond in
// which it was made.
type welcome struct{}

func (welcome) Admit(context.Context, mayfly.EarlyUse) (bool, error) { return true, nil }

// earlyConfigs let a client resume with early data what it does over a path without a
// fault.
func earlyConfigs(p path) (client, server *visit) {
	client, server = newVisits(p)
	client.config.ServerName, client.config.Sessions = serverName, mayfly.NewSessionCache(1)
	server.config.TicketKeys = mayfly.NewTicketRing(mayfly.GenerateSealingKey())
	server.config.MaxEarlyData, server.config.Replay = len(earlyWords), welcome{}
	a, b := path{}.pipe()
	cc, sc := client.config.Clone(), server.config.Clone()
	cc.HandshakeTimeout, sc.HandshakeTimeout = patience, patience
	c, s := mayfly.Client(a, cc), mayfly.Server(b, sc)
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, s)
		done <- errors.Join(err, s.Close())
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(c.Confirm(ctx), c.Close(), <-done); err != nil {
		panic(err)
	}
	return client, server
}

// meetEarly sends data with the first flight, and answers it before the last.
func meetEarly(p path) (client, server *visit) {
	client, server = earlyConfigs(p)
	a, b := p.pipe()
	client.conn, server.conn = mayfly.Client(a, client.config), mayfly.Server(b, server.config)
	var accepted bool
	var err error
	var early []byte
	var both sync.WaitGroup
	both.Go(func() {
		err = client.do("HandshakeEarly", func() (err error) {
			ctx, cancel := p.within()
			defer cancel()
			accepted, err = client.conn.HandshakeEarly(ctx, earlyWords)
			return err
		})
		client.plain(p)
	})
	both.Go(func() {
		early = server.takeEarly()
		if len(early) > 0 {
			_ = server.do("WriteEarly", func() error {
				n, err := server.conn.WriteEarly(server.says[:500])
				server.wrote += n
				return err
			})
		}
		server.plain(p)
	})
	both.Wait()
	switch whole := p.fault == testnet.None; {
	case !bytes.HasPrefix(earlyWords, early), err == nil && !accepted && len(early) > 0, whole && len(early) < len(earlyWords):
		server.failed = "wrong early data: " + server.conn.EarlyDataReason().String()
	}
	return client, server
}

// takeEarly reads early data to its end.
func (v *visit) takeEarly() (early []byte) {
	for {
		buf := make([]byte, 300)
		var n int
		if v.do("ReadEarly", func() (err error) { n, err = v.conn.ReadEarly(buf); return err }) != nil {
			return early
		}
		early = append(early, buf[:n]...)
	}
}

// meetDialled dials a Listener, through a relay onto the path, and shuts that down.
func meetDialled(p path) (client, server *visit) {
	client, server = earlyConfigs(p)
	relay := must(net.Listen("tcp", "127.0.0.1:0"))
	inner := newPipes()
	ln := must(mayfly.NewListener(inner, server.config))
	var all sync.WaitGroup
	all.Go(func() { carry(relay, p, inner) })
	all.Go(func() {
		dialer := &mayfly.Dialer{Config: client.config, Confirm: true}
		if client.do("DialEarly", func() (err error) {
			ctx, cancel := p.within()
			defer cancel()
			client.conn, _, err = dialer.DialEarly(ctx, "tcp", relay.Addr().String(), earlyWords)
			return err
		}) != nil {
			client.end = client.errs[len(client.errs)-1]
			_ = relay.Close()
		} else {
			client.plain(p)
		}
		_ = server.do("CloseIf", func() error { ln.CloseIf(func(mayfly.Peer) bool { return false }); return nil })
		_ = server.do("Shutdown", func() error {
			ctx, cancel := p.within()
			defer cancel()
			return ln.Shutdown(ctx)
		})
		_ = server.do("Listener.Close", ln.Close)
	})
	all.Go(func() {
		c, err := ln.AcceptEarly()
		if err != nil {
			server.end = err
			return
		}
		server.conn = c
		server.takeEarly()
		server.plain(p)
	})
	all.Wait()
	return client, server
}

// carry brings one connection of from onto the path, to a listener at its other end.
func carry(from net.Listener, p path, to *pipes) {
	c, err := from.Accept()
	_ = from.Close()
	if err != nil {
		return
	}
	near, far := p.pipe()
	select {
	case to.calls <- far:
	case <-to.done:
		_, _ = c.Close(), far.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(near, c)
		_ = near.CloseWrite()
		_ = near.SetReadDeadline(time.Now().Add(p.deadline())) // the path may have stalled, and the client is gone
	})
	_, _ = io.Copy(c, near)
	_ = c.(*net.TCPConn).CloseWrite()
	both.Wait()
	_, _ = near.Close(), c.Close()
}
