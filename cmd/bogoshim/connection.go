// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/cpu"

	"github.com/mayfly-tls/mayfly"
)

// A connection is one of those of a test.
type connection struct {
	shim   *shim
	flags  *flags
	retry  *flags // of what follows a rejection of early data that the test brings about
	resume bool

	conn      *mayfly.Conn
	transport *transport
	store     *sessionStore
	secrets   secrets

	// What was found out.
	hello          *mayfly.ClientHello
	request        *mayfly.CertificateRequest
	judged         int
	selected       atomic.Int32
	pskNumbers     map[string]int // credentials by the identity of their key
	ticketCallback ticketCallback
	earlyOffered   atomic.Bool
	earlyWritten   int // bytes of the initial write that went out as early data
	checked        bool
}

// run dials, shakes hands, talks, and looks at what came of it.
func (c *connection) run() (err error) {
	c.selected.Store(-1)
	c.store = newSessionStore(c.shim.session)
	c.ticketCallback = ticketCallback{ring: c.shim.ring, skips: c.flags.skipTicket}
	config, err := c.config()
	if err != nil {
		return err
	}
	if c.transport, err = c.flags.dial(); err != nil {
		return err
	}
	c.conn = mayfly.Client(c.transport, config)
	if c.flags.server {
		c.conn = mayfly.Server(c.transport, config)
	}
	err = c.exchange()
	if closeErr := c.conn.Close(); err == nil && closeErr != nil && c.flags.checkCloseNotify {
		err = closeErr
	}
	c.shim.session = c.store.last()
	return err
}

// exchange is all between dialling and closing.
func (c *connection) exchange() error {
	if err := c.handshake(); err != nil {
		return err
	}
	if err := c.transfer(); err != nil {
		return err
	}
	if c.flags.sendAlert {
		return nil // the other half is gone too
	}
	if !c.flags.server {
		if err := c.flags.expect.checkSessions(c.store.last().Session, c.flags.shimShutsDown); err != nil {
			return err
		}
	}
	if c.flags.shimShutsDown {
		return c.shutDown()
	}
	return nil
}

// handshake shakes hands, unless the test leaves that to the first Read or Write,
// and checks what was agreed on.
func (c *connection) handshake() error {
	switch f := c.flags; {
	case f.server && f.enableEarlyData:
		if err := c.answerEarly(); err != nil {
			return err
		}
	case !f.server && f.enableEarlyData:
		if err := c.sendEarly(); err != nil {
			return err
		}
	}
	if !c.flags.implicitHandshake || c.conn.ConnectionState().HandshakeComplete {
		if err := c.patiently(c.conn.Handshake); err != nil {
			return err
		}
		return c.check()
	}
	return nil
}

// check holds the connection against what was expected of it. After early data was
// rejected, the flags are those of the retry.
func (c *connection) check() error {
	if c.flags.noOpExtraHandshake {
		if err := c.conn.Handshake(); err != nil {
			return fmt.Errorf("bogoshim: a handshake that is done fails: %w", err)
		}
	}
	if c.flags.server && c.flags.useTicketCallback && c.ticketCallback.asked == 0 {
		return unexpected("the callback for tickets", "silent", "asked")
	}
	f := c.facts()
	if c.retry != nil {
		if f.earlyAccepted || !f.earlyOffered {
			return unexpected("early data", "accepted, or not sent", "rejected")
		}
		c.flags = c.retry
	}
	return c.flags.expect.check(f)
}

// facts gathers what the library says of the connection.
func (c *connection) facts() *facts {
	f := &facts{
		server:        c.flags.server,
		resume:        c.resume,
		hostName:      c.flags.hostName,
		state:         c.conn.ConnectionState(),
		peer:          c.conn.Peer(),
		hasAES:        cpu.X86.HasAES || cpu.ARM64.HasAES,
		hello:         c.hello,
		request:       c.request,
		refused:       c.shim.refused,
		toRefuse:      c.flags.verifyFail,
		selected:      int(c.selected.Load()),
		earlyOffered:  c.earlyOffered.Load(),
		earlyAccepted: c.conn.EarlyDataAccepted(),
		earlyReason:   c.conn.EarlyDataReason(),
		skew:          c.conn.TicketAgeSkew(),
		selectedALPN:  c.flags.selectALPN,
		wantsPeer:     !c.flags.server || c.flags.requireAnyClientCertificate,
	}
	if number, ok := c.pskNumbers[string(f.peer.PSKIdentity)]; ok {
		f.selected = number
	}
	return f
}

// sendEarly offers the first write as early data, as far as the ticket allows.
func (c *connection) sendEarly() error {
	if c.flags.readWithUnfinishedWrite {
		return fmt.Errorf("%w: early data that is half written", errUnimplemented)
	}
	data := c.initialWrite()
	if s := c.store.offer.Session; s != nil && s.MaxEarlyData() > 0 {
		data = data[:min(len(data), int(s.MaxEarlyData()))]
	}
	if n := c.flags.exportKeyingMaterial; n > 0 {
		// As long as early data is on its way there is nothing to export.
		if _, err := c.conn.ExportKeyingMaterial(c.flags.exportLabel, []byte(c.flags.exportContext), n); err != nil {
			return err
		}
	}
	c.earlyWritten = len(data)
	_, err := c.conn.HandshakeEarly(context.Background(), data)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = c.patiently(c.conn.Handshake)
	}
	if err == nil && (!c.earlyOffered.Load() || !c.conn.EarlyDataAccepted()) {
		c.earlyWritten = 0
	}
	return err
}

// initialWrite is what the shim says first.
func (c *connection) initialWrite() []byte {
	return bytes.Repeat([]byte(c.flags.shimInitialWrite), c.flags.repeatShimInitialWrite)
}

// patiently repeats what ran into a deadline, which is that of a transport that
// dribbles.
func (c *connection) patiently(f func() error) error {
	for {
		err := f()
		if !c.transport.dribbles || !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, mayfly.ErrHandshakeTimeout) {
			return err
		}
	}
}

// secrets keeps the traffic secrets of a KeyLogWriter.
type secrets struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (s *secrets) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(line)
}

// find returns the secret of a label.
func (s *secrets) find(label string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for lines := bufio.NewScanner(bytes.NewReader(s.log.Bytes())); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) == 3 && words[0] == label {
			return hex.DecodeString(words[2])
		}
	}
	return nil, fmt.Errorf("bogoshim: there is no %s: %w", label, io.ErrUnexpectedEOF)
}
