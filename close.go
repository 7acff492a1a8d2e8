// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/callback"
	"github.com/mayfly-tls/mayfly/internal/stream"
	"github.com/mayfly-tls/mayfly/record"
)

// errLifetimeAlert ends a connection at its MaxLifetime. It is not a
// close_notify: what the peer was in the middle of is cut, and must not look
// like an end.
var errLifetimeAlert error = alert.Wrap(alert.GeneralError, "the connection is too old", ErrLifetime)

// Close ends the connection: it sends what is pending and a close_notify, wipes every key,
// and closes the transport. A Read or Write in progress returns net.ErrClosed. Close waits at
// most 5 seconds for the transport to take the close_notify, and a tenth of a second if a
// Write in another goroutine is in its way. A client that has read nothing waits, within a
// second, for the server's first record: unread, it would make TCP discard data on its way.
//
// When Close returns, this connection's keys are gone from memory. Its error is about data
// that an earlier timed-out Write had sealed and that could not be delivered, or is the
// transport's. A second Close returns net.ErrClosed, after it has waited for the first, a
// tenth of a second at most. A Close within a callback of the handshake takes that long: the
// handshake wipes the keys when the callback returns.
func (c *Conn) Close() error { return c.closeWithin(closeTimeout) }

// closeWithin is Close with a bound on the time that the close_notify may take.
func (c *Conn) closeWithin(wait time.Duration) error {
	if !c.claim.End() {
		return nil // Detach has given it away
	}
	if !c.closed.CompareAndSwap(false, true) {
		c.buried.WaitWithin(interruptTimeout)
		return net.ErrClosed
	}
	c.parts.finish()
	if cancel := c.cancel.Load(); cancel != nil {
		(*cancel)()
	}
	if c.out.callers.Load() > 0 {
		wait = min(wait, interruptTimeout)
	}
	// A transport without deadlines is closed under whatever is stuck in it.
	hurry := time.AfterFunc(wait+alertTimeout, func() { _ = c.inner.Close() })
	defer hurry.Stop()
	var lost error
	if c.done.Load() {
		lost = c.sayGoodbye(wait)
	}
	err := c.inner.Close()
	if c.baton.TryLock() {
		c.wipe(net.ErrClosed)
		c.baton.Unlock()
	} else {
		c.buried.WaitWithin(interruptTimeout) // for the handshake, whose callback may have called Close
	}
	switch {
	case lost != nil:
		return lost
	case errors.Is(err, net.ErrClosed):
		return nil // somebody was faster, and that is what was wanted
	}
	return err
}

// sayGoodbye sends what is pending and a close_notify, and takes in what the
// transport must not be closed with. Its error is about data that was pending.
func (c *Conn) sayGoodbye(wait time.Duration) error {
	if c.lifetime != nil {
		c.lifetime.Stop()
	}
	if c.in.mu.TryLock() {
		defer c.in.mu.Unlock()
		defer c.drain()
		if _, buffered := c.inner.(syscall.Conn); !buffered {
			// On net.Pipe, two sides that close at once would wait for each other to read.
			defer c.deadlines.Read.Meanwhile(c.tell().log, func() bool {
				c.in.dropPlain() // the next record takes its place
				return c.in.err == nil && c.nextRecord(nil) == nil
			})()
		}
	} else {
		_, _ = c.deadlines.Read.Bound(stream.Past) // wakes the Read under way
	}
	c.deadlines.Write.Last(time.Now().Add(wait))
	c.out.mu.Lock()
	defer c.unlockOut()
	if c.ended.Load() != nil {
		return nil // unlockOut sends the alert
	}
	if c.out.err == nil {
		c.sealCloseNotify()
	}
	if owing := c.out.owing; c.flush() != nil && owing {
		return errLost
	}
	return nil // a peer that is gone needs no close_notify
}

// drain takes in what has come and was not read: records that the caller never
// sees, a KeyUpdate or a close_notify. TCP answers a close with unread data, or data
// that comes after it, with a reset, and throws away what is under way to the peer.
// A client that has read nothing waits for the server's first record. c.in.mu is
// held.
func (c *Conn) drain() {
	if c.in.err != nil {
		return
	}
	if !c.server && !c.firstRecord.HasFired() {
		c.deadlines.Read.Last(time.Now().Add(min(max(2*c.took, minFirstRecordWait), alertTimeout)))
		for !c.firstRecord.HasFired() && c.in.err == nil {
			if err := c.nextRecord(nil); err != nil {
				break
			}
		}
	}
	c.deadlines.Read.Last(time.Time{}) // it does not wait
	stream.DiscardUnread(c.inner)
}

// expire ends a connection at its MaxLifetime.
func (c *Conn) expire() {
	if c.closed.Load() || !c.end(localError(errLifetimeAlert)) {
		return
	}
	_, _ = c.deadlines.Write.Bound(time.Now().Add(alertTimeout))
	_, _ = c.deadlines.Read.Bound(stream.Past)
	c.out.mu.Lock()
	c.unlockOut() // which sends the alert
	c.in.mu.Lock()
	c.unlockIn()
}

// errLost is what Close returns where data was sealed and not delivered.
var errLost = errors.New("mayfly: the transport did not take all data before Close")

// CloseWrite tells the peer that nothing more will come, with a close_notify, and
// wipes the keys for sending. Reading goes on. It runs the handshake if that has
// not been done. Like Write it can be repeated after a deadline has passed.
func (c *Conn) CloseWrite() error {
	if err := c.handshakeFor(&c.deadlines.Write); err != nil {
		return err
	}
	c.out.callers.Add(1)
	defer c.out.callers.Add(-1)
	c.out.mu.Lock()
	defer c.unlockOut()
	if err := c.writable(); err != nil && err != ErrWriteClosed {
		return err
	}
	if err := c.flush(); err != nil {
		return c.writeError(err)
	}
	if c.out.err == nil {
		c.sealCloseNotify()
		c.wipeOut(ErrWriteClosed)
		if err := c.flush(); err != nil {
			return c.writeError(err)
		}
	}
	return nil
}

// Abort ends the connection at once, in both directions, with a fatal alert that tells
// the peer why: access_denied (49), for example, for one that has lost its rights, or
// general_error (117); RFC 9846, Section 6.2, has them all. What earlier writes have
// sealed goes before it, within a bound. Every call after it, on this side, returns an
// AlertError with that code; Close is still to be called. It is an error before the
// handshake is done, and for close_notify and user_canceled, which end nothing at once. It is
// ErrDetached where Detach was first: the connection goes on elsewhere.
//
// When Abort returns, the keys and the data that was not read are gone from memory. It
// waits a tenth of a second at most for a Read and for a Write under way. One that takes
// longer, or that has called Abort in a callback, wipes the keys when it returns.
func (c *Conn) Abort(code AlertCode) error {
	switch {
	case code == AlertCloseNotify || code == AlertUserCanceled:
		return errors.New("mayfly: Abort takes an alert that is an error: for an orderly end there is Close")
	case !c.done.Load():
		return errors.New("mayfly: the handshake is not done: to end it, cancel its context or call Close")
	case !c.end(&AlertError{Code: code, Reason: "the connection was aborted by this side"}):
		return ErrDetached
	}
	_, _ = c.deadlines.Read.Bound(stream.Past) // the Read under way finds c.ended
	if c.in.mu.LockWithin(interruptTimeout) {
		c.in.discard(c.endedBy())
		c.unlockIn() // which wipes its keys
	}
	// The Write that is under way sends the alert, behind its own data.
	c.deadlines.Write.Last(time.Now().Add(alertTimeout))
	if c.out.mu.LockWithin(interruptTimeout) {
		c.unlockOut() // which sends the alert
	}
	return nil
}

// fail ends what an error of the read path ends, and returns the error that is
// to be reported. c.in.mu is held, c.out.mu is not.
func (c *Conn) fail(err error) error {
	if e := c.ended.Load(); e != nil {
		c.wipeIn(*e)
		return *e
	}
	if !isProtocol(err) {
		// The peer's close_notify, a cut, or a failure of the transport, which sending finds itself.
		c.wipeIn(err)
		return err
	}
	e := localError(err)
	c.wipeIn(e)
	c.end(e)
	if c.out.mu.TryLock() {
		c.unlockOut() // which sends the alert
	} else {
		// The Write that is under way sends the alert, behind its own data.
		_, _ = c.deadlines.Write.Bound(time.Now().Add(alertTimeout))
	}
	return e
}

// failOut ends the connection for an error of the write path. c.out.mu is held,
// c.in.mu is not.
func (c *Conn) failOut(err error) error {
	e := localError(err)
	c.end(e)
	c.finishOut()
	if c.in.mu.TryLock() {
		c.unlockIn()
	} else {
		_, _ = c.deadlines.Read.Bound(stream.Past) // the Read under way finds c.ended
	}
	return e
}

// failHandshake ends a connection whose handshake failed. Both halves are held.
func (c *Conn) failHandshake(err error) error {
	if isProtocol(err) {
		e := localError(err)
		c.end(e)
		c.wipeIn(e)
		c.finishOut()
		err = e
	} else if err == io.EOF {
		err = ErrTruncated // a close_notify in mid-handshake
	}
	c.wipeIn(err)
	c.wipeOut(err)
	c.in.dropEarly() // nobody can read it any more
	return err
}

// isProtocol tells errors of the protocol, which end the whole connection, from
// the transport's.
func isProtocol(err error) bool {
	if _, ok := errors.AsType[*alert.Error](err); ok {
		return true
	}
	_, ok := errors.AsType[*AlertError](err)
	return ok
}

func isRemote(err error) bool {
	e, ok := errors.AsType[*AlertError](err)
	return ok && e.Remote
}

// end notes the error that ended the connection, of which the first one counts, and
// destroys the keys. It does neither, and returns false, once Detach has succeeded.
func (c *Conn) end(e *AlertError) bool {
	if !c.claim.End() {
		return false
	}
	var err error = e
	c.ended.CompareAndSwap(nil, &err)
	c.keys.wipe()
	c.parts.finish()
	return true
}

func (c *Conn) endedBy() error {
	if e := c.ended.Load(); e != nil {
		return *e
	}
	return nil
}

// unlockOut releases c.out.mu. Where the connection was ended meanwhile by the
// read path, which never waits, the alert that is owed goes out first.
func (c *Conn) unlockOut() {
	for {
		if c.ended.Load() != nil {
			c.finishOut()
		}
		c.out.mu.Unlock()
		if c.ended.Load() == nil || !c.out.mu.TryLock() {
			return
		}
		if c.out.err != nil {
			c.out.mu.Unlock()
			return
		}
	}
}

// unlockIn releases c.in.mu. Where the write path or Abort, which never wait for who has
// it, has ended the connection meanwhile, the keys go first.
func (c *Conn) unlockIn() {
	for {
		if e := c.ended.Load(); e != nil {
			c.wipeIn(*e)
		}
		c.in.mu.Unlock()
		if c.ended.Load() == nil || !c.in.mu.TryLock() {
			return
		}
		if c.in.err != nil {
			c.in.mu.Unlock()
			return
		}
	}
}

// finishOut is the only place where a fatal alert is sent: behind what is
// pending, within a bound. Then the keys are wiped, and the transport is closed
// for writing so that the peer need not wait. c.out.mu is held, c.ended is set.
func (c *Conn) finishOut() {
	if c.out.err != nil {
		return
	}
	err := *c.ended.Load()
	if e, ok := errors.AsType[*AlertError](err); ok && !e.Remote {
		c.deadlines.Write.Last(time.Now().Add(alertTimeout))
		c.sealAlert(alert.Code(e.Code))
		_ = c.flush()
	}
	c.wipeOut(err)
	c.out.pending = nil
	if half, ok := c.inner.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// sealCloseNotify puts a close_notify behind what is pending, and before it the
// KeyUpdate that the peer may be waiting for. c.out.mu is held.
func (c *Conn) sealCloseNotify() {
	if c.out.owed.Load() {
		if b, err := c.sealKeyUpdate(c.out.pending, RekeyOwed); err == nil {
			c.out.pending = b
		}
	}
	c.sealAlert(alert.CloseNotify)
}

// sealAlert puts an alert behind what is pending: without padding, if Config.Padding
// panics, as the connection has to end all the same. c.out.mu is held.
func (c *Conn) sealAlert(code alert.Code) {
	sealed := false
	defer func() {
		if p := recover(); p != nil && !sealed {
			c.tell().log.Panicked(p)
			c.out.sealer.SetPadding(nil)
			c.sealAlert(code)
		}
	}()
	level := byte(2)
	if code == alert.CloseNotify {
		level = 1
	}
	if b, err := c.out.sealer.SealReserved(c.out.pending, record.Alert, []byte{level, byte(code)}); err == nil {
		c.out.pending = b
	}
	sealed = true
}

// wipe destroys all that a closed connection knows. Nobody runs its handshake.
func (c *Conn) wipe(err error) {
	c.in.mu.Lock()
	c.wipeIn(err)
	c.in.discard(err)
	c.in.mu.Unlock()
	c.out.mu.Lock()
	c.wipeOut(err)
	c.out.pending = nil
	c.out.err = err
	c.out.mu.Unlock()
	c.keys.wipe()
	if c.buried.Fire() {
		if t := c.tell(); t.trace != nil && t.trace.Closed != nil {
			callback.Isolate(t.log, func() { t.closed(CloseInfo{RemoteAddr: c.inner.RemoteAddr(), Err: c.endedBy()}) })
		}
	}
}

// wipeIn and wipeOut destroy the keys of one half: err is what its calls return
// from now on. The half is held.
func (c *Conn) wipeIn(err error) {
	c.in.wipe(err)
	c.tellKeysWiped(&c.in.told)
	c.deaf.Fire()
}

func (c *Conn) wipeOut(err error) {
	c.out.wipe(err)
	c.tellKeysWiped(&c.out.told)
}
