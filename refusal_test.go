// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// asking sets what a callback of a server's answers, by the callback's name.
var asking = map[string]func(sc *mayfly.Config, answer func(context.Context) error){
	"Verify": func(sc *mayfly.Config, answer func(context.Context) error) {
		sc.Peers = mayfly.AllOf(sc.Peers, mayfly.Verify(func(ctx context.Context, _ mayfly.Peer) error { return answer(ctx) }))
	},
	"GetConfig": func(sc *mayfly.Config, answer func(context.Context) error) {
		sc.GetConfig = func(ctx context.Context, _ *mayfly.ClientHello) (*mayfly.Config, error) { return nil, answer(ctx) }
	},
	"GetCertificate": func(sc *mayfly.Config, answer func(context.Context) error) {
		sc.Identity = nil // or nobody would ask
		sc.GetCertificate = func(ctx context.Context, _ *mayfly.ClientHello) (*tls.Certificate, error) { return nil, answer(ctx) }
	},
}

// TestTimeoutsOfCallbacks has callbacks return the errors of deadlines, of a database
// that they ask, say: they refuse the peer for good, and tell it so. They do not look
// like a deadline of the Conn's, after which the handshake goes on.
func TestTimeoutsOfCallbacks(t *testing.T) {
	t.Parallel()
	for name, set := range asking {
		for _, timeout := range []error{os.ErrDeadlineExceeded, context.DeadlineExceeded, fmt.Errorf("database: %w", os.ErrDeadlineExceeded)} {
			t.Run(fmt.Sprint(name, timeout), func(t *testing.T) {
				t.Parallel()
				cc, sc := mayflytest.Configs(t)
				asked := 0
				set(sc, func(context.Context) error { asked++; return timeout })
				a, b := net.Pipe()
				c, s := mayfly.Client(a, cc), mayfly.Server(b, sc)
				defer c.Close()
				defer s.Close()
				told := make(chan error, 1)
				go func() {
					_, err := c.Read(make([]byte, 1))
					told <- err
				}()
				serverErr := s.Handshake()
				_ = b.Close() // a pipe has delivered the alert, or there was none
				clientErr := <-told
				var ours, theirs *mayfly.AlertError
				if !errors.As(serverErr, &ours) || ours.Remote || !errors.Is(serverErr, timeout) {
					t.Fatalf("the server: %v", serverErr)
				}
				if !errors.As(clientErr, &theirs) || !theirs.Remote || theirs.Code != ours.Code {
					t.Errorf("the client: %v, and the server sent %v", clientErr, ours.Code)
				}
				if name == "Verify" && !errors.Is(serverErr, mayfly.ErrPeerRefused) {
					t.Errorf("the server: %v", serverErr)
				}
				if again := s.Handshake(); again != serverErr {
					t.Errorf("Handshake again: %v", again)
				}
				if asked != 1 {
					t.Errorf("asked %d times", asked)
				}
			})
		}
	}
}

// TestHandshakeTimeoutOfCallbacks shows that Config.HandshakeTimeout bounds the
// context of each callback, on Server's and on Dial's side: one that waits for it is
// let go.
func TestHandshakeTimeoutOfCallbacks(t *testing.T) {
	t.Parallel()
	wait := func(causes chan<- error) func(context.Context) error {
		return func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				causes <- errors.New("the callback's context has no deadline")
				return errors.New("nobody would let go")
			}
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return ctx.Err()
		}
	}
	for name, set := range asking {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cc, sc := mayflytest.Configs(t)
				cc.HandshakeTimeout, sc.HandshakeTimeout = -1, time.Minute
				causes := make(chan error, 1)
				set(sc, wait(causes))
				_, err := shakePipe(cc, sc)
				if err == nil {
					t.Error("the handshake was done")
				}
				select {
				case cause := <-causes:
					if !errors.Is(cause, mayfly.ErrHandshakeTimeout) {
						t.Errorf("the context's cause: %v", cause)
					}
				default:
					t.Errorf("nobody was asked: %v", err)
				}
			})
		})
	}
	t.Run("a client's Verify", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			cc, sc := mayflytest.Configs(t)
			cc.HandshakeTimeout, sc.HandshakeTimeout = time.Minute, -1
			causes := make(chan error, 1)
			asking["Verify"](cc, wait(causes))
			if err, _ := shakePipe(cc, sc); err == nil {
				t.Error("the handshake was done")
			}
			select {
			case cause := <-causes:
				if !errors.Is(cause, mayfly.ErrHandshakeTimeout) {
					t.Errorf("the context's cause: %v", cause)
				}
			default:
				t.Error("nobody was asked")
			}
		})
	})
}

// shakePipe is shake over net.Pipe, for a bubble of synctest.
func shakePipe(cc, sc *mayfly.Config) (clientErr, serverErr error) {
	a, b := net.Pipe()
	c, s := mayfly.Client(a, cc), mayfly.Server(b, sc)
	defer c.Close()
	defer s.Close()
	done := make(chan error, 1)
	go func() {
		_, err := s.Write([]byte("k"))
		_ = b.Close() // a pipe has delivered everything
		done <- err
	}()
	_, clientErr = c.Read(make([]byte, 1))
	_ = a.Close()
	return clientErr, <-done
}

// TestOwnKeyOfCallback shows a side the key that a callback has just chosen for it:
// that is its own, and refused, unless AllowSelf.
func TestOwnKeyOfCallback(t *testing.T) {
	t.Parallel()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	both := mayfly.Pins(id.Pin())
	byCallback := func(context.Context, *mayfly.ClientHello) (*tls.Certificate, error) { return &cert, nil }
	byClient := func(context.Context, *mayfly.CertificateRequest) (*tls.Certificate, error) { return &cert, nil }
	for name, test := range map[string]struct {
		client, server *mayfly.Config
		judge          func(*mayfly.Config, *mayfly.Config) *mayfly.Config // whose callback it is
	}{
		"GetCertificate": {
			&mayfly.Config{Certificates: []tls.Certificate{cert}, Peers: both, AllowSelf: true},
			&mayfly.Config{GetCertificate: byCallback, Peers: both},
			func(_, server *mayfly.Config) *mayfly.Config { return server },
		},
		"GetCertificate, and a raw key": {
			&mayfly.Config{Identity: id, Peers: both, AllowSelf: true},
			&mayfly.Config{GetCertificate: byCallback, Peers: both},
			func(_, server *mayfly.Config) *mayfly.Config { return server },
		},
		"GetClientCertificate": {
			&mayfly.Config{GetClientCertificate: byClient, Peers: both},
			&mayfly.Config{Certificates: []tls.Certificate{cert}, Peers: both, AllowSelf: true},
			func(client, _ *mayfly.Config) *mayfly.Config { return client },
		},
	} {
		t.Run(name, func(t *testing.T) {
			judge := test.judge(test.client, test.server)
			_, _, clientErr, serverErr := shake(t, test.client, test.server)
			judged := serverErr
			if judge == test.client {
				judged = clientErr
			}
			if !errors.Is(judged, mayfly.ErrPeerRefused) {
				t.Errorf("the client: %v; the server: %v", clientErr, serverErr)
			}
			judge.AllowSelf = true
			if _, _, clientErr, serverErr := shake(t, test.client, test.server); clientErr != nil || serverErr != nil {
				t.Errorf("with AllowSelf, the client: %v; the server: %v", clientErr, serverErr)
			}
		})
	}
}

// Writers that cannot be compared: the second one's type says that it could.
type (
	listOfWriters []io.Writer
	boxedWriters  struct{ list any }
)

func (l listOfWriters) Write(p []byte) (int, error) { return l[0].Write(p) }
func (b boxedWriters) Write(p []byte) (int, error)  { return b.list.(listOfWriters).Write(p) }

// TestKeyLogWriterOfGetConfig gives GetConfig's Config a KeyLogWriter of each kind:
// one that cannot be compared does no harm, and is written to.
func TestKeyLogWriterOfGetConfig(t *testing.T) {
	t.Parallel()
	for name, writer := range map[string]func(io.Writer) io.Writer{
		"a pointer":           func(w io.Writer) io.Writer { return w },
		"a slice":             func(w io.Writer) io.Writer { return listOfWriters{w} },
		"a slice in a struct": func(w io.Writer) io.Writer { return boxedWriters{listOfWriters{w}} },
	} {
		t.Run(name, func(t *testing.T) {
			log := new(lockedBuffer)
			cc, sc := mayflytest.Configs(t)
			sc.KeyLogWriter = writer(log)
			tenant := sc.Clone()
			sc.GetConfig = func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) { return tenant, nil }
			if _, _, clientErr, serverErr := shake(t, cc, sc); clientErr != nil || serverErr != nil {
				t.Fatal(clientErr, serverErr)
			}
			log.mu.Lock()
			defer log.mu.Unlock()
			for _, label := range []string{"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_TRAFFIC_SECRET_0 "} {
				if n := bytes.Count(log.b.Bytes(), []byte(label)); n != 1 {
					t.Errorf("%s stands %d times", label, n)
				}
			}
		})
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
