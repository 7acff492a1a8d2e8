// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package tunnel carries the connections of programs that know nothing of mayfly over
// connections of mayfly: a server takes secure ones and dials a target in the clear, a
// client takes plain ones and dials a server.
//
// It is the engine of mayfly tunnel. It knows nothing of flags, files, signals or
// formats of metrics: whoever runs it gives it listeners, a function that returns the
// mayfly.Config of the moment, and a logger.
package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// A Config says how a tunnel works. It must not be changed after its first use.
type Config struct {
	// Security returns the Config of the moment, for each handshake anew. It must not
	// return nil, and may be called from any goroutine.
	Security func() *mayfly.Config

	// Idle is how long a connection may carry nothing before it is cut. Zero: no limit.
	// The limit on a whole life is mayfly.Config.MaxLifetime, from Security.
	Idle time.Duration

	// DialTimeout bounds the way to the other side of a connection that has come in:
	// to the target, or to the server with the handshake there. Zero: 10 seconds.
	DialTimeout time.Duration

	// MaxConnections is how many connections there may be at once. Those over it are
	// closed at once. Zero: no limit.
	MaxConnections int

	// CutExpired lets Recheck judge certificates by the present time. Without it, a
	// certificate counts that was valid when its connection began.
	CutExpired bool

	// Upstream is the proxy through which a client dials its server. Nil: none.
	Upstream *Upstream

	// SendProxy begins each connection of a server to its target with a header of the
	// PROXY protocol, version 2, which tells the target who the peer is.
	SendProxy bool

	// Log is told what happens. Nil: nobody is.
	Log *slog.Logger
}

const (
	defaultDialTimeout = 10 * time.Second

	// dialsAtOnce is how many handshakes a client has at once, with one server: as many
	// an eighth of what a mayfly.Listener takes at once. The others wait.
	dialsAtOnce = 128
)

// A Tunnel is a running server or client. All methods may be called at the same time.
type Tunnel struct {
	config Config
	log    *slog.Logger
	counts counts
	quota  quota

	unaccepted AcceptLog
	reach      func(ctx context.Context, in net.Conn) (*pair, error) // the other side of in
	open       func(net.Listener) (front, error)
	sock       socket
	ctx        context.Context // of dials
	cancel     context.CancelFunc

	mu      sync.Mutex
	front   front
	pairs   map[*pair]struct{}
	opening int           // connections that have come in and are no pairs yet
	change  chan struct{} // closed at each change of the above
	closing bool          // Drain was called, or another process has taken over
	moving  bool          // HandOver is under way

	rechecked bool // Recheck was called: the Config may not be that of a handshake
}

// A front is where connections come in.
type front interface {
	Accept() (net.Conn, error)
	Shutdown(context.Context) error // Accept returns what has come in, then net.ErrClosed
	Close() error
}

// NewServer returns a tunnel that takes connections of mayfly from ln, which it owns from
// then on, and dials target for those whose peer was accepted, when its handshake is done.
func NewServer(ln net.Listener, target Address, config Config) (*Tunnel, error) {
	t := newTunnel(config)
	t.reach = func(ctx context.Context, in net.Conn) (*pair, error) {
		plain, err := target.dial(ctx)
		if err != nil {
			t.counts.unreachable.Add(1)
			return nil, err
		}
		secure := in.(*mayfly.Conn)
		if config.SendProxy {
			if err := writeProxyHeader(ctx, plain, secure); err != nil {
				t.counts.unreachable.Add(1)
				reset(plain)
				return nil, err
			}
		}
		return newPair(secure, plain), nil
	}
	t.open = func(ln net.Listener) (front, error) {
		base := config.Security().Clone()
		base.Trace = t.trace()
		base.GetConfig = func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) {
			return config.Security(), nil
		}
		l, err := mayfly.NewListener(ln, base)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	return t, t.listen(ln)
}

// NewClient returns a tunnel that takes plain connections from ln, which it owns from then
// on, and dials a server of mayfly for each.
func NewClient(ln net.Listener, server Address, config Config) (*Tunnel, error) {
	if config.Upstream != nil && server.Network != "tcp" {
		return nil, errors.New("a proxy does not reach a Unix socket")
	}
	t := newTunnel(config)
	places := make(chan struct{}, dialsAtOnce)
	t.reach = func(ctx context.Context, in net.Conn) (*pair, error) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var secure *mayfly.Conn
		var err error
		if config.Upstream != nil {
			secure, err = config.Upstream.secure(ctx, server.Addr, config.Security())
		} else {
			d := mayfly.Dialer{Config: config.Security()}
			secure, err = d.DialConn(ctx, server.Network, server.Addr)
		}
		if err != nil {
			t.counts.countDial(err)
			return nil, err
		}
		return newPair(secure, in), nil
	}
	t.open = func(ln net.Listener) (front, error) {
		return &plainFront{Listener: ln, log: t.log, ctx: t.ctx}, nil
	}
	return t, t.listen(ln)
}

func newTunnel(config Config) *Tunnel {
	t := &Tunnel{
		config: config,
		log:    config.Log,
		pairs:  make(map[*pair]struct{}),
		change: make(chan struct{}),
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.config.DialTimeout == 0 {
		t.config.DialTimeout = defaultDialTimeout
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// listen begins with a listener. t serves nobody yet.
func (t *Tunnel) listen(ln net.Listener) error {
	front, err := t.open(ln)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sock, t.front = socketOf(ln), front
	return nil
}

// Serve carries connections until Drain or HandOver has stopped it, which is no error.
func (t *Tunnel) Serve() error {
	for {
		t.mu.Lock()
		front := t.front
		t.mu.Unlock()
		in, err := front.Accept()
		if err != nil {
			if t.resumes(front) {
				continue
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.closing {
				return nil
			}
			return err
		}
		if !t.enter() {
			t.counts.crowded.Add(1)
			t.say(slog.LevelWarn, "connection refused: as many as are allowed are there", in)
			discard(in)
			continue
		}
		go t.connect(in)
	}
}

// resumes reports, when front accepts no more, whether there is another: a process that
// was to take over has failed.
func (t *Tunnel) resumes(front front) (again bool) {
	_ = t.wait(context.Background(), func() bool {
		again = t.front != front
		return !t.moving
	})
	return again
}

// connect reaches the other side of a connection that has come in, and carries it.
func (t *Tunnel) connect(in net.Conn) {
	ctx, cancel := context.WithTimeout(t.ctx, t.config.DialTimeout)
	p, err := t.reach(ctx, in)
	cancel()
	if err == nil {
		t.add(p)
	}
	t.mu.Lock()
	t.opening--
	t.changed()
	t.mu.Unlock()
	if err != nil {
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			t.say(slog.LevelError, "the other side cannot be reached", in, "error", err)
		} else if failures, ok := t.unaccepted.Take(time.Now()); ok {
			t.log.Error("the other side cannot be reached: too many open files", "error", err, "failures", failures)
		}
		discard(in)
		return
	}
	t.carry(p)
}

// carry runs a pair, and says how it ended.
func (t *Tunnel) carry(p *pair) {
	t.log.Debug("connection begins", t.facts(p)...)
	if t.ctx.Err() != nil {
		p.cut(errCut)
	}
	err := p.run(t.config.Idle)
	if errors.Is(err, mayfly.ErrDetached) {
		return // whoever detached it goes on
	}
	defer t.forget(p, err)
	attrs := append(t.facts(p), "sent", p.up.bytes.Load(), "received", p.down.bytes.Load(),
		"duration", time.Since(p.began).Round(time.Millisecond))
	if err != nil {
		t.log.Warn("connection cut", append(attrs, "error", err)...)
		return
	}
	t.log.Info("connection ended", attrs...)
}

// Drain stops accepting, and waits for the connections that are there. Where ctx ends
// first, they are cut, and their number is returned.
func (t *Tunnel) Drain(ctx context.Context) (cut int) {
	t.mu.Lock()
	t.closing = true
	t.changed()
	front := t.front
	t.mu.Unlock()
	_ = front.Shutdown(ctx)
	_ = front.Close()
	if t.wait(ctx, func() bool { return t.opening+len(t.pairs) == 0 }) == nil {
		return 0
	}
	t.cancel()
	t.mu.Lock()
	cut = t.opening + len(t.pairs)
	for p := range t.pairs {
		go p.cut(errCut)
	}
	t.mu.Unlock()
	_ = t.wait(context.Background(), func() bool { return t.opening+len(t.pairs) == 0 })
	return cut
}

// wait returns when done, for which t.mu is held, or ctx's error.
func (t *Tunnel) wait(ctx context.Context, done func() bool) error {
	for {
		t.mu.Lock()
		if done() {
			t.mu.Unlock()
			return nil
		}
		change := t.change
		t.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// enter takes a place for a connection, if there is one.
func (t *Tunnel) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if limit := t.config.MaxConnections; limit > 0 && t.opening+len(t.pairs) >= limit {
		return false
	}
	t.opening++
	t.counts.accepted.Add(1)
	return true
}

// forget takes a pair that has ended off the list.
func (t *Tunnel) forget(p *pair, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.ended(p, err)
	delete(t.pairs, p)
	t.changed()
}

// changed wakes those who wait. t.mu is held.
func (t *Tunnel) changed() {
	close(t.change)
	t.change = make(chan struct{})
}

// discard closes a connection that leads nowhere, as a failure and not as an end.
func discard(in net.Conn) {
	if secure, ok := in.(*mayfly.Conn); ok {
		_ = secure.NetConn().Close()
		_ = secure.Close()
		return
	}
	reset(in)
}
