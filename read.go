// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"io"
	"iter"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/stream"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// readHalf is all that receiving needs. It knows nothing of the Conn, so that a
// Conn that was dropped can be cleaned up.
type readHalf struct {
	mu  stream.ChanMutex
	err error // sticky: io.EOF, ErrTruncated, an *AlertError, the transport's

	opener    record.Opener
	assembler wire.Assembler
	receiver  *handshake.Receiver // nil until the handshake is done

	stream.ReadBuffer // what is not yet opened
	workers           stream.Workers
	plain             []byte // what is opened and not yet read; a part of the ReadBuffer, or of what Read was given

	earlyMu sync.Mutex // for early, as mu is held by whoever waits for data
	early   []byte     // early data that is not yet read

	told     *KeyInfo // the present keys, where a Trace was told of them
	counts   counts   // of application data
	raw      int      // bytes read during the handshake
	skip     int      // fewer bytes than this of refused early data may still be skipped
	oddities oddities
}

// oddities counts what is tolerated only so often; see limits.go.
type oddities struct {
	empty, warnings, keyUpdates, tickets, ccs int

	updated    time.Time // when the budget for KeyUpdates last recovered by time
	sentBefore uint64    // application records sent before the last KeyUpdate
}

// over counts one more of *n, and is an error past max.
func (*oddities) over(n *int, max int, reason string) error {
	if *n++; *n > max {
		return alert.New(alert.UnexpectedMessage, reason)
	}
	return nil
}

// Read reads application data. It returns io.EOF when the peer's close_notify
// has arrived, ErrTruncated when the transport ended without it, and an
// *AlertError when the peer or this side gave up. A Read that runs into its
// deadline (os.ErrDeadlineExceeded), in the middle of a record too, loses nothing
// and can be repeated. Read runs the handshake if that has not been done.
//
// Read may be called beside any other method; two calls of Read at the same time
// each get a part of the data. Read never waits for a Write.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.handshakeFor(&c.deadlines.Read); err != nil {
		return 0, err
	}
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	c.in.mu.Lock()
	defer c.unlockIn()
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n, err := c.open(p); n > 0 || err != nil {
			return n, err
		}
		if err := c.in.Fill(c.inner); err != nil {
			return 0, c.readError(err)
		}
	}
}

// open opens into p what is there, and waits for nothing: it may come to nothing. An
// error that follows data is left for the next call. c.in.mu is held.
func (c *Conn) open(p []byte) (n int, err error) {
	for {
		if n += c.in.take(p[n:]); n == len(p) {
			return n, nil
		}
		switch {
		case c.closed.Load():
			err = net.ErrClosed
		case c.in.err != nil:
			err = c.in.err
		case !c.in.Ready():
			return n, nil
		default:
			var k int
			k, err = c.openParallel(p[n:])
			if n += k; k == 0 && err == nil && c.in.Ready() {
				err = c.nextRecord(p[n:])
			}
			if err != nil {
				err = c.readError(err)
			}
		}
		if err != nil && n > 0 {
			return n, nil
		} else if err != nil {
			return 0, err
		}
	}
}

var backlogs = sync.Pool{New: func() any { return new(backlog) }}

// A backlog is whole records that are buffered.
type backlog struct {
	records [stream.WriteChunk / record.MaxPlaintext][]byte
	batch   record.OpenBatch
}

// openParallel is nextRecord for many buffered records whose content fits p, on several
// cores. It returns the length of that content, 0 if nextRecord has to open the next
// record, and the error of the record that follows. c.in.mu is held.
func (c *Conn) openParallel(p []byte) (n int, err error) {
	in := c.in
	if len(p) < stream.MinParallel || len(in.Unopened()) < stream.MinParallel || !c.done.Load() || in.skip > 0 || runtime.GOMAXPROCS(0) == 1 {
		return 0, nil
	}
	b := backlogs.Get().(*backlog)
	defer backlogs.Put(b)
	defer clear(b.records[:])
	records, size := in.Whole(b.records[:0])
	if size < stream.MinParallel {
		return 0, nil
	}
	pieces := in.opener.OpenAhead(&b.batch, p, records)
	defer func() { b.batch.Close(n) }()
	in.workers.Run(pieces, func(pieces iter.Seq[int]) {
		scratch := stream.GetBuffer(record.MaxCiphertext)
		defer stream.PutBuffer(scratch)
		defer volatile.Wipe(*scratch)
		for i := range pieces {
			b.batch.Run(i, *scratch)
		}
	})
	defer in.release()
	for i := range pieces {
		t, content, ok, err := in.opener.Commit(&b.batch, i)
		if !ok {
			return n, nil // the keys have changed
		}
		in.Skip(len(records[i]))
		if err == nil {
			err = c.dispatch(t, content)
		}
		if err != nil {
			return n, err
		}
		if content := in.plain; len(content) > 0 {
			if &p[n] != &content[0] { // padding has left a gap, and both may overlap
				volatile.DoPinned(func() { copy(p[n:], content) })
			}
			n += len(content)
		}
		in.plain = nil
	}
	return n, nil
}

// take moves opened data to p, unless it is there already, and wipes it where it was.
func (in *readHalf) take(p []byte) int {
	if len(in.plain) == 0 || len(p) == 0 {
		return 0
	}
	n := len(in.plain)
	if &in.plain[0] != &p[0] {
		n = volatile.Move(p, in.plain)
	}
	if in.plain = in.plain[n:]; len(in.plain) == 0 {
		in.plain = nil
		in.release()
	}
	return n
}

// release gives the buffer back when nothing is left in it.
func (in *readHalf) release() {
	if len(in.plain) == 0 {
		in.ReadBuffer.Release()
	}
}

// nextRecord reads, opens and dispatches one record: its content goes to the start of
// p where that has room, and is to be taken from there before p is anybody else's. A
// timeout leaves all as it was; any other error is final. c.in.mu is held.
func (c *Conn) nextRecord(p []byte) error {
	in := c.in
	defer in.release()
	b, err := in.Fetch(c.inner)
	if err != nil {
		return err
	}
	if !c.done.Load() && c.early.reading != handshake.EpochEarly { // that has a limit of its own
		if in.raw += len(b); in.raw > maxHandshakeBytes {
			return alert.New(alert.UnexpectedMessage, "the peer sent too much before its handshake was done")
		}
	}
	t, content, err := in.opener.OpenTo(p, b)
	if in.skip > 0 && record.ContentType(b[0]) == record.ApplicationData {
		// RFC 9846, Section 4.3.10: early data that was refused is skipped.
		if err != nil && alert.Of(err) == alert.BadRecordMAC || !in.opener.Protected() {
			in.raw -= len(b) // the limit of early data applies instead
			if in.skip -= max(len(b)-record.HeaderLen-sealedOverhead, 1); in.skip <= 0 {
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

// dispatch hands the content of one record to those who want it. c.in.mu is held.
func (c *Conn) dispatch(t record.ContentType, content []byte) error {
	in := c.in
	if t != record.Handshake && in.assembler.Pending() {
		// RFC 9846, Section 5.1.
		return alert.New(alert.UnexpectedMessage, "a handshake message was interrupted by another record")
	}
	if len(content) > 0 && t == record.ApplicationData && c.done.Load() {
		c.firstRecord.Fire()
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
		c.firstRecord.Fire()
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
			if err := c.countPostHandshake(msg.Type); err != nil {
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
func (c *Conn) countPostHandshake(t wire.MessageType) error {
	in := c.in
	switch t {
	case wire.KeyUpdateType:
		if c.out.awaited.Load() != nil {
			return nil // this side asked for it
		}
		in.recoverKeyUpdates(time.Now(), c.out.counts.records.Load())
		return in.oddities.over(&in.oddities.keyUpdates, maxKeyUpdates, "too many key updates without data between them")
	case wire.NewSessionTicketType:
		return in.oddities.over(&in.oddities.tickets, maxTickets, "too many session tickets without data between them")
	}
	return nil
}

// recoverKeyUpdates gives back the budget for KeyUpdates that nothing asked for: all of it
// when application data was sent since the last one, and one for each keyUpdateRecovery.
func (in *readHalf) recoverKeyUpdates(now time.Time, sent uint64) {
	o := &in.oddities
	if sent != o.sentBefore {
		o.keyUpdates = 0
	}
	if n := now.Sub(o.updated) / keyUpdateRecovery; n > 0 {
		o.keyUpdates -= int(min(n, time.Duration(o.keyUpdates)))
		o.updated = now
	}
	o.sentBefore = sent
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
		return &AlertError{Remote: true, Code: AlertCode(code)}
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
	in.Drop()
	in.release()
}

// dropPlain wipes what was opened and not read.
func (in *readHalf) dropPlain() {
	volatile.Wipe(in.plain)
	in.plain = nil
}

// discard is wipe for a connection that is closed: what was opened goes too.
func (in *readHalf) discard(err error) {
	in.dropPlain()
	in.dropEarly()
	in.err = err
	in.wipe(err)
}
