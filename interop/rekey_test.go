// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"crypto/tls"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// The shape of the data while keys change.
const (
	rekeyEvery   = 100    // records under one key
	rekeyRecords = 10_000 // each way
	rekeySize    = 512    // bytes in a record
)

// rekeyText is what goes each way.
var rekeyText = sync.OnceValues(func() (fromUs, fromThem []byte) {
	return text(5, rekeyRecords*rekeySize), text(6, rekeyRecords*rekeySize)
})

// TestRekeys changes keys every 100 records, for 10,000 records each way: ours by
// policy, the peer's because we ask for it.
func TestRekeys(t *testing.T) {
	t.Parallel()
	t.Run(gnutls, func(t *testing.T) {
		t.Parallel() // it waits most of its time
		gnutlsProbe().require(t, gnutls)
		tryRekeysGnuTLS(t)
	})
	t.Run("crypto/tls", func(t *testing.T) {
		t.Parallel()
		rekeysEveryCell(t, "crypto/tls", tryRekeysCryptoTLS)
	})
	t.Run(openssl, func(t *testing.T) {
		t.Parallel()
		opensslProbe().require(t, openssl)
		rekeysEveryCell(t, openssl, tryRekeysOpenSSL)
	})
}

func rekeysEveryCell(t *testing.T, peer string, try func(*testing.T, cell)) {
	for _, r := range []role{asClient, asServer} {
		c := rekeyCell(peer, r)
		for _, c.suite = range suites {
			c.run(t, try)
		}
	}
}

func rekeyCell(peer string, r role) cell {
	return cell{peer: peer, role: r, suite: suites[0], group: tls.X25519, auth: x509Server, key: ecdsaP256, with: "rekeys every 100 records"}
}

func tryRekeysCryptoTLS(t *testing.T, c cell) {
	here, there := loopback(t)
	theirs := startCryptoTLS(t, c, there)
	ours, _ := openWith(t, c, c.rekeying(t), here)
	peer := theirs(t)
	streamRekeying(t, ours, pieces{peer, rekeySize})
	roundsRekeying(t, ours, pieces{peer, rekeySize})
}

func tryRekeysOpenSSL(t *testing.T, c cell) {
	p, conn := c.openssl(t, append(opensslQuiet[c.role], "-max_send_frag", fmt.Sprint(rekeySize))...)
	ours, _ := openWith(t, c, c.rekeying(t), conn)
	streamRekeying(t, ours, p)
	roundsRekeying(t, ours, p)
}

// rekeying is our configuration: no time need pass between two changes.
func (c cell) rekeying(t *testing.T) *mayfly.Config {
	cfg := c.ours(t)
	cfg.Rekey = mayfly.RekeyPolicy{Records: rekeyEvery, MinInterval: -1}
	return cfg
}

// streamRekeying sends records both ways at the same time, and we change our keys
// by our policy.
func streamRekeying(t *testing.T, ours *mayfly.Conn, theirs stream) {
	t.Helper()
	sent, returned := rekeyText()
	ours.SetDeadline(time.Now().Add(patience))
	before := ours.Stats()
	all(t,
		func() error { return send("us", pieces{ours, rekeySize}, sent) },
		func() error { return send("the peer", theirs, returned) },
		func() error { return receive("us", ours, returned) },
		func() error { return receive("the peer", theirs, sent) },
	)
	s := ours.Stats()
	if s.RecordsSent-before.RecordsSent != rekeyRecords || s.KeysSent-before.KeysSent != rekeyRecords/rekeyEvery-1 {
		t.Errorf("we sent %d records under %d keys", s.RecordsSent, s.KeysSent+1)
	}
	if s.RecordsReceived-before.RecordsReceived < rekeyRecords {
		t.Errorf("the peer sent %d records", s.RecordsReceived)
	}
}

// roundsRekeying sends 100 records each way again and again. Before each round we
// change our keys and ask the peer to do the same.
func roundsRekeying(t *testing.T, ours *mayfly.Conn, theirs stream) {
	t.Helper()
	ours.SetDeadline(time.Now().Add(patience))
	sent, returned := rekeyText()
	before := ours.Stats()
	for round := range slices.Chunk(sent, rekeyEvery*rekeySize) {
		answer := returned[:len(round)]
		returned = returned[len(round):]
		if err := ours.Rekey(t.Context()); err != nil {
			t.Fatalf("Rekey: %v", err)
		}
		all(t,
			func() error { return send("us", pieces{ours, rekeySize}, round) },
			func() error { return receive("the peer", theirs, round) },
		)
		all(t,
			func() error { return send("the peer", theirs, answer) },
			func() error { return receive("us", ours, answer) },
		)
		if err := ours.WaitPeer(t.Context()); err != nil {
			t.Fatalf("WaitPeer: %v", err)
		}
	}
	s := ours.Stats()
	const rounds = rekeyRecords / rekeyEvery
	if s.RecordsSent-before.RecordsSent != rekeyRecords || s.KeysSent-before.KeysSent != rounds {
		t.Errorf("we sent %d records under %d keys", s.RecordsSent, s.KeysSent+1)
	}
	if s.RecordsReceived-before.RecordsReceived < rekeyRecords || s.KeysReceived-before.KeysReceived < rounds-1 {
		t.Errorf("the peer sent %d records under %d keys", s.RecordsReceived, s.KeysReceived+1)
	}
}

// pieces writes in pieces, of one record each.
type pieces struct {
	stream
	size int
}

func (p pieces) Write(b []byte) (n int, err error) {
	for n < len(b) {
		k, err := p.stream.Write(b[n:min(n+p.size, len(b))])
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// GnuTLS takes no more than 8 changes of keys within a second, which begins with
// the first of them: it ends the connection at the ninth. It is slow with records
// that are not short.
const (
	gnutlsWindow = 1050 * time.Millisecond
	gnutlsRound  = 8 * rekeyEvery // records
	gnutlsSize   = 61
)

// tryRekeysGnuTLS sends as many records in rounds, each with as many changes of
// keys as GnuTLS takes. It is the client of one connection and the server of
// another: they wait for its clock together.
func tryRekeysGnuTLS(t *testing.T) {
	conns := []*gnutlsConn{openGnuTLS(t, rekeyCell(gnutls, asClient)), openGnuTLS(t, rekeyCell(gnutls, asServer))}
	sent, _ := rekeyText()
	sent = sent[:rekeyRecords*gnutlsSize]
	for round := range slices.Chunk(sent, gnutlsRound*gnutlsSize) {
		for _, c := range conns {
			c.round(t, round)
		}
		if len(round) == gnutlsRound*gnutlsSize { // another one follows
			<-time.After(gnutlsWindow)
		}
	}
	for _, c := range conns {
		s := c.ours.Stats()
		if s.RecordsSent != rekeyRecords || s.KeysSent < rekeyRecords/rekeyEvery-1 {
			t.Errorf("we sent %d records under %d keys", s.RecordsSent, s.KeysSent+1)
		}
		if s.BytesReceived != rekeyRecords*gnutlsSize || s.KeysReceived < rekeyRecords/gnutlsRound-1 {
			t.Errorf("the peer sent %d bytes under %d keys", s.BytesReceived, s.KeysReceived+1)
		}
	}
}

type gnutlsConn struct {
	cell
	ours   *mayfly.Conn
	theirs *program
}

func openGnuTLS(t *testing.T, c cell) *gnutlsConn {
	t.Helper()
	matrix.record(t, c)
	var more []string
	if c.role == asClient {
		more = []string{"--logfile", filepath.Join(t.TempDir(), "log")} // not mixed with the data
	}
	p, conn := c.gnutls(t, more...)
	ours, _ := openWith(t, c, c.rekeying(t), conn)
	ours.SetDeadline(time.Now().Add(patience))
	if c.role == asServer { // which is an echo
		go io.Copy(io.Discard, p)
	}
	return &gnutlsConn{c, ours, p}
}

// round sends data both ways, with a change of our keys before each 100 records. The
// first of them asks for the peer's. In the first round they do not change.
func (c *gnutlsConn) round(t *testing.T, data []byte) {
	t.Helper()
	if c.ours.Stats().RecordsSent > 0 {
		if err := c.ours.Rekey(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	write := func() error { return send("us", pieces{c.ours, gnutlsSize}, data) }
	read := func() error { return receive("us", c.ours, data) }
	if c.role == asServer {
		all(t, write, read)
		return
	}
	all(t, write, func() error { return receive("the peer", c.theirs, data) })
	all(t, read, func() error { return send("the peer", c.theirs, data) })
}
