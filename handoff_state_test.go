// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// A throttle is a connection whose deadline passes after so many bytes.
type throttle struct {
	net.Conn
	in, out atomic.Int64 // what it carries yet
}

func throttled(inner net.Conn) *throttle {
	c := &throttle{Conn: inner}
	c.open()
	return c
}

func (c *throttle) open() {
	c.in.Store(1 << 40)
	c.out.Store(1 << 40)
}

func (c *throttle) Read(p []byte) (int, error) {
	left := c.in.Load()
	if left == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.in.Add(-int64(n))
	return n, err
}

func (c *throttle) Write(p []byte) (int, error) {
	left := c.out.Load()
	n, err := c.Conn.Write(p[:min(int64(len(p)), left)])
	c.out.Add(-int64(n))
	if err == nil && n < len(p) {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// overThrottle connects the two by a throttle on the client's side.
func (r *rig) overThrottle(t *testing.T) (client, server *mayfly.Conn, inner *throttle) {
	t.Helper()
	a, b := tcpPair(t)
	inner = throttled(a)
	client, server = mayfly.Client(inner, r.client), mayfly.Server(b, r.server)
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return client, server, inner
}

// TestHandOnPartial hands a client on after each of the bytes in which its tickets
// come, a few at a time: within a record, and within a message of several.
func TestHandOnPartial(t *testing.T) {
	t.Parallel()
	for n := int64(1); n < 400; n += 29 {
		r := newRig(t)
		r.server.MaxFragment = 64
		client, server, inner := r.overThrottle(t)
		inner.in.Store(n)
		if err := server.Flush(); err != nil {
			t.Fatal(err)
		}
		if got, err := client.Read(make([]byte, 1)); got != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(got, err)
		}
		next := handOn(t, client, r.client)
		inner.open()
		exchangeOnce(t, next, server)
		if r.cache.Len() != 2 {
			t.Fatalf("after %d bytes: %d tickets, want 2", n, r.cache.Len())
		}
		client, server = r.connect(t)
		mustBe(t, true, client, server)
	}
}

// TestHandOnWaitingTickets hands a server on before it has sent its tickets: the next process
// sends them with what it does first.
func TestHandOnWaitingTickets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	client, server, _ := r.overThrottle(t)
	server = handOn(t, server, r.server)
	exchangeOnce(t, client, server)
	if n := r.cache.Len(); n != 2 {
		t.Fatalf("%d tickets, want 2", n)
	}
	client, server = r.connect(t)
	mustBe(t, true, client, server)
}

// TestHandOnPending hands on what was sealed and sent in part: data, a KeyUpdate, and a
// close_notify.
func TestHandOnPending(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	client, server, inner := r.overThrottle(t)
	inner.out.Store(7)
	if n, err := client.Write([]byte("hello")); n != 5 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(n, err)
	}
	client = handOn(t, client, r.client)
	inner.out.Store(3)
	if err := client.CloseWrite(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	client = handOn(t, client, r.client)
	inner.open()
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	client = handOn(t, client, r.client)
	if got, err := io.ReadAll(server); err != nil || string(got) != "hello" {
		t.Fatalf("read %q, %v", got, err)
	}
	if _, err := client.Write([]byte("x")); err != mayfly.ErrWriteClosed {
		t.Errorf("Write after CloseWrite: %v", err)
	}
	server = handOn(t, server, r.server)
	if _, err := server.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "answer" {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestHandOnRekey hands both sides on while a change of keys is asked for and owed.
func TestHandOnRekey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	client, server, inner := r.overThrottle(t)
	exchangeOnce(t, client, server)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	inner.out.Store(4)
	if err := client.Rekey(t.Context()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	client = handOn(t, client, r.client)
	inner.open()
	if err := client.WaitPeer(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a request was forgotten: %v", err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	before := server.Stats()
	if before.KeysReceived != 2 { // the one asked for, and that of the hand-over
		t.Errorf("the keys were changed %d times", before.KeysReceived)
	}
	server = handOn(t, server, r.server)
	if _, err := server.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if after := server.Stats(); after.KeysSent != before.KeysSent+1 {
		t.Errorf("%+v became %+v", before, after)
	}
	if err := client.WaitPeer(ended); err != nil {
		t.Errorf("the request was answered: %v", err)
	}
}

// TestHandOnSame compares all that can be asked of a connection, on both sides, for
// each kind of peer.
func TestHandOnSame(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*testing.T, *rig){
		"raw keys": func(*testing.T, *rig) {},
		"certificates": func(t *testing.T, r *rig) {
			pool := x509.NewCertPool()
			r.client.Identity, r.server.Identity = nil, nil
			for _, c := range []*mayfly.Config{r.client, r.server} {
				cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
				cert.OCSPStaple = []byte("staple")
				for n := range 300 { // more than anybody has
					cert.SignedCertificateTimestamps = append(cert.SignedCertificateTimestamps, []byte{byte(n)})
				}
				pool.AddCert(cert.Leaf)
				c.Certificates = []tls.Certificate{cert}
			}
			r.client.Peers, r.server.Peers = mayfly.Roots(pool), mayfly.Roots(pool)
		},
		"a pre-shared key": func(t *testing.T, r *rig) {
			r.client.Identity, r.server.Identity = nil, nil
			key := bytes.Repeat([]byte{1, 2}, 16)
			for c, names := range map[*mayfly.Config][2]string{r.client: {"a", "b"}, r.server: {"b", "a"}} {
				psk, err := mayfly.NewPresharedKey("shared", key, names[0], names[1])
				if err != nil {
					t.Fatal(err)
				}
				c.Peers = mayfly.PSKs(psk)
			}
		},
		"nobody, retried": func(_ *testing.T, r *rig) {
			r.client.Identity = nil
			r.server.Peers = mayfly.NoClientAuth()
			r.server.CurvePreferences = []tls.CurveID{tls.CurveP256}
		},
		"small records": func(_ *testing.T, r *rig) { r.client.RecordSizeLimit, r.server.RecordSizeLimit = 100, 200 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newEarlyRig(t)
			r.client.NextProtos, r.server.NextProtos = []string{"x", "y"}, []string{"y"}
			prepare(t, r)
			r.connect(t)
			for _, early := range []string{"", "early"} {
				res := r.sendEarly(t, early)
				res.must(t, early != "" && !strings.Contains(name, "retried"), early)
				client, server := sameAfter(t, res.client, r.client), sameAfter(t, res.server, r.server)
				exchangeOnce(t, client, server)
			}
		})
	}
}

// TestHandOnAddress hands on a client that has dialled an address, by which its server's
// certificate is judged, twice: the name is no part of the Config, and is not sent.
func TestHandOnAddress(t *testing.T) {
	t.Parallel()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	r.server.Identity, r.server.Certificates, r.server.Peers = nil, []tls.Certificate{cert}, mayfly.NoClientAuth()
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	r.client = &mayfly.Config{RootCAs: pool, Sessions: r.cache, Time: r.client.Time}
	_, dial := r.listen(t)
	client, server, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	client = sameAfter(t, sameAfter(t, client, r.client), r.client)
	if name := client.Peer().Name; name != "127.0.0.1" {
		t.Errorf("the server is called %q", name)
	}
	exchangeOnce(t, client, server)
}

// sameAfter hands c on, and compares.
func sameAfter(t *testing.T, c *mayfly.Conn, config *mayfly.Config) *mayfly.Conn {
	t.Helper()
	type facts struct {
		state           tls.ConnectionState
		peer            mayfly.Peer
		stats           mayfly.Stats
		exported, early []byte
		earlyErr        bool
		accepted        bool
		local, remote   net.Addr
	}
	ask := func(c *mayfly.Conn) facts {
		exported, err := c.ExportKeyingMaterial("label", []byte("context"), 40)
		if err != nil {
			t.Fatal(err)
		}
		early, earlyErr := c.ExportEarlyKeyingMaterial("label", []byte("context"), 40)
		return facts{c.ConnectionState(), c.Peer(), c.Stats(), exported, early, earlyErr != nil, c.EarlyDataAccepted(), c.LocalAddr(), c.RemoteAddr()}
	}
	before := ask(c)
	next := handOn(t, c, config)
	if after := ask(next); !reflect.DeepEqual(before, after) {
		t.Errorf("%+v\nbecame\n%+v", before, after)
	}
	return next
}

// TestHandOnReleases has the donor's calls that come too late, or were under way, leave
// the receiver's socket alone.
func TestHandOnReleases(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	client, server := mayflytest.PairConfig(t, cc, sc)
	next := handOn(t, client, cc)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"Rekey": client.Rekey(ended), "Confirm": client.Confirm(ended), "CloseWrite": client.CloseWrite(), "Flush": client.Flush(),
		"SetDeadline": client.SetDeadline(time.Unix(1, 0)), "Abort": client.Abort(49),
	} {
		if !errors.Is(err, mayfly.ErrDetached) {
			t.Errorf("%s on what was handed on: %v", name, err)
		}
	}
	if err := client.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	exchangeOnce(t, next, server)
}

// TestHandOnBeside calls all that a connection has while it is being handed on. Whoever
// has it then, has all of it.
func TestHandOnBeside(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	for name, call := range map[string]func(*mayfly.Conn){
		"Close":       func(c *mayfly.Conn) { _ = c.Close() },
		"Rekey":       func(c *mayfly.Conn) { _ = c.Rekey(context.Background()) },
		"SetDeadline": func(c *mayfly.Conn) { _ = c.SetDeadline(time.Unix(1, 0)) },
		"Flush":       func(c *mayfly.Conn) { _ = c.Flush() },
		"Stats":       func(c *mayfly.Conn) { _, _, _ = c.Stats(), c.ConnectionState(), c.Peer() },
		"Detach":      func(c *mayfly.Conn) { _, _, _ = c.Detach(context.Background(), nil) },
		"Export":      func(c *mayfly.Conn) { _, _ = c.ExportKeyingMaterial("x", nil, 32) },
		"Abort":       func(c *mayfly.Conn) { _ = c.Abort(49) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 30 {
				client, server := mayflytest.PairConfig(t, cc, sc)
				r, err := mayfly.NewReceiver()
				if err != nil {
					t.Fatal(err)
				}
				begun, ended := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(ended)
					close(begun)
					call(client)
				}()
				<-begun
				blob, raw, err := client.Detach(t.Context(), r.Offer())
				<-ended
				if err != nil {
					if strings.Contains("Rekey SetDeadline Flush Stats Detach Export", name) {
						t.Fatal(err)
					}
					continue
				}
				next, err := r.Attach(raw, blob, cc)
				if err != nil {
					t.Fatalf("what was handed on cannot be taken: %v", err)
				}
				exchangeOnce(t, next, server)
				_ = next.Close()
				_ = server.Close()
			}
		})
	}
}
