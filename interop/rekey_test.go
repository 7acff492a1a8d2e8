// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"crypto/tls"
	"io"
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

// TestRekeys changes keys every 100 records, for 10,000 records each way: ours by
// policy, the peer's because we ask for it.
func TestRekeys(t *testing.T) {
	t.Parallel()
	for _, peer := range []struct {
		name string
		lack func(t *testing.T)
		try  func(t *testing.T, c cell)
	}{
		{"crypto/tls", func(*testing.T) {}, tryRekeysCryptoTLS},
		{openssl, func(t *testing.T) { opensslProbe().require(t, openssl) }, tryRekeysOpenSSL},
		{gnutls, func(t *testing.T) { gnutlsProbe().require(t, gnutls) }, tryRekeysGnuTLS},
	} {
		t.Run(peer.name, func(t *testing.T) {
			t.Parallel()
			peer.lack(t)
			for _, r := range []role{asClient, asServer} {
				c := cell{peer: peer.name, role: r, group: tls.X25519, auth: x509Server, key: ecdsaP256, with: "rekeys every 100 records"}
				for _, c.suite = range suites {
					if c.suite == suites[0] || peer.name != gnutls { // which takes its time
						c.run(t, peer.try)
					}
				}
			}
		})
	}
}

func tryRekeysCryptoTLS(t *testing.T, c cell) {
	here, there := loopback(t)
	theirs := startCryptoTLS(t, c, there)
	ours, _ := openWith(t, c, c.rekeying(t), here)
	peer := theirs(t)
	c.exchangeRekeying(t, ours, pieces{peer})
}

func tryRekeysOpenSSL(t *testing.T, c cell) {
	p, conn := c.openssl(t, append(opensslQuiet[c.role], "-max_send_frag", "512")...)
	ours, _ := openWith(t, c, c.rekeying(t), conn)
	c.exchangeRekeying(t, ours, p)
}

// rekeying is our configuration: no time need pass between two changes.
func (c cell) rekeying(t *testing.T) *mayfly.Config {
	cfg := c.ours(t)
	cfg.Rekey = mayfly.RekeyPolicy{Records: rekeyEvery, MinInterval: -1}
	return cfg
}

// exchangeRekeying sends records both ways at the same time. For every 100 that
// have come we ask the peer for a change of its keys.
func (c cell) exchangeRekeying(t *testing.T, ours *mayfly.Conn, theirs stream) {
	t.Helper()
	sent, returned := text(5, rekeyRecords*rekeySize), text(6, rekeyRecords*rekeySize)
	ours.SetDeadline(time.Now().Add(patience))
	ask, asked := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		for range ask {
			if err := ours.Rekey(t.Context()); err != nil {
				asked <- err
				return
			}
		}
		asked <- nil
	}()
	all(t,
		func() error { return send("us", pieces{ours}, sent) },
		func() error { return send("the peer", theirs, returned) },
		func() error {
			defer close(ask)
			return receive("us", &asking{Reader: ours, ask: ask}, returned)
		},
		func() error { return receive("the peer", theirs, sent) },
	)
	if err := <-asked; err != nil {
		t.Fatalf("Rekey: %v", err)
	}
	s := ours.Stats()
	t.Logf("%+v", s)
	if s.RecordsSent != rekeyRecords || s.KeysSent < rekeyRecords/rekeyEvery-1 {
		t.Errorf("we sent %d records under %d keys", s.RecordsSent, s.KeysSent+1)
	}
	// It is asked once for 100 records, and again when it has answered.
	if s.RecordsReceived < rekeyRecords || s.KeysReceived < 10 {
		t.Errorf("the peer sent %d records under %d keys", s.RecordsReceived, s.KeysReceived+1)
	}
}

// pieces writes in pieces of one record each.
type pieces struct{ stream }

func (p pieces) Write(b []byte) (n int, err error) {
	for n < len(b) {
		k, err := p.stream.Write(b[n:min(n+rekeySize, len(b))])
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// asking asks for a change of keys after each 100 records' worth of bytes.
type asking struct {
	io.Reader
	ask  chan<- struct{}
	read int
}

func (a *asking) Read(b []byte) (int, error) {
	n, err := a.Reader.Read(b)
	if a.read += n; a.read >= rekeyEvery*rekeySize {
		a.read = 0
		select {
		case a.ask <- struct{}{}:
		default: // the last one is still on its way
		}
	}
	return n, err
}

// GnuTLS takes no more than 8 changes of keys within a second, which begins with
// the first of them: it ends the connection at the ninth.
const (
	gnutlsWindow  = 1050 * time.Millisecond
	gnutlsUpdates = 8
	gnutlsBatch   = gnutlsUpdates * rekeyEvery * 61 // bytes: it is slow with long ones
)

// tryRekeysGnuTLS sends as many records in batches, each with as many changes of
// keys as GnuTLS takes: the first of them asks it for its own.
func tryRekeysGnuTLS(t *testing.T, c cell) {
	p, conn := c.gnutls(t)
	ours, _ := openWith(t, c, c.rekeying(t), conn)
	ours.SetDeadline(time.Now().Add(patience))
	if c.role == asServer { // which is an echo
		go io.Copy(io.Discard, p)
	}
	for left := rekeyRecords * 61; left > 0; left -= gnutlsBatch {
		batch := text(uint64(left), min(left, gnutlsBatch))
		if left < rekeyRecords*61 { // our greeting, where we are the server, is one too
			if err := ours.Rekey(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		parts := []func() error{
			func() error { return sendLines(ours, batch) },
			func() error { return receive("us", ours, batch) },
		}
		if c.role == asClient {
			parts = append(parts,
				func() error { return receive("the peer", p, batch) },
				func() error { return send("the peer", p, batch) },
			)
		}
		all(t, parts...)
		<-time.After(gnutlsWindow)
	}
	s := ours.Stats()
	t.Logf("%+v", s)
	if s.RecordsSent != rekeyRecords || s.KeysSent < rekeyRecords/rekeyEvery-1 || s.KeysReceived < 10 {
		t.Errorf("%d records under %d keys; the peer had %d", s.RecordsSent, s.KeysSent+1, s.KeysReceived+1)
	}
}

// sendLines sends one line in each record.
func sendLines(c *mayfly.Conn, data []byte) error {
	for len(data) > 0 {
		if err := send("us", c, data[:61]); err != nil {
			return err
		}
		data = data[61:]
	}
	return nil
}
