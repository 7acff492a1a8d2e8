// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// handOn moves a connection to a Conn of its own, as another process would have it.
func handOn(t *testing.T, c *mayfly.Conn, config *mayfly.Config) *mayfly.Conn {
	t.Helper()
	r, err := mayfly.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	blob, raw, err := c.Detach(t.Context(), r.Offer())
	if err != nil {
		t.Fatal(err)
	}
	next, err := r.Attach(raw, blob, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Close() })
	if r.Offer() != nil {
		t.Error("the Receiver has a key left")
	}
	if again, err := r.Attach(raw, blob, config); err == nil || again != nil {
		t.Error("a blob was opened twice")
	}
	return next
}

// TestHandoffOfFullBuffer hands off a connection that has read ahead as much as it ever
// does, which the destination has to accept.
func TestHandoffOfFullBuffer(t *testing.T) {
	t.Parallel()
	data := noise(2 << 20)
	var config *mayfly.Config
	server, play, records := taped(t, func(_, sc *mayfly.Config) { config = sc }, func(c *mayfly.Conn) {
		mustWrite(t, c, data)
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
	})
	stream := bytes.NewReader(bytes.Join(records, nil))
	play.read = stream
	var got []byte
	for p, most := make([]byte, 10_000), 0; most < 512<<10 && len(got) < 1<<20; {
		before := stream.Len()
		n, err := server.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
		most = max(most, before-stream.Len())
	}
	rest, err := io.ReadAll(handOn(t, server, config))
	if got = append(got, rest...); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v, want all %d", len(got), err, len(data))
	}
}

// TestHandOn hands both ends on again and again while data flow both ways.
func TestHandOn(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	cc.Rekey = mayfly.RekeyPolicy{Bytes: 100_000, MinInterval: -1}
	client, server := mayflytest.PairConfig(t, cc, sc)
	data := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(data)
	const moves = 20
	var sums [2][32]byte
	errs := make(chan error, 2)
	for n, end := range []struct {
		c      *mayfly.Conn
		config *mayfly.Config
	}{{client, cc}, {server, sc}} {
		go func() {
			c, h := end.c, sha256.New()
			rest, p := data, make([]byte, 30_000)
			read := 0
			for move := 0; read < len(data) || len(rest) > 0; {
				if len(rest) > 0 {
					k, err := c.Write(rest[:min(len(rest), 40_000)])
					if err != nil {
						errs <- err
						return
					}
					rest = rest[k:]
				}
				k, err := c.Read(p)
				if err != nil {
					errs <- err
					return
				}
				h.Write(p[:k])
				if read += k; move < moves && read > (move+1)*len(data)/(moves+1) {
					move++
					c = handOn(t, c, end.config)
				}
			}
			h.Sum(sums[n][:0])
			errs <- c.CloseWrite()
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if want := sha256.Sum256(data); sums != [2][32]byte{want, want} {
		t.Error("what arrived is not what was sent")
	}
}

// TestHandOnState looks at what is the same afterwards, and what is not.
func TestHandOnState(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	client, server := r.connect(t)
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatal(n, err)
	}
	before, peer, stats := server.ConnectionState(), server.Peer(), server.Stats()
	exported, err := server.ExportKeyingMaterial("x", nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	next := handOn(t, server, r.server)
	after := next.ConnectionState()
	if after.CipherSuite != before.CipherSuite || after.CurveID != before.CurveID || after.ServerName != before.ServerName || !after.HandshakeComplete {
		t.Errorf("%+v became %+v", before, after)
	}
	if got := next.Peer(); got.Pin != peer.Pin || got.Kind != peer.Kind || got.Resumed {
		t.Errorf("%+v became %+v", peer, got)
	}
	if got := next.EarlyDataReason(); got != mayfly.EarlyDataUnknown {
		t.Errorf("early data that was another process's concern: %v", got)
	}
	if next.Stats() != stats {
		t.Errorf("%+v became %+v", stats, next.Stats())
	}
	if again, err := next.ExportKeyingMaterial("x", nil, 32); err != nil || !bytes.Equal(again, exported) {
		t.Errorf("exported %x, then %x, %v", exported, again, err)
	}
	if n, err := next.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read after the peer's close_notify: %d, %v", n, err)
	}
	if _, err := next.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if next.Stats().KeysSent != stats.KeysSent+1 {
		t.Error("the keys were not changed before the first data")
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "answer" {
		t.Errorf("read %q, %v", got, err)
	}

	// The donor has nothing any more.
	if _, err := server.Read(make([]byte, 1)); err != mayfly.ErrDetached {
		t.Errorf("Read: %v", err)
	}
	if _, err := server.Write([]byte("x")); err != mayfly.ErrDetached {
		t.Errorf("Write: %v", err)
	}
	if err := errors.Join(server.Flush(), server.CloseWrite(), server.Rekey(t.Context()), server.SetDeadline(time.Now())); !errors.Is(err, mayfly.ErrDetached) {
		t.Errorf("the others: %v", err)
	}
	if _, err := server.ExportKeyingMaterial("x", nil, 32); err == nil {
		t.Error("the donor exports")
	}
	if _, _, err := server.Detach(t.Context(), newOffer(t)); err == nil {
		t.Error("a connection was given away twice")
	}
	if err := server.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func newOffer(t *testing.T) []byte {
	t.Helper()
	r, err := mayfly.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	return r.Offer()
}

// TestHandOnUnread hands on what was received and not read, opened and not, and a
// record that has half arrived.
func TestHandOnUnread(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	a, b := net.Pipe()
	client, server := mayfly.Client(a, cc), mayfly.Server(b, sc)
	t.Cleanup(func() { _ = a.Close(); _ = b.Close(); _ = client.Close(); _ = server.Close() })
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := client.Write(bytes.Repeat([]byte("0123456789"), 3000)) // two records
		wrote <- err
	}()
	first := make([]byte, 10)
	if _, err := io.ReadFull(server, first); err != nil {
		t.Fatal(err)
	}
	next := handOn(t, server, sc)
	rest := make([]byte, 29_990)
	if _, err := io.ReadFull(next, rest); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil || string(first)+string(rest) != strings.Repeat("0123456789", 3000) {
		t.Errorf("what arrived is not what was sent: %v", err)
	}
}

// TestHandOnBlocked wakes a Read and a Write: what the Write has sealed is not lost.
func TestHandOnBlocked(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	client, server := mayflytest.PairConfig(t, cc, sc)
	read, wrote := make(chan error, 1), make(chan int, 1)
	go func() {
		_, err := client.Read(make([]byte, 1))
		for err == nil {
			_, err = client.Read(make([]byte, 1))
		}
		read <- err
	}()
	data := make([]byte, 64<<20) // more than any socket's buffers
	_, _ = rand.NewChaCha8([32]byte{8}).Read(data)
	go func() {
		n, err := client.Write(data)
		if err != mayfly.ErrDetached {
			t.Errorf("Write: %v", err)
		}
		wrote <- n
	}()
	// The server reads some, so that the Write is under way.
	h := sha256.New()
	if _, err := io.CopyN(h, server, 1<<20); err != nil {
		t.Fatal(err)
	}
	next := handOn(t, client, cc)
	if err := <-read; err != mayfly.ErrDetached {
		t.Errorf("Read: %v", err)
	}
	n := <-wrote
	if n < 1<<20 || n >= len(data) {
		t.Fatalf("Write sealed %d bytes", n)
	}
	go func() {
		if _, err := next.Write(data[n:]); err != nil {
			t.Error(err)
		}
		if err := next.CloseWrite(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := io.Copy(h, server); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(data); !bytes.Equal(h.Sum(nil), want[:]) {
		t.Error("what arrived is not what was sent")
	}
}

// TestHandOnRefused: who may not have the connection, and what is none.
func TestHandOnRefused(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	client, server := mayflytest.PairConfig(t, cc, sc)
	for _, offer := range [][]byte{nil, {1}, make([]byte, 1217), newOffer(t)[1:]} {
		if _, _, err := server.Detach(t.Context(), offer); err == nil {
			t.Errorf("an offer of %d bytes was taken", len(offer))
		}
	}
	zero := new(mayfly.Receiver)
	zero.Wipe()
	if c, err := zero.Attach(server.NetConn(), nil, sc); err == nil || c != nil || zero.Offer() != nil {
		t.Errorf("a zero Receiver: %v, %v", c, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := server.Detach(ended, newOffer(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("Detach with a context that has ended: %v", err)
	}
	a, b := tcpPair(t)
	_ = a
	if _, _, err := mayfly.Server(b, sc).Detach(t.Context(), newOffer(t)); err == nil || !strings.Contains(err.Error(), "handshake is done") {
		t.Errorf("Detach before the handshake: %v", err)
	}
	exchangeOnce(t, client, server) // all of that has harmed nothing

	r, err := mayfly.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	blob, raw, err := server.Detach(t.Context(), r.Offer())
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(blob); i += 1 + i/100 {
		bad := bytes.Clone(blob)
		bad[i] ^= 0x10
		if _, err := r.Attach(raw, bad, sc); err == nil {
			t.Fatalf("a blob was opened with a bit flipped at %d", i)
		}
	}
	for _, bad := range [][]byte{nil, blob[:1], blob[:len(blob)-1], append(bytes.Clone(blob), 0)} {
		if _, err := r.Attach(raw, bad, sc); err == nil {
			t.Errorf("a blob of %d bytes was opened", len(bad))
		}
	}
	other, err := mayfly.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Attach(raw, blob, sc); err == nil {
		t.Error("another's blob was opened")
	}
	stranger, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	config := sc.Clone()
	config.Peers = mayfly.Pins(stranger.Pin())
	if _, err := r.Attach(raw, blob, config); !errors.Is(err, mayfly.ErrPeerRefused) {
		t.Errorf("a connection whose peer is not welcome any more: %v", err)
	}
	if _, err := r.Attach(raw, blob, sc); err == nil {
		t.Error("a blob was opened twice")
	}
}

// TestHandOnResumes hands a client on that is still to get its tickets.
func TestHandOnSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	client, server, clientErr, serverErr := r.try(t)
	if err := errors.Join(clientErr, serverErr); err != nil {
		t.Fatal(err)
	}
	next := handOn(t, client, r.client)
	exchangeOnce(t, next, server)
	if r.cache.Len() != 2 {
		t.Fatalf("%d sessions, want 2", r.cache.Len())
	}
	client, server = r.connect(t)
	mustBe(t, true, client, server)
	next = handOn(t, server, r.server)
	mustBe(t, true, next)
	exchangeOnce(t, client, next)
}

// TestHandOnBesideClose closes a connection while it is being handed on: both return, and
// one of them has it.
func TestHandOnBesideClose(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	for range 200 {
		client, server := mayflytest.PairConfig(t, cc, sc)
		offer, returned := newOffer(t), make(chan error, 1)
		ready := make(chan struct{})
		go func() {
			close(ready)
			_, raw, err := client.Detach(t.Context(), offer)
			if err == nil {
				_ = raw.Close()
			}
			returned <- err
		}()
		<-ready
		_ = client.Close()
		select {
		case <-returned:
		case <-time.After(20 * time.Second):
			t.Fatal("Detach does not return")
		}
		_ = server.Close()
	}
}
