// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// A callbackCase sets one callback of a Config, which calls fault each time.
type callbackCase struct {
	set     func(t *testing.T, c *mayfly.Config, fault func())
	resumes bool // it is called when a session is resumed
	early   bool // it is called when early data is offered
	late    bool // it is called when the handshake is done, or fails otherwise
}

type faultySigner struct {
	crypto.Signer
	fault func()
}

func (s faultySigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.fault()
	return s.Signer.Sign(r, digest, opts)
}

type faultyWriter struct{ fault func() }

func (w faultyWriter) Write(b []byte) (int, error) { w.fault(); return len(b), nil }

type faultyReader struct{ fault func() }

func (r faultyReader) Read(b []byte) (int, error) { r.fault(); return rand.Read(b) }

type faultyKeys struct {
	mayfly.TicketKeys
	fault func()
}

func (k faultyKeys) Keys(ctx context.Context) ([]*mayfly.SealingKey, error) {
	k.fault()
	return k.TicketKeys.Keys(ctx)
}

type faultyGuard struct{ fault func() }

func (g faultyGuard) Admit(context.Context, mayfly.EarlyUse) (bool, error) {
	g.fault()
	return true, nil
}

type faultyStore struct {
	mayfly.SessionStore
	fault func()
}

func (s faultyStore) Take(ctx context.Context, name string) (*mayfly.Session, error) {
	s.fault()
	return s.SessionStore.Take(ctx, name)
}

// bothRoles are callbacks that clients and servers have.
func bothRoles() map[string]callbackCase {
	return map[string]callbackCase{
		"VerifyConnection": {set: func(_ *testing.T, c *mayfly.Config, fault func()) {
			c.VerifyConnection = func(tls.ConnectionState) error { fault(); return nil }
		}},
		"Verify": {set: func(_ *testing.T, c *mayfly.Config, fault func()) {
			c.Peers = mayfly.AllOf(c.Peers, mayfly.Verify(func(context.Context, mayfly.Peer) error { fault(); return nil }))
		}},
		"Time": {set: func(_ *testing.T, c *mayfly.Config, fault func()) {
			c.Time = func() time.Time { fault(); return time.Now() }
		}},
		"Rand": {set: func(_ *testing.T, c *mayfly.Config, fault func()) { c.Rand = faultyReader{fault} }},
		"KeyLogWriter": {set: func(_ *testing.T, c *mayfly.Config, fault func()) {
			c.KeyLogWriter = faultyWriter{fault}
		}},
		"Trace.HandshakeStart": {set: func(_ *testing.T, c *mayfly.Config, fault func()) {
			c.Trace.HandshakeStart = func(context.Context, mayfly.HandshakeStartInfo) { fault() }
		}},
		"Trace.KeysInstalled": {set: func(_ *testing.T, c *mayfly.Config, fault func()) {
			before := c.Trace.KeysInstalled
			c.Trace.KeysInstalled = func(ctx context.Context, i mayfly.KeyInfo) { before(ctx, i); fault() }
		}},
		"Trace.KeysDestroyed": {set: func(_ *testing.T, c *mayfly.Config, fault func()) {
			before := c.Trace.KeysDestroyed
			c.Trace.KeysDestroyed = func(ctx context.Context, i mayfly.KeyInfo) { before(ctx, i); fault() }
		}},
		"Trace.HandshakeDone": {late: true, set: func(_ *testing.T, c *mayfly.Config, fault func()) {
			before := c.Trace.HandshakeDone
			c.Trace.HandshakeDone = func(ctx context.Context, i mayfly.HandshakeInfo) { before(ctx, i); fault() }
		}},
	}
}

// ofServers are those, and what only servers have.
func ofServers() map[string]callbackCase {
	cases := bothRoles()
	cases["GetConfig"] = callbackCase{set: func(_ *testing.T, c *mayfly.Config, fault func()) {
		c.GetConfig = func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) { fault(); return nil, nil }
	}}
	cases["GetCertificate"] = callbackCase{set: func(_ *testing.T, c *mayfly.Config, fault func()) {
		c.GetCertificate = func(context.Context, *mayfly.ClientHello) (*tls.Certificate, error) { fault(); return nil, nil }
	}}
	cases["Signer"] = callbackCase{set: func(t *testing.T, c *mayfly.Config, fault func()) {
		cert, err := c.Identity.SelfSigned("db.example")
		if err != nil {
			t.Fatal(err)
		}
		cert.PrivateKey = faultySigner{cert.PrivateKey.(crypto.Signer), fault}
		c.Identity, c.Certificates = nil, []tls.Certificate{cert}
	}}
	cases["Compress"] = callbackCase{set: func(t *testing.T, c *mayfly.Config, fault func()) {
		cert, err := c.Identity.SelfSigned("db.example")
		if err != nil {
			t.Fatal(err)
		}
		zlib := mayfly.ZlibCompression()
		compress := zlib.Compress
		zlib.Compress = func(b []byte) ([]byte, error) { fault(); return compress(b) }
		c.Identity, c.Certificates, c.CertificateCompression = nil, []tls.Certificate{cert}, []mayfly.CertificateCompression{zlib}
	}}
	cases["TicketKeys"] = callbackCase{set: func(_ *testing.T, c *mayfly.Config, fault func()) {
		c.TicketKeys = faultyKeys{mayfly.NewTicketRing(mayfly.GenerateSealingKey()), fault}
	}}
	cases["Tickets.Once"] = callbackCase{resumes: true, set: func(_ *testing.T, c *mayfly.Config, fault func()) {
		c.Tickets.Once = faultyGuard{fault}
	}}
	cases["Replay"] = callbackCase{resumes: true, early: true, set: func(_ *testing.T, c *mayfly.Config, fault func()) {
		c.MaxEarlyData, c.Replay = 1024, faultyGuard{fault}
	}}
	cases["Padding"] = callbackCase{late: true, set: func(_ *testing.T, c *mayfly.Config, fault func()) {
		c.TicketKeys = mayfly.NewTicketRing(mayfly.GenerateSealingKey())
		c.Padding = func(int) int { fault(); return 0 }
	}}
	cases["PSKLookup"] = callbackCase{set: func(_ *testing.T, c *mayfly.Config, fault func()) {
		c.Peers = mayfly.AnyOf(c.Peers, mayfly.PSKLookup(func(context.Context, mayfly.PSKOffer) (*mayfly.PresharedKey, error) {
			fault()
			return nil, nil
		}))
	}}
	return cases
}

// ofClients are those of both roles, and what only clients have.
func ofClients() map[string]callbackCase {
	cases := bothRoles()
	cases["GetClientCertificate"] = callbackCase{set: func(_ *testing.T, c *mayfly.Config, fault func()) {
		c.GetClientCertificate = func(context.Context, *mayfly.CertificateRequest) (*tls.Certificate, error) { fault(); return nil, nil }
	}}
	cases["Sessions.Take"] = callbackCase{set: func(_ *testing.T, c *mayfly.Config, fault func()) {
		c.Sessions = faultyStore{mayfly.NewSessionCache(1), fault}
	}}
	return cases
}

// faults are the ways in which a callback does not return.
var faults = map[string]func(){
	"panic":          func() { panic("boom") },
	"runtime.Goexit": runtime.Goexit,
}

// captureLog has slog write into a buffer. Tests that use it are not parallel.
func captureLog(t *testing.T) *lockedBuffer {
	t.Helper()
	before, text := slog.Default(), new(lockedBuffer)
	slog.SetDefault(slog.New(slog.NewTextHandler(text, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return text
}

// keyCounts counts the keys that come and go.
type keyCounts struct{ installed, destroyed atomic.Int32 }

func (k *keyCounts) trace(done chan<- mayfly.HandshakeInfo) *mayfly.Trace {
	return &mayfly.Trace{
		KeysInstalled: func(context.Context, mayfly.KeyInfo) { k.installed.Add(1) },
		KeysDestroyed: func(context.Context, mayfly.KeyInfo) { k.destroyed.Add(1) },
		HandshakeDone: func(_ context.Context, i mayfly.HandshakeInfo) { done <- i },
	}
}

// TestListenerSurvivesCallbacks has each callback of a server panic, or end its goroutine,
// in a Listener's handshake. That client gets internal_error, the server's keys are gone,
// and the next client is served, though only one handshake at a time is allowed.
func TestListenerSurvivesCallbacks(t *testing.T) {
	for name, test := range ofServers() {
		for how, fault := range faults {
			t.Run(name+"/"+how, func(t *testing.T) {
				text := captureLog(t)
				var armed atomic.Bool
				var counts keyCounts
				done := make(chan mayfly.HandshakeInfo, 16)
				cc, sc := mayflytest.Configs(t)
				cc.ServerName, sc.Trace = "db.example", counts.trace(done)
				if name == "Compress" {
					cc.CertificateCompression = []mayfly.CertificateCompression{mayfly.ZlibCompression()}
				}
				if name == "PSKLookup" {
					key, err := mayfly.NewPresharedKey("key", bytes.Repeat([]byte{1, 2}, 16), "client.example", "db.example")
					if err != nil {
						t.Fatal(err)
					}
					cc.Peers = mayfly.AnyOf(cc.Peers, mayfly.PSKs(key))
				}
				test.set(t, sc, func() {
					if armed.Load() {
						fault()
					}
				})
				if test.resumes {
					cc.Sessions = mayfly.NewSessionCache(0)
				}
				ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				ln.MaxHandshakesPerHost = 1
				go func() {
					for {
						var c *mayfly.Conn
						var err error
						if test.early {
							c, err = ln.AcceptEarly()
						} else {
							c, err = ln.AcceptConn()
						}
						if err != nil {
							return
						}
						go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
					}
				}()
				connect := func(early string) error {
					d := mayfly.Dialer{Config: cc, Confirm: true}
					if early != "" {
						c, _, err := d.DialEarly(t.Context(), "tcp", ln.Addr().String(), []byte(early))
						if err == nil {
							err = c.Close()
						}
						return err
					}
					c, err := d.DialConn(t.Context(), "tcp", ln.Addr().String())
					if err == nil {
						err = c.Close()
					}
					return err
				}
				// Where the previous connection is not forgotten yet, the next is turned away.
				served := func() {
					t.Helper()
					deadline := time.Now().Add(30 * time.Second)
					for err := connect(""); err != nil; err = connect("") {
						if time.Now().After(deadline) {
							t.Fatalf("no connection is served any more: %v", err)
						}
						runtime.Gosched()
					}
				}
				if test.resumes {
					served()
				}
				for len(done) > 0 {
					<-done
				}
				armed.Store(true)
				early := ""
				if test.early {
					early = "early"
				}
				var refused *mayfly.AlertError
				for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
					err := connect(early)
					if errors.As(err, &refused) {
						break
					}
					// A connection that was turned away has used its ticket up, and the next one
					// resumes nothing, but is given another ticket.
					if err == nil && !test.resumes || time.Now().After(deadline) {
						t.Fatalf("a connection whose callback did not return: %v", err)
					}
				}
				if !refused.Remote || refused.Code != mayfly.AlertInternalError {
					t.Errorf("the client: %v", refused)
				}
				armed.Store(false)
				served()
				if log := text.String(); !strings.Contains(log, map[string]string{"panic": "boom", "runtime.Goexit": "Goexit"}[how]) || !strings.Contains(log, "panic_test.go") {
					t.Errorf("the log: %s", log)
				}
			})
		}
	}
}

// TestCallbackPanicsReachCaller has each callback panic, or end its goroutine, in a handshake
// that the caller runs. The caller gets what the callback did, its keys are gone, the peer
// gets internal_error, and the Conn can be closed.
func TestCallbackPanicsReachCaller(t *testing.T) {
	captureLog(t)
	for role, cases := range map[string]map[string]callbackCase{"server": ofServers(), "client": ofClients()} {
		for name, test := range cases {
			if test.resumes || name == "PSKLookup" || name == "Compress" {
				continue // as with a Listener
			}
			for how, fault := range faults {
				t.Run(role+"/"+name+"/"+how, func(t *testing.T) {
					var counts keyCounts
					done := make(chan mayfly.HandshakeInfo, 4)
					cc, sc := mayflytest.Configs(t)
					cc.ServerName = "db.example"
					faulty := sc
					if role == "client" {
						faulty = cc
						if name == "GetClientCertificate" {
							cc.Identity = nil
						}
					}
					if name == "TicketKeys" || name == "Padding" {
						cc.Sessions = mayfly.NewSessionCache(1)
					}
					faulty.Trace = counts.trace(done)
					test.set(t, faulty, fault)
					if role == "server" && name == "GetCertificate" {
						sc.Identity = nil
					}
					a, b := tcpPair(t)
					c, s := mayfly.Client(a, cc), mayfly.Server(b, sc)
					mine, peer := s, c
					if role == "client" {
						mine, peer = c, s
					}
					told := make(chan error, 1)
					go func() {
						_, err := peer.Read(make([]byte, 1))
						told <- err
					}()
					var value any
					returned := false
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						defer func() { value = recover() }()
						_ = mine.Handshake()
						returned = true
					}()
					<-ended
					if returned || how == "panic" && value != "boom" {
						t.Fatalf("returned: %v, panicked: %v", returned, value)
					}
					var ours, theirs *mayfly.AlertError
					if err := mine.Handshake(); !errors.As(err, &ours) || ours.Remote || ours.Code != mayfly.AlertInternalError {
						t.Errorf("Handshake again: %v", err)
					}
					if installed, destroyed := counts.installed.Load(), counts.destroyed.Load(); installed != destroyed {
						t.Errorf("%d keys were installed, %d destroyed", installed, destroyed)
					}
					if len(done) != 1 {
						t.Errorf("the Trace was told %d times that the handshake is done", len(done))
					}
					if err := <-told; !errors.As(err, &theirs) || !theirs.Remote || theirs.Code != mayfly.AlertInternalError {
						t.Errorf("the peer: %v", err)
					}
					if err := mine.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
					if _, err := mine.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
						t.Errorf("Read after Close: %v", err)
					}
				})
			}
		}
	}
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestHooksOfFailuresAreContained has every hook panic that is told of a failure or an end,
// and a judgement of CloseIf: the Listener goes on, and can be closed.
func TestHooksOfFailuresAreContained(t *testing.T) {
	text := captureLog(t)
	for how, fault := range faults {
		t.Run(how, func(t *testing.T) {
			var armed atomic.Bool
			hook := func() {
				if armed.Load() {
					fault()
				}
			}
			cc, sc := mayflytest.Configs(t)
			started := make(chan struct{}, 100)
			sc.Trace = &mayfly.Trace{
				HandshakeStart: func(context.Context, mayfly.HandshakeStartInfo) { started <- struct{}{} },
				HandshakeDone:  func(context.Context, mayfly.HandshakeInfo) { hook() },
				KeysDestroyed:  func(context.Context, mayfly.KeyInfo) { hook() },
				Closed:         func(context.Context, mayfly.CloseInfo) { hook() },
				AcceptError:    func(context.Context, mayfly.AcceptErrorInfo) { hook() },
			}
			ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
			if err != nil {
				t.Fatal(err)
			}
			ln.MaxHandshakesPerHost = 1
			accepted := make(chan *mayfly.Conn)
			go func() {
				defer close(accepted)
				for {
					c, err := ln.AcceptConn()
					if err != nil {
						return
					}
					accepted <- c
				}
			}()
			silent, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			<-started
			armed.Store(true)
			// One address may have one handshake: AcceptError is told of the other.
			garbage, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, garbage)
			_ = garbage.Close()
			ln.CloseIf(func(mayfly.Peer) bool { fault(); return false }) // of the handshake under way
			if _, err := silent.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, silent) // HandshakeDone and Closed are told
			_ = silent.Close()
			armed.Store(false)
			dial := func() *mayfly.Conn {
				t.Helper()
				for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
					c, err := mayfly.Dial("tcp", ln.Addr().String(), cc)
					if err == nil {
						select {
						case s := <-accepted:
							t.Cleanup(func() { _ = s.Close() })
							return c
						case <-time.After(10 * time.Second):
							t.Fatal("nothing is accepted any more")
						}
					}
					if time.Now().After(deadline) {
						t.Fatalf("no connection is served any more: %v", err)
					}
				}
			}
			c := dial()
			defer c.Close()
			armed.Store(true)
			if n := ln.CloseIf(func(mayfly.Peer) bool { return true }); n != 1 {
				t.Errorf("CloseIf has closed %d connections", n)
			}
			if err := ln.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if _, ok := <-accepted; ok {
				t.Error("a connection was accepted after Close")
			}
			armed.Store(false)
		})
	}
	if log := text.String(); !strings.Contains(log, "boom") || !strings.Contains(log, "Goexit") {
		t.Errorf("the log: %s", log)
	}
}

// TestCloseIfSurvivesItsJudgement has a judgement of CloseIf panic that was asked about a
// handshake under way: that connection is closed, and the next is served.
func TestCloseIfSurvivesItsJudgement(t *testing.T) {
	captureLog(t)
	for how, fault := range faults {
		t.Run(how, func(t *testing.T) {
			cc, sc := mayflytest.Configs(t)
			asked, goOn := make(chan struct{}), make(chan struct{})
			var first atomic.Bool
			sc.VerifyConnection = func(tls.ConnectionState) error {
				if first.CompareAndSwap(false, true) {
					close(asked)
					<-goOn
				}
				return nil
			}
			ln, err := mayfly.Listen("tcp", "127.0.0.1:0", sc)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			accepted := make(chan *mayfly.Conn, 2)
			go func() {
				for {
					c, err := ln.AcceptConn()
					if err != nil {
						return
					}
					accepted <- c
				}
			}()
			closed := make(chan error, 1)
			go func() {
				c, err := mayfly.Dial("tcp", ln.Addr().String(), cc)
				if err == nil {
					_, err = io.Copy(io.Discard, c)
					_ = c.Close()
				}
				closed <- err
			}()
			<-asked
			ln.CloseIf(func(mayfly.Peer) bool { fault(); return false })
			close(goOn)
			<-closed
			c, err := mayfly.Dial("tcp", ln.Addr().String(), cc)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			s := <-accepted
			defer s.Close()
			if s.RemoteAddr().String() != c.LocalAddr().String() {
				t.Error("the connection was handed out whose judgement did not return")
			}
		})
	}
}
