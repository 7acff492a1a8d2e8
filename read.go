// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// readHalf is all that receiving needs. It knows nothing of the Conn, so that a
// Conn that was dropped can be cleaned up.
type readHalf struct {
	mu  sync.Mutex
	err error // sticky: io.EOF, ErrTruncated, an *AlertError, the transport's

	opener    *record.Opener
	assembler *wire.Assembler
	receiver  *handshake.Receiver // nil until the handshake is done

	waiter *waiter // nil where the transport is no socket

	buf   *[]byte // from readBuffers; nil while nothing is buffered
	r, w  int     // what of buf is not yet opened
	plain []byte  // what is opened and not yet read; a part of buf
	early []byte  // early data that is not yet read

	told     *KeyInfo // the present keys, where a Trace was told of them
	counts   counts   // of application data
	raw      int      // bytes read during the handshake
	skip     int      // bytes of refused early data that may still be skipped
	oddities oddities
}

// oddities counts what is tolerated only so often; see limits.go.
type oddities struct {
	empty, warnings, keyUpdates, tickets, ccs int
}

// over counts one more of *n, and is an error past max.
func (*oddities) over(n *int, max int, reason string) error {
	if *n++; *n > max {
		return alert.New(alert.UnexpectedMessage, reason)
	}
	return nil
}

// The buffers that are read into, and those in which other transports than sockets
// are waited for.
var (
	readBuffers = sync.Pool{New: func() any { b := make([]byte, readChunk); return &b }}
	waitBuffers = sync.Pool{New: func() any { b := make([]byte, waitChunk); return &b }}
)

// Read reads application data. It returns io.EOF when the peer's close_notify
// has arrived, ErrTruncated when the transport ended without it, and an
// *AlertError when the peer or this side gave up. A Read that runs into its
// deadline (os.ErrDeadlineExceeded), in the middle of a record too, loses nothing
// and can be repeated. Read runs the handshake if that has not been done.
//
// Read may be called beside any other method; two calls of Read at the same time
// each get a part of the data. Read never waits for a Write.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.handshakeFor(&c.deadlines.read); err != nil {
		return 0, err
	}
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if c.closed.Load() {
			return 0, net.ErrClosed
		}
		if n := c.in.take(p); n > 0 {
			return n, nil
		}
		if c.in.err != nil {
			return 0, c.in.err
		}
		if err := c.nextRecord(); err != nil {
			return 0, c.readError(err)
		}
	}
}

// take moves opened data to p and wipes it where it was.
func (in *readHalf) take(p []byte) int {
	n := copy(p, in.plain)
	volatile.Wipe(in.plain[:n])
	in.plain = in.plain[n:]
	if len(in.plain) == 0 {
		in.plain = nil
		in.release()
	}
	return n
}

// release gives the buffer back when nothing is left in it.
func (in *readHalf) release() {
	if in.buf != nil && in.r == in.w && len(in.plain) == 0 {
		readBuffers.Put(in.buf)
		in.buf, in.r, in.w = nil, 0, 0
	}
}

// nextRecord reads, opens and dispatches one record. A timeout leaves all as it
// was; any other error is final. c.in.mu is held.
func (c *Conn) nextRecord() error {
	in := c.in
	defer in.release()
	b, err := in.fetch(c.inner)
	if err != nil {
		return err
	}
	if !c.done.Load() && c.early.reading != handshake.EpochEarly { // that has a limit of its own
		if in.raw += len(b); in.raw > maxHandshakeBytes {
			return alert.New(alert.UnexpectedMessage, "the peer sent too much before its handshake was done")
		}
	}
	t, content, err := in.opener.Open(b)
	if in.skip > 0 && record.ContentType(b[0]) == record.ApplicationData {
		// RFC 9846, Section 4.3.10: early data that was refused is skipped.
		if err != nil && alert.Of(err) == alert.BadRecordMAC || !in.opener.Protected() {
			if in.skip -= len(b); in.skip <= 0 {
				return alert.New(alert.UnexpectedMessage, "too much early data")
			}
			return nil
		}
		in.skip = 0 // it opened
	}
	if err != nil {
		return err
	}
	return c.dispatch(t, content)
}

// fetch returns the next whole record, a part of the buffer.
func (in *readHalf) fetch(src io.Reader) ([]byte, error) {
	for {
		need := record.HeaderLen
		if in.w-in.r >= record.HeaderLen {
			_, n, err := record.ParseHeader((*in.buf)[in.r:in.w])
			if err != nil {
				return nil, err
			}
			need += n
		}
		if in.w-in.r >= need && need > record.HeaderLen {
			b := (*in.buf)[in.r : in.r+need : in.r+need]
			in.r += need
			return b, nil
		}
		if in.w-in.r >= need { // a header that announces nothing
			b := (*in.buf)[in.r : in.r+need : in.r+need]
			in.r += need
			return b, nil
		}
		if err := in.fill(src); err != nil {
			return nil, err
		}
	}
}

// fill reads once from the transport, behind what is there.
func (in *readHalf) fill(src io.Reader) error {
	if in.buf == nil {
		return in.wait(src)
	}
	buf := *in.buf
	if in.r > 0 {
		in.w = copy(buf, buf[in.r:in.w])
		in.r = 0
	}
	n, err := readSome(src, buf[in.w:])
	in.w += n
	return err
}

// wait is fill where nothing is buffered: no large buffer is held until there is
// something to put into it.
func (in *readHalf) wait(src io.Reader) error {
	if in.waiter != nil {
		buf, n, err := in.waiter.wait()
		if errors.Is(err, io.EOF) {
			err = ErrTruncated
		}
		in.buf, in.r, in.w = buf, 0, n
		return err
	}
	small := waitBuffers.Get().(*[]byte)
	defer waitBuffers.Put(small)
	n, err := readSome(src, *small)
	if n > 0 {
		in.buf, in.r = readBuffers.Get().(*[]byte), 0
		in.w = copy(*in.buf, (*small)[:n])
	}
	return err
}

// readSome reads once from the transport. Where it returns bytes there is no error:
// that comes again with the next call.
func readSome(src io.Reader, p []byte) (int, error) {
	for range 100 {
		n, err := src.Read(p)
		switch {
		case n < 0 || n > len(p):
			return 0, errors.New("the transport's Read returned an impossible count")
		case n > 0:
			return n, nil
		case errors.Is(err, io.EOF):
			return 0, ErrTruncated // never io.EOF, however it is wrapped
		case err != nil:
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// dispatch hands the content of one record to those who want it. c.in.mu is held.
func (c *Conn) dispatch(t record.ContentType, content []byte) error {
	in := c.in
	if t != record.Handshake && in.assembler.Pending() {
		// RFC 9846, Section 5.1.
		return alert.New(alert.UnexpectedMessage, "a handshake message was interrupted by another record")
	}
	if len(content) > 0 && t == record.ApplicationData && c.done.Load() {
		in.oddities = oddities{}
		in.counts.records.Add(1)
		in.counts.bytes.Add(uint64(len(content)))
		in.plain = content
		return nil
	}
	defer volatile.Wipe(content)
	switch t {
	case record.ApplicationData:
		if !c.done.Load() {
			return c.receiveEarly(content)
		}
		c.confirmed = true
		return in.oddities.over(&in.oddities.empty, maxEmptyRecords, "too many empty records")
	case record.Handshake:
		return c.dispatchHandshake(content)
	case record.Alert:
		return in.receiveAlert(content)
	case record.ChangeCipherSpec:
		// RFC 9846, Section 5: one byte 0x01, during the handshake alone.
		if c.done.Load() || !c.machine.AllowCCS() || len(content) != 1 || content[0] != 1 {
			return alert.New(alert.UnexpectedMessage, "a change_cipher_spec record that has no place here")
		}
		return in.oddities.over(&in.oddities.ccs, maxCCS, "too many change_cipher_spec records")
	}
	return alert.New(alert.UnexpectedMessage, "a record of an unknown type")
}

// dispatchHandshake puts messages together and hands them to the machine, or
// after the handshake to the receiver.
func (c *Conn) dispatchHandshake(fragment []byte) error {
	in := c.in
	if err := in.assembler.Write(fragment); err != nil {
		return err
	}
	for {
		msg, ok, err := in.assembler.Next()
		if err != nil || !ok {
			return err
		}
		var events []handshake.Event
		if c.done.Load() {
			if err := in.countPostHandshake(msg.Type); err != nil {
				return err
			}
			events, err = in.receiver.Receive(msg, in.assembler.Aligned)
		} else {
			events, err = c.machine.Receive(msg, in.assembler.Aligned)
		}
		if err != nil {
			return err
		}
		if err := c.apply(events); err != nil {
			return err
		}
	}
}

// countPostHandshake bounds the messages with which a peer could keep us busy.
func (in *readHalf) countPostHandshake(t wire.MessageType) error {
	switch t {
	case wire.KeyUpdateType:
		return in.oddities.over(&in.oddities.keyUpdates, maxKeyUpdates, "too many key updates without data between them")
	case wire.NewSessionTicketType:
		return in.oddities.over(&in.oddities.tickets, maxTickets, "too many session tickets without data between them")
	}
	return nil
}

// receiveAlert reads an alert (RFC 9846, Section 6).
func (in *readHalf) receiveAlert(b []byte) error {
	if len(b) != 2 {
		return alert.New(alert.DecodeError, "a malformed alert")
	}
	switch code := alert.Code(b[1]); code {
	case alert.CloseNotify:
		return io.EOF
	case alert.UserCanceled:
		return in.oddities.over(&in.oddities.warnings, maxWarnings, "too many warning alerts")
	default:
		// The level is ignored: all others are fatal in TLS 1.3.
		return &AlertError{Remote: true, Code: code}
	}
}

// readError makes of an error from nextRecord what Read returns, and ends what
// is to end. c.in.mu is held; c.out.mu is not.
func (c *Conn) readError(err error) error {
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case c.ended.Load() != nil:
		// The write path has ended the connection, and woken this Read.
	case isTimeout(err):
		if c.leaving.Load() {
			return ErrDetached
		}
		return os.ErrDeadlineExceeded
	}
	return c.fail(err)
}

// wipe ends receiving: err is what every later Read returns after the data that
// was opened before.
func (in *readHalf) wipe(err error) {
	if in.err == nil {
		in.err = err
	}
	in.opener.Wipe()
	in.assembler.Wipe()
	if in.receiver != nil {
		in.receiver.Wipe()
	}
	in.r, in.w = 0, 0
	in.release()
}

// discard is wipe for a connection that is closed: what was opened goes too.
func (in *readHalf) discard(err error) {
	volatile.Wipe(in.plain)
	volatile.Wipe(in.early)
	in.plain, in.early = nil, nil
	in.err = err
	in.wipe(err)
}
