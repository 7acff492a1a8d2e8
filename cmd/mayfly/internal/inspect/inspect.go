// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package inspect is the engine of mayfly inspect: it connects to a TLS 1.3 server, keeps
// a recording of what passes on the wire, opens that with the connection's own secrets,
// and makes a Report of it, as text and as a page.
//
// It sees a connection from outside, by the hooks, the key log and the transport that any
// program can give it, and must not know flags or exit codes.
package inspect

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
)

// Options say what to inspect, and how.
type Options struct {
	// Addr is the server's address, host:port.
	Addr string

	// Config is the one with which the server would be dialled. Whom its Peers do not
	// accept is inspected all the same; a credential for clients that it has is shown
	// to whoever answers. Its Trace, KeyLogWriter and Sessions are not used.
	Config *mayfly.Config

	// Roots are those that Config.Peers goes by, if it goes by some: of a certificate that
	// they do not accept, the Report says why.
	Roots *x509.CertPool

	// Rekeys is how often keys are changed after the handshake, and the
	// server is asked to do so, too.
	Rekeys int

	// Patience is how long to wait for the server to change its keys, which many do only
	// when they next have something to say. Zero: a second.
	Patience time.Duration

	// Reveal keeps the values of the secrets for the Report. Without, they are wiped
	// when the recording has been opened.
	Reveal bool
}

// Bounds of what a server can make this program do.
const (
	dialTimeout     = 10 * time.Second
	defaultPatience = time.Second
	mostRekeys      = 16 // crypto/tls takes no more without data between
	quickRekeys     = 6
	slowRekeys      = 150 * time.Millisecond // GnuTLS takes 8 changes a second
)

// Run inspects a server. An error is returned where there is nothing to report, because
// the Options cannot work or no connection came about; what went wrong later is in the
// Report.
func Run(ctx context.Context, o *Options) (*Report, error) {
	if o.Rekeys < 0 || o.Rekeys > mostRekeys {
		return nil, errors.New("the number of changes of keys is from 0 to 16")
	}
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, err
	}
	s := &session{diary: diary{start: time.Now()}, options: o}
	defer s.secrets.wipe()
	config, err := s.config(host)
	if err != nil {
		return nil, err
	}
	inner, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	s.tape = newTape(inner, s.elapsed)
	defer s.tape.Close()
	conn := mayfly.Client(s.tape, config)
	s.talk(ctx, conn)
	if s.err != nil && len(s.tape.side(dissect.Client).bytes) == 0 {
		return nil, s.err // not a word was said
	}
	return s.report(conn), nil
}

// A session is one inspection under way.
type session struct {
	diary
	options  *Options
	name     string // of the server
	judged   *mayfly.Config
	accepted atomic.Bool // by the Peers that were given
	secrets  keyLog
	tape     *tape

	lookedUp, connected time.Duration
	remote              net.Addr
	err                 error // of the handshake, or the end of the connection
	unanswered          bool  // the peer did not change its keys
}

// config is the Config of the inspection: that of the Options, with ears.
func (s *session) config(host string) (*mayfly.Config, error) {
	config := s.options.Config.Clone()
	if config == nil {
		config = new(mayfly.Config)
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	s.name, s.judged = config.ServerName, config.Clone()
	wanted, err := wantedPeers(config)
	if err != nil {
		return nil, err
	}
	noted := func(context.Context, mayfly.Peer) error { s.accepted.Store(true); return nil }
	config.Peers = mayfly.AnyOf(mayfly.AllOf(wanted, mayfly.Verify(noted)), mayfly.AllOf(mayfly.InsecureAnyServer()))
	config.RootCAs = nil
	config.Trace, config.KeyLogWriter = s.trace(), &s.secrets
	config.Sessions = &forgetful{diary: &s.diary}
	s.secrets.now = s.elapsed
	return config, nil
}

// dial connects, and notes how long looking up the name and connecting took.
func (s *session) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var lookup atomic.Int64
	d := net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error {
		lookup.CompareAndSwap(0, int64(s.elapsed()))
		return nil
	}}
	inner, err := d.DialContext(ctx, "tcp", s.options.Addr)
	if err != nil {
		return nil, err
	}
	s.connected, s.lookedUp, s.remote = s.elapsed(), time.Duration(lookup.Load()), inner.RemoteAddr()
	return inner, nil
}

// talk does the handshake, changes keys, and closes.
func (s *session) talk(ctx context.Context, conn *mayfly.Conn) {
	defer conn.Close()
	if s.err = explained(conn.HandshakeContext(ctx)); s.err != nil {
		return
	}
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		read <- err
	}()
	err := s.rekey(ctx, conn)
	_ = conn.Close()
	ended := <-read
	switch {
	case ended != nil && !errors.Is(ended, net.ErrClosed):
		s.err = ended // the server's word about the end, rather than what followed from it
	case err != nil && !errors.Is(err, net.ErrClosed):
		s.err = err
	}
}

// explained says what a server is that does not speak TLS 1.3: its alert, or its version in
// the ServerHello, tells only the specialist.
func explained(err error) error {
	if e, ok := errors.AsType[*mayfly.AlertError](err); ok && e.Code.String() == "protocol_version" {
		return fmt.Errorf("the server speaks TLS 1.2 at most: %w", err)
	}
	return err
}

// rekey changes the keys, as often as it was asked for. Each time the server is asked to
// change its own, and waited for until it has once not done so. Somebody must be reading.
func (s *session) rekey(ctx context.Context, conn *mayfly.Conn) error {
	patience := s.options.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	for i := range s.options.Rekeys {
		if i >= quickRekeys {
			if err := pause(ctx); err != nil {
				return err
			}
		}
		if err := conn.Rekey(ctx); err != nil {
			return err
		}
		if s.unanswered {
			continue
		}
		waiting, cancel := context.WithTimeout(ctx, patience)
		err := conn.WaitPeer(waiting)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			s.unanswered = true
		case err != nil:
			return err
		}
	}
	return nil
}

// pause is for servers that take frequent changes of keys for an attack.
func pause(ctx context.Context) error {
	timer := time.NewTimer(slowRekeys)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
