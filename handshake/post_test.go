// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// halves runs a handshake and splits both machines.
func halves(t *testing.T) (client, server struct {
	*Receiver
	*Sender
}) {
	t.Helper()
	p := newPair(t, clientConfig(), serverConfig())
	p.mustSucceed(t)
	client.Receiver, client.Sender = p.client.m.Split()
	server.Receiver, server.Sender = p.server.m.Split()
	return client, server
}

func message(raw []byte) wire.Message { return wire.Message{Type: wire.MessageType(raw[0]), Raw: raw} }

// Both directions change keys independently, and stay in step.
func TestKeyUpdate(t *testing.T) {
	t.Parallel()
	client, server := halves(t)
	for i := range 20 {
		from, to, request := client.Sender, server.Receiver, i%2 == 0
		if i%3 == 0 {
			from, to = server.Sender, client.Receiver
		}
		old := to.secret.Keys().IV
		msg, next := from.KeyUpdate(request)
		events, err := to.Receive(message(msg), token)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) != 2 {
			t.Fatalf("%d events", len(events))
		}
		install := events[0].(InstallRead)
		if install.Keys.IV != next.IV || install.Keys.IV == old || !install.Aligned.Valid() || install.Epoch != EpochApplication {
			t.Fatal("the sides are not in step")
		}
		if updated := events[1].(PeerUpdated); updated.Requested != request || updated.Generation != from.Generation() || to.Generation() != from.Generation() {
			t.Fatalf("%+v after %d updates", updated, from.Generation())
		}
	}
	if n := client.Sender.Generation() + server.Sender.Generation(); n != 20 {
		t.Errorf("%d updates", n)
	}
}

func TestPostHandshakeRefused(t *testing.T) {
	t.Parallel()
	unaligned := func() (wire.Aligned, bool) { return wire.Aligned{}, false }
	ticket := "\x04\x00\x00\x10\x00\x00\x00\x01\x00\x00\x00\x02\x01n\x00\x02ti\x00\x00"
	for _, test := range []struct {
		name    string
		server  bool // the receiver is a server
		raw     string
		aligned func() (wire.Aligned, bool)
		code    alert.Code
	}{
		{"unaligned KeyUpdate", true, "\x18\x00\x00\x01\x00", unaligned, alert.UnexpectedMessage},
		{"KeyUpdate of 2", true, "\x18\x00\x00\x01\x02", token, alert.IllegalParameter},
		{"empty KeyUpdate", false, "\x18\x00\x00\x00", token, alert.DecodeError},
		{"long KeyUpdate", false, "\x18\x00\x00\x02\x00\x00", token, alert.DecodeError},
		{"ticket to a server", true, ticket, token, alert.UnexpectedMessage},
		{"malformed ticket", false, "\x04\x00\x00\x01\x00", token, alert.DecodeError},
		{"ticket with key_share", false, "\x04\x00\x00\x14\x00\x00\x00\x01\x00\x00\x00\x02\x01n\x00\x02ti\x00\x04\x00\x33\x00\x00", token, alert.IllegalParameter},
		{"CertificateRequest", false, "\x0d\x00\x00\x0b\x00\x00\x08\x00\x0d\x00\x04\x00\x02\x08\x07", token, alert.UnexpectedMessage},
		{"renegotiation", true, "\x01\x00\x00\x00", token, alert.UnexpectedMessage},
	} {
		client, server := halves(t)
		r := client.Receiver
		if test.server {
			r = server.Receiver
		}
		_, err := r.Receive(message([]byte(test.raw)), test.aligned)
		if alert.Of(err) != test.code {
			t.Errorf("%s: %v, want %v", test.name, err, test.code)
		}
		if r.secret.Secret() != nil {
			t.Errorf("%s: the secret is left", test.name)
		}
		if _, again := r.Receive(message([]byte("\x18\x00\x00\x01\x00")), token); again != err {
			t.Errorf("%s: the error is not sticky: %v", test.name, again)
		}
	}
	client, server := halves(t)
	events, err := client.Receive(message([]byte(ticket)), token)
	if err != nil {
		t.Fatal(err)
	}
	if got := events[0].(Ticket); string(got.Ticket) != "ti" || got.Lifetime != 1 {
		t.Errorf("ticket %+v", got)
	}
	for n := range 256 {
		known := n == int(wire.KeyUpdateType)
		if known {
			continue
		}
		_, server := halves(t)
		if n%16 != 0 && n > 30 {
			continue // the others are all alike
		}
		if _, err := server.Receive(wire.Message{Type: wire.MessageType(n), Raw: []byte{byte(n), 0, 0, 0}}, token); alert.Of(err) != alert.UnexpectedMessage {
			t.Errorf("message %d after the handshake: %v", n, err)
		}
	}
	server.Receiver.Wipe()
	if _, err := server.Receive(message([]byte("\x18\x00\x00\x01\x00")), token); err == nil {
		t.Error("a wiped half receives")
	}
}
