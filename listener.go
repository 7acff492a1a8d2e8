// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/callback"
	"github.com/mayfly-tls/mayfly/internal/perhost"
)

// The defaults of a Listener's limits.
const (
	defaultMaxHandshakes = 1024

	// acceptRetry is how long to wait after the inner listener failed for a
	// passing reason (too many open files, say), as net/http does at first.
	acceptRetry = 5 * time.Millisecond
)

// Listen listens on addr, by net.Listen, for connections of peers that config
// accepts. A Config that cannot work is refused here. Handshakes begin with the
// first call of Accept: until then clients wait.
func Listen(network, addr string, config *Config) (*Listener, error) {
	s, err := config.settle(true, "")
	if err != nil {
		return nil, err
	}
	inner, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	return newListener(inner, s), nil
}

// NewListener lays a Listener over inner, which it owns from then on, as Listen
// does. The methods of inner's connections may block, RemoteAddr for example until
// a PROXY header has come: they delay only their own connection, and that for
// Config.HandshakeTimeout at most. Close must unblock them.
func NewListener(inner net.Listener, config *Config) (*Listener, error) {
	s, err := config.settle(true, "")
	if err != nil {
		return nil, err
	}
	return newListener(inner, s), nil
}

// A Listener accepts connections whose handshake is done. Handshakes run beside
// Accept, each in its own time: a stranger's failure goes to Config.Trace, or
// rate-limited to slog where that is nil, and is never Accept's error.
//
// If a callback of the Config panics, or calls runtime.Goexit, during a handshake, that
// connection fails with internal_error, slog has the stack, rate-limited, and the Listener
// goes on. On the goroutine of a caller, in Dial or Conn.Handshake, the panic goes on to
// the caller, after the connection has failed and its keys were wiped.
//
// The exported fields are limits. They may be set before the first Accept. All
// methods may be called at the same time.
type Listener struct {
	// MaxHandshakes is how many connections may be in their handshake at once.
	// When the limit is reached, the Listener closes the oldest of them to make
	// room for the next: handshakes of ordinary clients take milliseconds, and
	// slow attackers cannot keep them out. Connections whose handshake is done do
	// not count. When as many as this wait for Accept, the Listener accepts no more
	// from the inner listener until one is taken. Zero: 1024.
	MaxHandshakes int

	// MaxHandshakesPerHost is how many connections from one IPv4 address or
	// IPv6 /64 may be in their handshake at once. The Listener closes those above
	// the limit at once. Connections whose handshake is done do not count. Zero or
	// less: no limit, because all clients behind a load balancer or a NAT have the
	// same address.
	MaxHandshakesPerHost int

	// CookieAbove, where it is set, is how many connections may be in their handshake
	// before the next client is asked to say its first message once more, with a cookie
	// (RFC 9846, Section 4.3.2). That costs it a round trip, and its early data. Until the
	// cookie comes back nothing is kept of what the client has said, no key is agreed on or
	// looked up, and nothing is signed: whoever connects, says something and does not
	// listen costs no more than one who says nothing. GetConfig is called before. OpenSSL and
	// crypto/tls return cookies; GnuTLS (3.8 still) gives up where a server that likes its key
	// share asks for nothing but a cookie. Zero: never.
	CookieAbove int

	inner    net.Listener
	settings *settings
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	start    sync.Once
	early    atomic.Bool // AcceptEarly was called
	failures callback.Log
	telling  callback.Calls // calls of Trace.AcceptError
	ring     *rotatingKeys  // nil: the application has its own

	mu      sync.Mutex
	cookies *SealingKey                            // nil: none was needed
	jars    uint64                                 // how many connections were to have a cookie
	pending []*candidate                           // oldest first
	ready   []*Conn                                // done or with early data, not yet accepted
	hosts   perhost.Counts                         // pending by address, where that is known
	live    map[<-chan struct{}]weak.Pointer[Conn] // for CloseIf, by parts.over
	wake    chan struct{}                          // closed at each change of the above
	closed  bool                                   // Close was called
	ended   error                                  // why the inner listener accepts no more
}

// A candidate is a connection in its handshake.
type candidate struct {
	inner   net.Conn
	cookies *cookieJar

	// Guarded by the Listener's mu. Set once the address of the client is known,
	// which may take long: see NewListener.
	conn   *Conn // nil: not yet
	remote net.Addr
	host   string // empty: it does not count by address

	// revoked are the judgements of CloseIf since the handshake began: its peer
	// may have been accepted before its key was taken from the list.
	revoked []func(Peer) bool
}

// closeWithin closes the connection: conn is the candidate's, as it was under mu.
func (p *candidate) closeWithin(conn *Conn, wait time.Duration) {
	if conn == nil {
		_ = p.inner.Close()
		return
	}
	_ = conn.closeWithin(wait)
}

func newListener(inner net.Listener, s *settings) *Listener {
	var ring *rotatingKeys
	if s.ticketKeys == nil && s.tickets.Count > 0 {
		ring = &rotatingKeys{now: s.now, lifetime: s.tickets.Lifetime}
		s.ticketKeys = ring
	}
	l := &Listener{
		ring:  ring,
		inner: inner, settings: s,
		hosts: make(perhost.Counts),
		live:  make(map[<-chan struct{}]weak.Pointer[Conn]),
		wake:  make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Accept is AcceptConn for programs that want a net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn waits for the next connection whose handshake is done and whose peer
// was accepted. Its error is net.ErrClosed after Close, and after Shutdown when
// everything that was pending has been handed out; or the inner listener's.
func (l *Listener) AcceptConn() (*Conn, error) {
	return l.accept(func(c *Conn) bool { return c.done.Load() })
}

// AcceptEarly is AcceptConn for servers that take early data (Config.MaxEarlyData):
// it also returns connections whose handshake is not done, of clients whose early
// data has come and was accepted. Their peer is known, and the early data is to be
// read with ReadEarly; Read, Write or Handshake finish the handshake. From its first
// call on, the Listener accepts early data, on connections which AcceptEarly alone
// hands out.
func (l *Listener) AcceptEarly() (*Conn, error) {
	l.early.Store(true)
	return l.accept(func(*Conn) bool { return true })
}

// accept waits for the next connection that suits.
func (l *Listener) accept(suits func(*Conn) bool) (*Conn, error) {
	l.start.Do(func() { go l.serve() })
	for {
		l.mu.Lock()
		if i := slices.IndexFunc(l.ready, suits); i >= 0 && !l.closed {
			c := l.ready[i]
			l.ready = slices.Delete(l.ready, i, i+1)
			l.changed()
			l.mu.Unlock()
			return c, nil
		}
		if l.closed || l.ended != nil && len(l.pending) == 0 {
			err := l.ended
			if l.closed || err == nil {
				err = net.ErrClosed
			}
			l.mu.Unlock()
			return nil, err
		}
		wake := l.wake
		l.mu.Unlock()
		<-wake
	}
}

// Addr returns the inner listener's address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close stops listening and closes what has not been handed out, at once, as Conn.Close
// does: it takes no longer than one of these. Connections that were handed out live on.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.closed = true
	pending, ready := l.pending, l.ready
	l.pending, l.ready = nil, nil
	if l.cookies != nil {
		l.cookies.Wipe()
	}
	l.changed()
	l.mu.Unlock()
	err := l.inner.Close()
	l.cancel()
	if l.ring != nil {
		l.ring.wipe()
	}
	var closing sync.WaitGroup
	for _, p := range pending {
		closing.Go(func() { p.closeWithin(p.conn, closeTimeout) }) // which does not change any more
	}
	closeAll(ready, closeTimeout)
	closing.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil // Shutdown was first
	}
	return err
}

// closeAll closes connections, and waits for the slowest.
func closeAll(conns []*Conn, wait time.Duration) {
	var closing sync.WaitGroup
	for _, c := range conns {
		closing.Go(func() { _ = c.closeWithin(wait) })
	}
	closing.Wait()
}

// Shutdown stops listening, and lets what has come in be handed out: handshakes
// under way go on, and Accept returns them, then net.ErrClosed. Shutdown returns
// when nothing is pending any more. Where ctx ends first, what is left is closed
// and ctx's error returned. Somebody must be calling Accept meanwhile.
func (l *Listener) Shutdown(ctx context.Context) error {
	l.start.Do(func() { go l.serve() }) // notes the end
	err := l.inner.Close()
	for {
		l.mu.Lock()
		empty := l.closed || l.ended != nil && len(l.pending) == 0 && len(l.ready) == 0
		wake := l.wake
		l.mu.Unlock()
		if empty {
			_ = l.Close()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			_ = l.Close()
			return ctx.Err()
		}
	}
}

// CloseIf closes those connections of this Listener for whose peer revoked
// returns true, and returns their number: peers whose key was taken from the
// list, say. Connections not yet handed out are asked about too, and those whose
// handshake is under way when it is done; these are not counted. revoked must not
// call methods of the Listener. The peers are not waited for: they see a cut, or a
// close_notify where their transport takes it within a tenth of a second.
func (l *Listener) CloseIf(revoked func(Peer) bool) int {
	l.mu.Lock()
	for _, p := range l.pending {
		p.revoked = append(p.revoked, revoked)
	}
	var conns []*Conn
	for _, w := range l.live {
		if c := w.Value(); c != nil {
			conns = append(conns, c)
		}
	}
	l.mu.Unlock()
	conns = slices.DeleteFunc(conns, func(c *Conn) bool { return c.closed.Load() || !revoked(c.Peer()) || !c.claim.End() })
	closeAll(conns, interruptTimeout)
	return len(conns)
}

// serve accepts from the inner listener until that ends. It calls no method of a
// connection, and no function of the caller's: these may block.
func (l *Listener) serve() {
	for {
		inner, err := l.inner.Accept()
		if err != nil {
			if !l.passing(err) {
				l.mu.Lock()
				l.ended = err
				if errors.Is(err, net.ErrClosed) {
					l.ended = net.ErrClosed
				}
				l.changed()
				l.mu.Unlock()
				return
			}
			continue
		}
		l.admit(inner)
	}
}

// passing reports whether the inner listener may recover from err, after a wait.
func (l *Listener) passing(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	//lint:ignore SA1019 as in net/http's Serve: there is no other word for it
	if !ok || !ne.Temporary() {
		return false
	}
	go l.tellAcceptError(AcceptErrorInfo{Err: err})
	select {
	case <-time.After(acceptRetry):
		return true
	case <-l.ctx.Done():
		return false
	}
}

// admit starts the handshake of one connection, within MaxHandshakes.
func (l *Listener) admit(inner net.Conn) {
	limit := l.MaxHandshakes
	if limit <= 0 {
		limit = defaultMaxHandshakes
	}
	l.mu.Lock()
	for !l.closed && len(l.ready) >= limit { // the program is behind: so is the accept loop
		wake := l.wake
		l.mu.Unlock()
		<-wake
		l.mu.Lock()
	}
	if l.closed {
		l.mu.Unlock()
		go func() { _ = inner.Close() }()
		return
	}
	if len(l.pending) >= limit {
		oldest := l.pending[0]
		l.drop(oldest)
		go l.evict(oldest, oldest.conn, oldest.remote)
	}
	p := &candidate{inner: inner}
	l.pending = append(l.pending, p)
	if l.CookieAbove > 0 && len(l.pending) > l.CookieAbove {
		if l.cookies == nil {
			l.cookies = GenerateSealingKey()
		}
		l.jars++
		p.cookies = newCookieJar(l.cookies, l.jars)
	}
	l.mu.Unlock()
	go l.greet(p)
}

// evict closes the oldest candidate, whose handshake may be done by now.
func (l *Listener) evict(p *candidate, conn *Conn, remote net.Addr) {
	p.closeWithin(conn, interruptTimeout)
	l.tellAcceptError(AcceptErrorInfo{RemoteAddr: remote, Err: errors.New("mayfly: too many handshakes at once: the oldest was closed")})
}

// greet runs one handshake and puts the connection into the queue.
func (l *Listener) greet(p *candidate) {
	var until time.Time
	if d := l.settings.handshakeTimeout(); d > 0 {
		until = time.Now().Add(d)
		// A connection whose methods block is closed under them.
		defer time.AfterFunc(d+alertTimeout, func() { _ = p.inner.Close() }).Stop()
	}
	if !l.identifyContained(p, until) {
		return
	}
	var err error = callback.Err
	defer func() {
		value := recover()
		logged := err == error(callback.Err)
		if logged { // there was a panic, or runtime.Goexit, in which case only deferred calls still run
			l.failures.Panicked(value)
		}
		l.settle(p, err, logged)
	}()
	err = p.conn.handshakeOrEarly(l.ctx, l.early.Load())
}

// settle puts a connection whose handshake has ended into the queue, or closes it. A
// failure that was not logged is.
func (l *Listener) settle(p *candidate, err error, logged bool) {
	if err != nil {
		p.conn.linger() // counted all the while
	}
	l.mu.Lock()
	for err == nil && len(p.revoked) > 0 {
		asked := p.revoked
		p.revoked = nil
		l.mu.Unlock()
		revoked := true
		if o := callback.Isolate(&l.failures, func() { revoked = slices.ContainsFunc(asked, func(f func(Peer) bool) bool { return f(p.conn.Peer()) }) }); !o.Returned {
			err, logged = callback.Err, true
		} else if revoked {
			err = errRevoked
		}
		l.mu.Lock()
	}
	wasPending := l.drop(p)
	if err == nil && wasPending && !l.closed {
		l.ready = append(l.ready, p.conn)
		l.track(p.conn)
		l.changed()
		l.mu.Unlock()
		return
	}
	l.changed()
	l.mu.Unlock()
	_ = p.conn.closeWithin(interruptTimeout)
	if err != nil && wasPending && !logged && l.settings.Trace == nil {
		l.failures.Failed(p.remote, err)
	}
}

// identifyContained is identify, and drops a connection one of whose methods panics or
// calls runtime.Goexit.
func (l *Listener) identifyContained(p *candidate, until time.Time) (ok bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		l.failures.Panicked(recover())
		l.mu.Lock()
		l.drop(p)
		l.changed()
		l.mu.Unlock()
		_ = p.inner.Close()
	}()
	ok = l.identify(p, until)
	returned = true
	return ok
}

// identify asks for the client's address, and makes the Conn. It reports whether the
// handshake may begin: otherwise the connection is closed.
func (l *Listener) identify(p *candidate, until time.Time) bool {
	remote := p.inner.RemoteAddr()
	conn := newConn(p.inner, l.settings, nil, l.forget)
	conn.cookies, conn.until = p.cookies, until
	host := perhost.Of(remote)
	l.mu.Lock()
	pending := slices.Contains(l.pending, p) // if not, the Listener was closed, or needed the place
	if pending && l.hosts.Begin(host, l.MaxHandshakesPerHost) {
		p.conn, p.remote, p.host = conn, remote, host
		l.mu.Unlock()
		return true
	}
	if pending {
		l.drop(p)
		l.changed()
	}
	l.mu.Unlock()
	_ = conn.closeWithin(interruptTimeout)
	if pending {
		l.tellAcceptError(AcceptErrorInfo{RemoteAddr: remote, Err: errors.New("mayfly: too many handshakes at once from this address")})
	}
	return false
}

// errRevoked is why a peer is not handed out that CloseIf has judged meanwhile.
var errRevoked error = alert.Wrap(alert.AccessDenied, "the peer was revoked during its handshake", ErrPeerRefused)

// drop takes a candidate off the list. l.mu is held.
func (l *Listener) drop(p *candidate) bool {
	i := slices.Index(l.pending, p)
	if i < 0 {
		return false
	}
	// slices.Delete clears what is behind the new length, which would keep a Conn alive
	// that the program has dropped.
	l.pending = slices.Delete(l.pending, i, i+1)
	l.hosts.End(p.host)
	return true
}

// track remembers a connection for CloseIf, without keeping it alive. l.mu is held.
func (l *Listener) track(c *Conn) {
	if over := c.parts.over.Done(); !c.parts.over.HasFired() {
		l.live[over] = weak.Make(c)
	}
}

// forget is called when a connection has ended.
func (l *Listener) forget(over <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, over)
}

// changed wakes those who wait for a change. l.mu is held.
func (l *Listener) changed() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// tellAcceptError traces or logs a connection that was not accepted. It may block as long
// as the hook does; where too many calls of the hook do, the hook is told no more.
func (l *Listener) tellAcceptError(info AcceptErrorInfo) {
	if !l.telling.Begin(callback.MaxCalls) {
		return
	}
	defer l.telling.End()
	if t := l.settings.Trace; t != nil {
		if t.AcceptError != nil {
			callback.Isolate(&l.failures, func() { t.AcceptError(l.ctx, info) })
		}
		return
	}
	l.failures.Failed(info.RemoteAddr, info.Err)
}
