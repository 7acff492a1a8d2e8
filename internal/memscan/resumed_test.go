// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/memscan"
	"github.com/mayfly-tls/mayfly/internal/resumption"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// ticketSecret is what the servers of both processes seal tickets under, so that the
// parent can read those of the child. It is no needle: it lives as long as they do.
var ticketSecret = []byte("the key of memscan's tickets, 32")

func ticketKeys() mayfly.TicketKeys {
	key, err := mayfly.NewSealingKey(ticketSecret)
	if err != nil {
		panic(err)
	}
	return mayfly.NewTicketRing(key)
}

// resumable has a side keep or give a session. The stores live on, and the secrets in
// them: but each session is taken out for one connection, and must end with it.
func resumable(config *mayfly.Config, k kind, client bool, cache *mayfly.SessionCache, replay mayfly.ReplayGuard) {
	if client {
		config.Sessions, config.ServerName = cache, "memscan.test"
		return
	}
	config.TicketKeys, config.Tickets.Count = ticketKeys(), 1
	if k.early {
		config.MaxEarlyData, config.Replay = earlyLen, replay
	}
}

// earlyLen is how much early data there is.
const earlyLen = 256

var errNoEarlyData = errors.New("early data was not accepted")

// readEarly fills b with early data.
func readEarly(conn *mayfly.Conn, b []byte) error {
	for len(b) > 0 {
		n, err := conn.ReadEarly(b)
		if err == io.EOF {
			return errNoEarlyData
		} else if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// prime makes the connection whose session the next one resumes: the server says a
// byte, behind the ticket, and the client ends.
func prime(raw net.Conn, config *mayfly.Config, client bool) error {
	b := make([]byte, 1)
	if client {
		conn := mayfly.Client(raw, config)
		_, err := io.ReadFull(conn, b)
		return errors.Join(err, conn.Close())
	}
	conn := mayfly.Server(raw, config)
	if _, err := conn.Write(b); err != nil {
		return err
	}
	if _, err := conn.Read(b); err != io.EOF {
		return fmt.Errorf("the client did not end: %w", err)
	}
	return conn.Close()
}

// resumed returns the Early Secret of a connection that resumes a session.
func (d *deriver) resumed(ch *wire.ClientHello, sh *wire.ServerHello) []byte {
	if ch.PSK == nil || sh.SelectedPSK == nil {
		d.err = errors.New("no session was resumed")
		return d.extract(nil, make([]byte, d.suite.HashLen))
	}
	ticket := ch.PSK.Identities[*sh.SelectedPSK].Identity
	key, err := resumption.NewKey(ticketSecret)
	if err != nil {
		panic(err)
	}
	text, err := key.Open(ticket, "ticket", "")
	if err != nil {
		panic(err)
	}
	state, err := resumption.Parse(text.Bytes())
	if err != nil {
		panic(err)
	}
	psk := bytes.Clone(state.Secret.Bytes())
	d.addSecret("resumption PSK", psk)
	if !d.client { // the child has opened the ticket
		sealer := deriver{link: d.link, suite: suite.ByID(suite.ChaCha20Poly1305)}
		head, sealed := ticket[:48], ticket[48:]
		key := sealer.expand(ticketSecret, "mayfly ticket", head[16:], sealer.suite.KeyLen)
		d.add("ticket AEAD key", memscan.Raw(key))
		_, err := sealer.suite.NewKeys(key, make([]byte, suite.NonceLen)).AEAD.Open(nil, make([]byte, suite.NonceLen), sealed, head)
		d.err = errors.Join(d.err, sealer.err, err)
	}
	early := d.extract(nil, psk)
	d.addEarly(early, "res binder", ch, *sh.SelectedPSK)
	if d.kind.early {
		th := d.sum(ch.Raw)
		d.traffic("early ", d.logged("CLIENT_EARLY_TRAFFIC_SECRET"))
		d.add("early data", memscan.Raw(d.sooner))
		d.addSecret("early exporter secret", d.expand(early, "e exp master", th, d.suite.HashLen))
	}
	return early
}

// conclusion derives what follows from the whole handshake: the resumption secret and,
// on a server, the PSK of the ticket that it has given away.
func (l *link) conclusion() ([]secret, error) {
	d := deriver{link: l, suite: suite.ByID(suite.ID(l.suite))}
	all := append(d.opening(), d.flight(false)...)
	if l.early {
		all = append(all, new(wire.EndOfEarlyData).Marshal()...)
	}
	all = append(all, d.flight(true)...)
	secret := d.expand(l.main, "res master", d.sum(all), d.suite.HashLen)
	d.addSecret("resumption secret", secret)
	psk := d.expand(secret, "resumption", []byte{0}, d.suite.HashLen)
	if !l.client {
		d.addSecret("resumption PSK", psk)
	}
	return d.all, d.err
}

// flight returns the messages that one side has sent under its handshake keys.
func (d *deriver) flight(byClient bool) []byte {
	d.wire.mu.Lock()
	sent := records(bytes.Clone(d.wire.out))
	if byClient == d.client {
		sent = records(bytes.Clone(d.wire.in))
	}
	d.wire.mu.Unlock()
	who := map[bool]string{true: "CLIENT", false: "SERVER"}[byClient]
	s := d.logged(who + "_HANDSHAKE_TRAFFIC_SECRET")
	keys := d.suite.NewKeys(d.expand(s, "key", nil, d.suite.KeyLen), d.expand(s, "iv", nil, suite.NonceLen))
	var messages []byte
	var sequence uint64
	for _, r := range sent {
		if record.ContentType(r[0]) != record.ApplicationData {
			continue
		}
		var nonce [suite.NonceLen]byte
		keys.Nonce(&nonce, sequence)
		content, err := keys.AEAD.Open(nil, nonce[:], r[record.HeaderLen:], r[:record.HeaderLen])
		switch {
		case err != nil && sequence == 0:
			continue // early data
		case err != nil:
			return messages // from here on under other keys
		}
		sequence++
		messages = append(messages, content[:len(content)-1]...) // without its type
	}
	return messages
}
