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
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/testnet"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// tcpLike is a path on which an end that closes with unread bytes, or is sent bytes after it
// has closed, loses most of what it has written.
var tcpLike = testnet.Path{Window: 1 << 10}

// certificateServer is the Config of a server that shows a certificate, and gives tickets.
func certificateServer(t *testing.T, peers mayfly.Peers) *mayfly.Config {
	t.Helper()
	_, sc := mayflytest.Configs(t)
	cert, err := sc.Identity.SelfSigned("server.example")
	if err != nil {
		t.Fatal(err)
	}
	return &mayfly.Config{
		Certificates: []tls.Certificate{cert}, Peers: peers,
		TicketKeys: mayfly.NewTicketRing(mayfly.GenerateSealingKey()),
	}
}

// crypto/tls's client reads no tickets of its own accord. One with a cache takes them.
func stdlibConfig(cache bool) *tls.Config {
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "server.example", MinVersion: tls.VersionTLS13}
	if cache {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	}
	return config
}

// TestWriteAndCloseLosesNothing has clients write, close, and never read, before the server
// reads: all that they have written arrives, and a clean end.
func TestWriteAndCloseLosesNothing(t *testing.T) {
	t.Parallel()
	identity, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := identity.SelfSigned("client.example")
	if err != nil {
		t.Fatal(err)
	}
	authenticated := stdlibConfig(true)
	authenticated.Certificates = []tls.Certificate{cert}
	stdlib := func(config *tls.Config) func(net.Conn) net.Conn {
		return func(inner net.Conn) net.Conn { return tls.Client(inner, config) }
	}
	ours := func(config *mayfly.Config) func(net.Conn) net.Conn {
		config.Peers, config.ServerName = mayfly.InsecureAnyServer(), "server.example"
		return func(inner net.Conn) net.Conn { return mayfly.Client(inner, config) }
	}
	optional := mayfly.AnyOf(mayfly.AnyKey(), mayfly.NoClientAuth())
	data := make([]byte, 20_000)
	_, _ = rand.NewChaCha8([32]byte{9}).Read(data)
	for name, test := range map[string]struct {
		peers  mayfly.Peers
		client func(net.Conn) net.Conn
		early  int // MaxEarlyData
	}{
		"no client authentication, no tickets":     {mayfly.NoClientAuth(), stdlib(stdlibConfig(false)), 0},
		"no client authentication, tickets":        {mayfly.NoClientAuth(), stdlib(stdlibConfig(true)), 0},
		"no client authentication, mayfly":         {mayfly.NoClientAuth(), ours(&mayfly.Config{}), 0},
		"no client authentication, mayfly resumes": {mayfly.NoClientAuth(), ours(&mayfly.Config{Sessions: mayfly.NewSessionCache(0)}), 0},
		"tickets for early data":                   {mayfly.NoClientAuth(), stdlib(stdlibConfig(true)), 1000},
		"optional, no certificate":                 {optional, stdlib(stdlibConfig(true)), 0},
		"optional, a certificate":                  {optional, stdlib(authenticated), 0},
		"required":                                 {mayfly.AnyKey(), stdlib(authenticated), 0},
		"required, mayfly resumes":                 {mayfly.AnyKey(), ours(&mayfly.Config{Sessions: mayfly.NewSessionCache(0), Identity: identity}), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := certificateServer(t, test.peers)
			if test.early > 0 {
				sc.MaxEarlyData, sc.Replay = test.early, mayfly.NewReplayGuard(0)
			}
			for round := range 4 { // the later ones may resume
				synctest.Test(t, func(t *testing.T) {
					path := tcpLike
					if late := round%2 == 1; late { // the client has closed before its Finished arrives
						path.Delay = time.Second
					}
					a, b := testnet.Pipe(path, tcpLike)
					server := mayfly.Server(b, sc)
					defer server.Close()
					shaken := make(chan error, 1)
					go func() { shaken <- server.Handshake() }()
					client := test.client(a)
					if _, err := client.Write(data); err != nil {
						t.Fatal(err)
					}
					synctest.Wait() // the server does what it does before it reads
					if err := client.Close(); err != nil {
						t.Fatal(err)
					}
					if err := <-shaken; err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					got, err := io.ReadAll(server)
					if err != nil || !bytes.Equal(got, data) {
						t.Fatalf("round %d: %d of %d bytes, %v", round, len(got), len(data), err)
					}
				})
			}
		})
	}
}

// A writeCounter counts the calls of Write.
type writeCounter struct {
	net.Conn
	writes atomic.Int32
}

func (c *writeCounter) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// TestTicketsWaitForServer has a server's tickets go out with what it does next, in one write,
// and nothing before. A client that has asked how many it gets has them after the handshake.
func TestTicketsWaitForServer(t *testing.T) {
	t.Parallel()
	for peers, of := range map[string]mayfly.Peers{"no client authentication": mayfly.NoClientAuth(), "client authentication": mayfly.AnyKey()} {
		for name, next := range map[string]func(*mayfly.Conn) error{
			"Write":      func(c *mayfly.Conn) error { _, err := c.Write([]byte("x")); return err },
			"ReadFrom":   func(c *mayfly.Conn) error { _, err := c.ReadFrom(bytes.NewReader([]byte("x"))); return err },
			"Rekey":      func(c *mayfly.Conn) error { return c.Rekey(context.Background()) },
			"Flush":      (*mayfly.Conn).Flush,
			"CloseWrite": (*mayfly.Conn).CloseWrite,
			"Close":      (*mayfly.Conn).Close,
			"asked for":  nil,
		} {
			t.Run(peers+"/"+name, func(t *testing.T) {
				t.Parallel()
				identity, err := mayfly.GenerateIdentity()
				if err != nil {
					t.Fatal(err)
				}
				cache := mayfly.NewSessionCache(0)
				cc := &mayfly.Config{Identity: identity, Peers: mayfly.InsecureAnyServer(), Sessions: cache, ServerName: "server.example"}
				if next == nil {
					cc.Tickets.Count = 3
				}
				a, b := testnet.Pipe(testnet.Path{}, testnet.Path{})
				counter := &writeCounter{Conn: b}
				client, server := mayfly.Client(a, cc), mayfly.Server(counter, certificateServer(t, of))
				defer client.Close()
				defer server.Close()
				shaken := make(chan error, 1)
				go func() { shaken <- server.Handshake() }()
				if err := errors.Join(client.Handshake(), <-shaken); err != nil {
					t.Fatal(err)
				}
				flights := int32(1)
				if next == nil && peers == "client authentication" {
					flights = 2
				}
				if n := counter.writes.Load(); n != flights {
					t.Fatalf("the handshake takes %d writes, not %d", n, flights)
				}
				want := 3
				if next != nil {
					if want, flights = 2, flights+1; name == "Rekey" || name == "CloseWrite" {
						flights++ // the tickets go first
					}
					if err := next(server); err != nil {
						t.Fatal(err)
					}
				}
				if n := counter.writes.Load(); n != flights {
					t.Errorf("%d writes, not %d", n, flights)
				}
				if name != "Close" {
					_ = server.CloseWrite()
				}
				if _, err := io.ReadAll(client); err != nil {
					t.Fatal(err)
				}
				if n := cache.Len(); n != want {
					t.Errorf("%d tickets, not %d", n, want)
				}
			})
		}
	}
}

// TestFirstRecordIsNoKeyUpdate exchanges data with each kind of server: a client that
// implements no KeyUpdate, as Mbed TLS, must not be sent one as the first record.
func TestFirstRecordIsNoKeyUpdate(t *testing.T) {
	t.Parallel()
	for _, tickets := range []bool{false, true} {
		for _, confirms := range []bool{false, true} {
			for _, peers := range []mayfly.Peers{mayfly.NoClientAuth(), mayfly.AnyKey()} {
				identity, err := mayfly.GenerateIdentity()
				if err != nil {
					t.Fatal(err)
				}
				sc := certificateServer(t, peers)
				if !tickets {
					sc.TicketKeys = nil
				}
				a, b := testnet.Pipe(testnet.Path{}, testnet.Path{})
				client := mayfly.Client(a, &mayfly.Config{Identity: identity, Peers: mayfly.InsecureAnyServer(), ServerName: "server.example"})
				server := mayfly.Server(b, sc)
				defer client.Close()
				defer server.Close()
				shaken := make(chan error, 1)
				go func() { shaken <- server.Handshake() }()
				shake := client.Handshake
				if confirms {
					shake = func() error { return client.Confirm(t.Context()) }
				}
				if err := errors.Join(shake(), <-shaken); err != nil {
					t.Fatalf("tickets %t, Confirm %t: %v", tickets, confirms, err)
				}
				exchangeOnce(t, client, server)
				if n := client.Stats().KeysReceived; n != 0 {
					t.Errorf("tickets %t, Confirm %t: %d key updates", tickets, confirms, n)
				}
			}
		}
	}
}

// TestConfirmGetsRefusal has servers refuse a client that shows nothing: it learns that from
// Confirm, with and without tickets that could be taken for consent.
func TestConfirmGetsRefusal(t *testing.T) {
	t.Parallel()
	for _, tickets := range []bool{false, true} {
		for name, change := range map[string]func(*mayfly.Config){
			"VerifyConnection": func(c *mayfly.Config) {
				c.VerifyConnection = func(tls.ConnectionState) error { return errors.New("no") }
			},
			"GetConfig": func(c *mayfly.Config) {
				chosen := c.Clone()
				chosen.VerifyConnection = func(tls.ConnectionState) error { return errors.New("no") }
				c.GetConfig = func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) { return chosen, nil }
			},
			"AnyKey": func(c *mayfly.Config) { c.Peers = mayfly.AnyKey() },
		} {
			sc := certificateServer(t, mayfly.NoClientAuth())
			change(sc)
			if !tickets {
				sc.TicketKeys = nil
			}
			a, b := testnet.Pipe(testnet.Path{}, testnet.Path{})
			client := mayfly.Client(a, &mayfly.Config{Peers: mayfly.InsecureAnyServer(), ServerName: "server.example"})
			server := mayfly.Server(b, sc)
			go func() { _ = server.Handshake() }()
			err := client.Confirm(t.Context())
			if refused, ok := errors.AsType[*mayfly.AlertError](err); !ok || !refused.Remote {
				t.Errorf("%s, tickets %t: %v", name, tickets, err)
			}
			_, _ = client.Close(), server.Close()
		}
	}
}

// A watchedConn notes the calls that come while no method of the Conn above it runs.
type watchedConn struct {
	net.Conn
	running atomic.Int32
	mu      sync.Mutex
	outside []string
}

func (w *watchedConn) note(call string) {
	if w.running.Load() == 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.outside = append(w.outside, call)
	}
}

func (w *watchedConn) Read(p []byte) (int, error)  { w.note("Read"); return w.Conn.Read(p) }
func (w *watchedConn) Write(p []byte) (int, error) { w.note("Write"); return w.Conn.Write(p) }
func (w *watchedConn) Close() error                { w.note("Close"); return w.Conn.Close() }
func (w *watchedConn) SetDeadline(t time.Time) error {
	w.note("SetDeadline")
	return w.Conn.SetDeadline(t)
}

func (w *watchedConn) SetReadDeadline(t time.Time) error {
	w.note("SetReadDeadline")
	return w.Conn.SetReadDeadline(t)
}

func (w *watchedConn) SetWriteDeadline(t time.Time) error {
	w.note("SetWriteDeadline")
	return w.Conn.SetWriteDeadline(t)
}

// TestInnerConnRestsBetweenCalls does what a connection can do, one call after the other, on
// both sides: when the calls have returned, nothing reads, writes, closes or sets a deadline
// on the transport, however much time passes.
func TestInnerConnRestsBetweenCalls(t *testing.T) {
	t.Parallel()
	identity, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cache := mayfly.NewSessionCache(0)
	sessions := func(c *mayfly.Config) { c.Sessions = cache }
	for name, test := range map[string]struct {
		peers   mayfly.Peers
		client  func(*mayfly.Config)
		server  func(*mayfly.Config)
		confirm bool
	}{
		"no tickets":                      {peers: mayfly.NoClientAuth(), server: func(c *mayfly.Config) { c.TicketKeys = nil }},
		"tickets":                         {peers: mayfly.NoClientAuth(), client: sessions},
		"tickets that are asked for":      {peers: mayfly.NoClientAuth(), client: sessions, confirm: true},
		"a client's certificate":          {peers: mayfly.AnyKey(), client: sessions},
		"a client's certificate, Confirm": {peers: mayfly.AnyKey(), client: sessions, confirm: true},
		"no handshake timeout": {
			peers: mayfly.AnyKey(), client: func(c *mayfly.Config) { c.HandshakeTimeout = -1 }, server: func(c *mayfly.Config) { c.HandshakeTimeout = -1 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cc := &mayfly.Config{Identity: identity, Peers: mayfly.InsecureAnyServer(), ServerName: "server.example"}
				sc := certificateServer(t, test.peers)
				for config, change := range map[*mayfly.Config]func(*mayfly.Config){cc: test.client, sc: test.server} {
					if change != nil {
						change(config)
					}
				}
				a, b := net.Pipe()
				defer a.Close()
				defer b.Close()
				below := [2]*watchedConn{{Conn: a}, {Conn: b}}
				conns := [2]*mayfly.Conn{mayfly.Client(below[0], cc), mayfly.Server(below[1], sc)}
				// together calls a method on each side, and looks when both have returned.
				together := func(call string, calls ...func(*mayfly.Conn) error) {
					t.Helper()
					done := make(chan error, 2)
					for i, f := range calls {
						go func() {
							if f == nil {
								done <- nil
								return
							}
							below[i].running.Add(1)
							err := f(conns[i])
							below[i].running.Add(-1)
							done <- err
						}()
					}
					if err := errors.Join(<-done, <-done); err != nil {
						t.Fatalf("%s: %v", call, err)
					}
					time.Sleep(time.Minute) // on the bubble's clock
					for i, w := range below {
						if len(w.outside) > 0 {
							t.Fatalf("after %s, %s: %s", call, [2]string{"client", "server"}[i], strings.Join(w.outside, ", "))
						}
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				shake := func(c *mayfly.Conn) error { return c.HandshakeContext(ctx) }
				confirm := shake
				if test.confirm {
					confirm = func(c *mayfly.Conn) error { return c.Confirm(ctx) }
				}
				together("Handshake", confirm, shake)
				cancel() // of a call that has returned
				together("the end of its context", nil, nil)
				write := func(c *mayfly.Conn) error { _, err := c.Write([]byte("hello")); return err }
				read := func(c *mayfly.Conn) error { _, err := io.ReadFull(c, make([]byte, 5)); return err }
				together("Write", write, read)
				together("Write", read, write)
				rekey := func(c *mayfly.Conn) error {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					return errors.Join(c.Rekey(ctx), write(c))
				}
				together("Rekey", rekey, read)
				together("an answer to Rekey", read, write)
				late := func(c *mayfly.Conn) error {
					_ = c.SetReadDeadline(time.Now().Add(time.Second))
					if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
						return err
					}
					return c.SetReadDeadline(time.Time{})
				}
				together("a Read that runs into its deadline", late, late)
				flush := (*mayfly.Conn).Flush
				together("Flush", flush, flush)
				end := func(c *mayfly.Conn) error { _, err := io.ReadAll(c); return err }
				together("CloseWrite", (*mayfly.Conn).CloseWrite, end)
				together("Close", end, (*mayfly.Conn).Close)
				together("Close", (*mayfly.Conn).Close, nil)
			})
		})
	}
}

// A framedConn puts each write of the handshake into a packet of its own protocol, as TDS
// does, and passes on what comes after it as it is.
type framedConn struct {
	net.Conn
	open bool // after the handshake; not guarded, as no call may be under way when it changes
	left int  // of the packet that is being read
}

func (f *framedConn) Write(p []byte) (int, error) {
	if f.open {
		return f.Conn.Write(p)
	}
	packet := append([]byte{0x12, 0, byte(len(p) >> 8), byte(len(p))}, p...)
	n, err := f.Conn.Write(packet)
	return max(0, n-4), err
}

func (f *framedConn) Read(p []byte) (int, error) {
	if f.open {
		return f.Conn.Read(p)
	}
	for f.left == 0 {
		var head [4]byte
		if _, err := io.ReadFull(f.Conn, head[:]); err != nil {
			return 0, err
		}
		if head[0] != 0x12 {
			return 0, errors.New("a packet of the handshake is no packet")
		}
		f.left = int(head[2])<<8 | int(head[3])
	}
	n, err := f.Conn.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

// TestInnerConnIsExchanged speaks a protocol that wraps the handshake alone, as TDS does: both
// sides change what is below the connection as soon as Handshake has returned.
func TestInnerConnIsExchanged(t *testing.T) {
	t.Parallel()
	for _, tickets := range []bool{false, true} {
		for peers, of := range map[string]mayfly.Peers{"no client authentication": mayfly.NoClientAuth(), "client authentication": mayfly.AnyKey()} {
			for _, stdlib := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, tickets %t, crypto/tls client %t", peers, tickets, stdlib), func(t *testing.T) {
					t.Parallel()
					identity, err := mayfly.GenerateIdentity()
					if err != nil {
						t.Fatal(err)
					}
					cert, err := identity.SelfSigned("client.example")
					if err != nil {
						t.Fatal(err)
					}
					cache := mayfly.NewSessionCache(0)
					sc := certificateServer(t, of)
					if !tickets {
						sc.TicketKeys = nil
					}
					synctest.Test(t, func(t *testing.T) {
						a, b := testnet.Pipe(testnet.Path{}, testnet.Path{})
						below := [2]*framedConn{{Conn: a}, {Conn: b}}
						server := mayfly.Server(below[1], sc)
						var client interface {
							net.Conn
							Handshake() error
						}
						if stdlib {
							config := stdlibConfig(tickets)
							config.Certificates = []tls.Certificate{cert}
							client = tls.Client(below[0], config)
						} else {
							client = mayfly.Client(below[0], &mayfly.Config{Identity: identity, Peers: mayfly.InsecureAnyServer(), ServerName: "server.example", Sessions: cache})
						}
						defer client.Close()
						defer server.Close()
						shaken := make(chan error, 1)
						go func() {
							err := server.Handshake()
							time.Sleep(time.Millisecond) // as long as a program may take
							below[1].open = true
							shaken <- err
						}()
						err = client.Handshake()
						time.Sleep(time.Millisecond)
						below[0].open = true
						if err := errors.Join(err, <-shaken); err != nil {
							t.Fatal(err)
						}
						exchangeOnce(t, client, server)
						if want := map[bool]int{true: 2}[tickets && !stdlib]; cache.Len() != want {
							t.Errorf("%d tickets, not %d", cache.Len(), want)
						}
					})
				})
			}
		}
	}
}
