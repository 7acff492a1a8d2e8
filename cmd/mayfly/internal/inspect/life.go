// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"fmt"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
)

// A Secret is one of the key schedule, and what became of it. Where the library tells of
// a birth or a death, by a hook or by the key log, that is Seen; what is not follows from
// the order in which the library does things.
type Secret struct {
	Name  string
	What  string // what it is for
	Value string // in hex, where it is revealed

	Born, Died         time.Duration // Died is 0 where that was never told
	BornBy, DiedBy     string        // what happened then
	SeenBorn, SeenDied bool

	Parts []*Secret // what is derived from it
}

// How a key and its IV are born, and die.
const (
	inUse = "comes into use"
	wiped = "wiped"
)

// tree is the key schedule of RFC 9846, Section 7.1, as far as the connection came.
func (s *session) tree(messages []*Message, values map[string]string) []*Secret {
	hello := find(messages, dissect.Client, "ClientHello")
	agreed := s.secrets.find("CLIENT_HANDSHAKE_TRAFFIC_SECRET")
	if hello == nil {
		return nil
	}
	own := &Secret{
		Name: "ephemeral private keys", What: "the client's, one for each of its key shares",
		Born: messages[0].At, BornBy: "ClientHello",
	}
	if agreed == nil {
		own.Died, own.DiedBy = s.closed, "handshake failed"
		return []*Secret{own}
	}
	own.Died, own.DiedBy = agreed.at, "used for the shared secret"
	derived := func(name, what, diedBy string, parts ...*Secret) *Secret {
		return &Secret{Name: name, What: what, Born: agreed.at, BornBy: "ServerHello", Died: agreed.at, DiedBy: diedBy, Parts: parts}
	}
	main := derived("Main Secret", "of the connection's keys", "handshake done", s.application(messages, values)...)
	main.Died = s.over()
	handshake := derived("Handshake Secret", "where the shared secret of the key exchange comes in", "gone when the Main Secret is there",
		s.handshakeTraffic(dissect.Client, values), s.handshakeTraffic(dissect.Server, values), main)
	return []*Secret{own, derived("Early Secret", "without a pre-shared key, of zeros", "gone when the Handshake Secret is there", handshake)}
}

// over is when the handshake was over, well or not.
func (s *session) over() time.Duration {
	if s.done > 0 {
		return s.done
	}
	return s.closed
}

// direction is what a sender is to the client.
func direction(from dissect.Sender) mayfly.Direction {
	if from == dissect.Client {
		return mayfly.Sending
	}
	return mayfly.Receiving
}

func (s *session) handshakeTraffic(from dissect.Sender, values map[string]string) *Secret {
	name := fmt.Sprintf(handshakeTraffic, from)
	secret := &Secret{
		Name: name, What: "of what the " + from.String() + " sends in the handshake, and of its Finished", Value: values[name],
		BornBy: "ServerHello", Died: s.over(), DiedBy: "handshake done",
	}
	label := map[dissect.Sender]string{dissect.Client: "CLIENT_HANDSHAKE_TRAFFIC_SECRET", dissect.Server: "SERVER_HANDSHAKE_TRAFFIC_SECRET"}[from]
	if l := s.secrets.find(label); l != nil {
		secret.Born, secret.SeenBorn = l.at, true
	}
	if keys := s.keys(mayfly.KeyInfo{Direction: direction(from), Handshake: true}); keys != nil {
		secret.Parts = append(secret.Parts, keys)
	}
	return secret
}

// keys are the AEAD and the IV that a traffic secret gives, nil where they were never in
// use.
func (s *session) keys(info mayfly.KeyInfo) *Secret {
	born, died, ok := s.life(info)
	if !ok {
		return nil
	}
	return &Secret{
		Name: "key and IV", What: "of the AEAD, in use for " + info.Direction.String(),
		Born: born, BornBy: inUse, SeenBorn: true, Died: died, DiedBy: wiped, SeenDied: died > 0,
	}
}

// application are the secrets that come of the Main Secret.
func (s *session) application(messages []*Message, values map[string]string) (all []*Secret) {
	for _, from := range []dissect.Sender{dissect.Client, dissect.Server} {
		all = append(all, s.generations(from, values)...)
	}
	if l := s.secrets.find("EXPORTER_SECRET"); l != nil {
		all = append(all, &Secret{
			Name: "exporter_secret", What: "for what applications derive from the connection", Value: values["exporter_secret"],
			Born: l.at, BornBy: "server's Finished", SeenBorn: true, Died: s.closed, DiedBy: "Close", SeenDied: s.closed > 0,
		})
	}
	if s.done > 0 {
		all = append(all, s.resumption(messages))
	}
	return all
}

// generations are the traffic secrets of one direction, each derived from the one before.
func (s *session) generations(from dissect.Sender, values map[string]string) (all []*Secret) {
	label := map[dissect.Sender]string{dissect.Client: "CLIENT_TRAFFIC_SECRET_0", dissect.Server: "SERVER_TRAFFIC_SECRET_0"}[from]
	l := s.secrets.find(label)
	if l == nil {
		return nil
	}
	var last *Secret
	for n := uint64(0); ; n++ {
		keys := s.keys(mayfly.KeyInfo{Direction: direction(from), Generation: n})
		if keys == nil && n > 0 {
			return all
		}
		name := fmt.Sprintf(applicationTraffic, from, n)
		secret := &Secret{Name: name, What: "of what the " + from.String() + " sends", Value: values[name], SeenBorn: true}
		switch {
		case n == 0:
			secret.Born, secret.BornBy = l.at, "server's Finished"
		default:
			secret.Born, secret.BornBy = keys.Born, fmt.Sprintf("%s's KeyUpdate %d", from, n)
			last.Died, last.DiedBy, last.SeenDied = keys.Born, fmt.Sprintf("%s's KeyUpdate %d", from, n), true
			secret.What += ", of the one before"
		}
		secret.Died, secret.DiedBy = s.closed, "Close"
		if keys != nil {
			secret.Parts = append(secret.Parts, keys)
			if keys.Died > 0 {
				secret.Died, secret.SeenDied = keys.Died, true
			}
		}
		all, last = append(all, secret), secret
	}
}

// resumption is the secret of the tickets, with the key of each that came.
func (s *session) resumption(messages []*Message) *Secret {
	secret := &Secret{
		Name: "resumption_secret", What: "for the keys of tickets",
		Born: s.done, BornBy: "client's Finished", Died: s.closed, DiedBy: "Close", SeenDied: s.closed > 0,
	}
	n := 0
	for _, m := range messages {
		if m.Name != "NewSessionTicket" || m.From != dissect.Server {
			continue
		}
		if n++; n > len(s.tickets) {
			break
		}
		at := s.tickets[n-1]
		secret.Parts = append(secret.Parts, &Secret{
			Name: fmt.Sprintf("PSK of ticket %d", n), What: "to resume the session with, which the inspector does not",
			Born: m.At, BornBy: "NewSessionTicket", Died: at, DiedBy: "wiped at once", SeenDied: true,
		})
	}
	return secret
}
