// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/transcript"
)

// An expectation is what RFC 9846, Appendix A says of a state.
type expectation struct {
	role Role
	zero state
	next []wire.MessageType
	ccs  bool
}

// appendixA is what RFC 9846, Appendix A lets come in each state.
func appendixA() map[stateID]expectation {
	return map[stateID]expectation{
		failed:              {Client, endState{}, nil, false},
		connected:           {Server, doneState{}, nil, false},
		clientStartID:       {Client, &clientStart{}, nil, false},
		clientWaitSH:        {Client, &clientAwaitsServerHello{hello: noHello}, []wire.MessageType{wire.ServerHelloType}, true},
		clientWaitEE:        {Client, clientAwaitsExtensions{hello: noHello}, []wire.MessageType{wire.EncryptedExtensionsType}, true},
		clientWaitCertCR:    {Client, clientAwaitsCertificateOrRequest{hello: noHello}, []wire.MessageType{wire.CertificateRequestType, wire.CertificateType}, true},
		clientWaitCert:      {Client, clientAwaitsCertificate{hello: noHello}, []wire.MessageType{wire.CertificateType}, true},
		clientWaitCV:        {Client, clientAwaitsCertificateVerify{}, []wire.MessageType{wire.CertificateVerifyType}, true},
		clientWaitFinished:  {Client, clientAwaitsFinished{}, []wire.MessageType{wire.FinishedType}, true},
		serverStartID:       {Server, serverStart{}, []wire.MessageType{wire.ClientHelloType}, false},
		serverWaitRetriedCH: {Server, &serverAwaitsRetry{}, []wire.MessageType{wire.ClientHelloType}, true},
		serverWaitEOED:      {Server, serverAwaitsEndOfEarlyData{}, []wire.MessageType{wire.EndOfEarlyDataType}, true},
		serverWaitCert:      {Server, serverAwaitsCertificate{}, []wire.MessageType{wire.CertificateType}, true},
		serverWaitCV:        {Server, serverAwaitsCertificateVerify{}, []wire.MessageType{wire.CertificateVerifyType}, true},
		serverWaitFinished:  {Server, serverAwaitsFinished{}, []wire.MessageType{wire.FinishedType}, true},
	}
}

var noHello = &wire.ClientHello{}

// Every message type in every state: what has no place is refused unread, what
// has one is parsed.
func TestTransitions(t *testing.T) {
	t.Parallel()
	if len(appendixA()) != int(stateCount) {
		t.Fatalf("%d states are in the test, %d in the table", len(appendixA()), stateCount)
	}
	for id, row := range appendixA() {
		if row.zero.id() != id {
			t.Errorf("state %d says it is %d", id, row.zero.id())
		}
		for n := range 256 {
			m := bareMachine(row.role, row.zero)
			if m.AllowCCS() != row.ccs || m.Done() != (id == connected) {
				t.Errorf("state %d: AllowCCS %v, Done %v", id, m.AllowCCS(), m.Done())
			}
			typ := wire.MessageType(n)
			_, err := m.Receive(wire.Message{Type: typ, Raw: []byte{byte(n), 0, 0, 1}}, token)
			want := alert.UnexpectedMessage
			if slices.Contains(row.next, typ) {
				want = alert.DecodeError // it is cut off
			}
			if err == nil || alert.Of(err) != want {
				t.Errorf("state %d, message %v: %v, want %v", id, typ, err, want)
			}
		}
	}
}

// Messages after which keys change, or after which the other side is to speak,
// end with their record.
func TestAlignment(t *testing.T) {
	t.Parallel()
	ends := []wire.MessageType{wire.ClientHelloType, wire.ServerHelloType, wire.EndOfEarlyDataType, wire.FinishedType}
	for id, row := range appendixA() {
		for _, typ := range row.next {
			asked := false
			m := bareMachine(row.role, row.zero)
			_, err := m.Receive(wire.Message{Type: typ, Raw: []byte{byte(typ), 0, 0, 1}}, func() (wire.Aligned, bool) {
				asked = true
				return wire.Aligned{}, false
			})
			if asked != slices.Contains(ends, typ) {
				t.Errorf("state %d, message %v: alignment asked %v", id, typ, asked)
			}
			if asked && alert.Of(err) != alert.UnexpectedMessage {
				t.Errorf("state %d, message %v, unaligned: %v", id, typ, err)
			}
		}
	}
}

func bareMachine(role Role, s state) *Machine {
	return &Machine{role: role, cfg: &Config{}, state: s, suite: suite.ByID(suite.AES128GCM), transcript: transcript.New()}
}

func token() (wire.Aligned, bool) { return new(wire.Assembler).Aligned() }

// A message that another follows in one record, at each key change.
func TestMessageStraddlesKeyChange(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from    Role
		message wire.MessageType
	}{{Client, wire.ClientHelloType}, {Server, wire.ServerHelloType}, {Server, wire.FinishedType}, {Client, wire.FinishedType}} {
		for _, more := range []string{"\x18\x00\x00\x01\x00", "\x18", "\x18\x00\x00\x01"} {
			p := newPair(t, clientConfig(), serverConfig())
			p.tamper = func(from Role, raw []byte) [][]byte {
				if from == test.from && wire.MessageType(raw[0]) == test.message {
					return [][]byte{raw, []byte(more)}
				}
				return [][]byte{raw}
			}
			p.mustFail(t, 1-test.from, alert.UnexpectedMessage)
		}
	}
}

// Messages that are lost, doubled or swapped, one at a time, in a handshake that
// has them all.
func TestDisorder(t *testing.T) {
	t.Parallel()
	type flight struct {
		from  Role
		types []wire.MessageType
	}
	server := flight{Server, []wire.MessageType{wire.EncryptedExtensionsType, wire.CertificateRequestType, wire.CertificateType, wire.CertificateVerifyType, wire.FinishedType}}
	client := flight{Client, []wire.MessageType{wire.CertificateType, wire.CertificateVerifyType, wire.FinishedType}}
	for _, f := range []flight{server, client} {
		for i, typ := range f.types {
			for name, order := range map[string]func() []int{
				"lost":    func() []int { return slices.Delete(count(len(f.types)), i, i+1) },
				"doubled": func() []int { return slices.Insert(count(len(f.types)), i, i) },
				"swapped": func() []int {
					o := count(len(f.types))
					j := (i + 1) % len(o)
					o[i], o[j] = o[j], o[i]
					return o
				},
			} {
				t.Run(fmt.Sprintf("%d/%v/%s", f.from, typ, name), func(t *testing.T) {
					t.Parallel()
					p := newPair(t, clientConfig(mutual), serverConfig(mutual))
					var held [][]byte
					p.tamper = func(from Role, raw []byte) [][]byte {
						if from != f.from || !slices.Contains(f.types, wire.MessageType(raw[0])) {
							return [][]byte{raw}
						}
						held = append(held, bytes.Clone(raw))
						if len(held) < len(f.types) {
							return nil
						}
						var all [][]byte
						for _, k := range order() {
							all = append(all, held[k])
						}
						return all
					}
					receiver := p.client
					if f.from == Client {
						receiver = p.server
					}
					switch {
					case name == "lost" && typ == wire.FinishedType:
						p.run()
						if receiver.err != nil || receiver.m.Done() {
							t.Errorf("without Finished: %v, done %v", receiver.err, receiver.m.Done())
						}
					case name == "lost" && typ == wire.CertificateRequestType:
						p.mustFail(t, Client, alert.DecryptError) // another transcript was signed
					default:
						p.mustFail(t, 1-f.from, alert.UnexpectedMessage)
					}
				})
			}
		}
	}
}

func count(n int) []int {
	var c []int
	for i := range n {
		c = append(c, i)
	}
	return c
}

// Every message in every state of a machine that came there by a handshake: what
// has no place destroys all that the machine has.
func TestUnexpectedInLiveStates(t *testing.T) {
	t.Parallel()
	types := []wire.MessageType{0, wire.ClientHelloType, wire.ServerHelloType, 3, wire.NewSessionTicketType, wire.EndOfEarlyDataType,
		wire.EncryptedExtensionsType, wire.CertificateType, wire.CertificateRequestType, wire.CertificateVerifyType,
		wire.FinishedType, wire.KeyUpdateType, wire.CompressedCertificateType, wire.MessageHashType, 255}
	for id, row := range appendixA() {
		if len(row.next) == 0 {
			continue
		}
		for _, typ := range types {
			if slices.Contains(row.next, typ) {
				continue
			}
			e := reach(t, id)
			_, err := e.m.Receive(wire.Message{Type: typ, Raw: []byte{byte(typ), 0, 0, 0}}, token)
			if alert.Of(err) != alert.UnexpectedMessage {
				t.Errorf("state %d, message %v: %v", id, typ, err)
			}
			checkWiped(t, e.m)
		}
	}
}

// reach runs a handshake until one side is in a state.
func reach(t *testing.T, id stateID, server ...func(*Config)) *endpoint {
	t.Helper()
	var found *endpoint
	p := newPair(t, clientConfig(classical, mutual, noShare), serverConfig(append(server, classical, mutual)...))
	if id == serverWaitEOED {
		s := newSafe("alpha").edit(early)
		p = newPair(t, clientConfig(s.offered, sendEarly), serverConfig(s.found, takeEarly))
	}
	look := func() {
		for _, e := range []*endpoint{p.client, p.server} {
			if e.m.state.id() == id {
				found = e
			}
		}
	}
	look()
	p.client.apply(p.client.m.Start())
	for found == nil && len(p.client.out)+len(p.server.out) > 0 {
		for _, way := range [][2]*endpoint{{p.client, p.server}, {p.server, p.client}} {
			out := way[0].out
			way[0].out = nil
			for _, sent := range out {
				for _, raw := range split(sent.messages) {
					if look(); found != nil {
						return found
					}
					way[1].receive(parcel{messages: raw, iv: sent.iv})
				}
			}
			if look(); found != nil {
				return found
			}
		}
	}
	if found == nil {
		t.Fatalf("state %d was not reached", id)
	}
	return found
}
