// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
)

// A Report is what an inspection has found out. Times are from its start; 0 is for what
// did not happen. Its strings are printable ASCII, whatever the server has sent.
type Report struct {
	Addr   string
	Remote string // the address that answered
	Name   string // of the server, as it was asked for
	When   time.Time

	LookedUp, Connected, Done, Closed time.Duration

	Flights  []*Flight
	Messages []*Message // in order
	Choices  []Choice
	Server   *Identity // nil where it has not proved one
	Secrets  []*Secret // the roots of the key schedule
	Notes    []string  // what else there is to know
	Revealed bool

	Verified bool  // the server is one that the Config accepts
	Err      error // of the handshake, or of the connection
}

// A Flight is what one side sent before the other answered.
type Flight struct {
	From     dissect.Sender
	At       time.Duration // its first record
	End      time.Duration // its last one
	Messages []*Message
	Records  int
	Bytes    int // on the wire, with the records' headers
}

// report makes the Report, when all is over.
func (s *session) report(conn *mayfly.Conn) *Report {
	s.mu.Lock() // a ticket may still be on its way to the store
	defer s.mu.Unlock()
	r := &Report{
		Addr: unquoted(s.options.Addr), Remote: s.remote.String(), Name: unquoted(s.name), When: s.start,
		LookedUp: s.lookedUp, Connected: s.connected, Done: s.done, Closed: s.closed,
		Revealed: s.options.Reveal, Verified: s.accepted.Load() && s.done > 0, Err: s.err,
	}
	values := make(map[string]string)
	var reveal func(string, []byte)
	if s.options.Reveal {
		reveal = func(name string, secret []byte) { values[name] = hex.EncodeToString(secret) }
		if exporter := s.secrets.find("EXPORTER_SECRET"); exporter != nil {
			reveal("exporter_secret", exporter.secret.Bytes())
		}
	}
	suite := agreedSuite(s.tape.side(dissect.Server))
	client := decode(s.tape.side(dissect.Client), dissect.Client, &s.secrets, suite, reveal)
	server := decode(s.tape.side(dissect.Server), dissect.Server, &s.secrets, suite, reveal)
	r.Messages = inOrder(client.messages, server.messages)
	r.Flights = flights(r.Messages)
	r.Choices = choices(r.Messages)
	if s.done > 0 {
		r.Server = s.identify(conn, r.Verified)
	}
	r.Secrets = s.tree(r.Messages, values)
	r.Notes = s.notes(r)
	return r
}

// notes say what is not seen elsewhere.
func (s *session) notes(r *Report) (all []string) {
	if sent := countOf(r.Messages, dissect.Client, "KeyUpdate"); s.done > 0 && sent < s.options.Rekeys && !s.unanswered {
		all = append(all, fmt.Sprintf("The connection ended before the keys had been changed as often as was asked for: %d of %d times.", sent, s.options.Rekeys))
	}
	if s.unanswered {
		all = append(all, "The server did not change its keys in time when it was asked to. Many do so only when they next have something to say (RFC 9846, Section 4.7.3).")
	}
	for _, m := range r.Messages {
		if m.Name == "CertificateRequest" && s.done > 0 {
			all = append(all, "The server asked for a certificate of the client.")
		}
		if m.Records[0].Wrong != "" {
			all = append(all, "A record of the "+m.From.String()+" could not be opened: "+m.Records[0].Wrong+".")
			break
		}
	}
	for _, from := range []dissect.Sender{dissect.Client, dissect.Server} {
		if s.tape.side(from).full {
			all = append(all, "The "+from.String()+" sent more than is recorded.")
		}
	}
	return all
}

// flights cuts the messages where the other side begins to talk, and where the client's
// part of the handshake is done.
func flights(messages []*Message) (all []*Flight) {
	var last *Flight
	over := false
	seen := make(map[*Record]bool)
	for _, m := range messages {
		if last == nil || last.From != m.From || over {
			last = &Flight{From: m.From, At: m.Records[0].At}
			all = append(all, last)
		}
		over = m.Name == "Finished" && m.From == dissect.Client
		last.Messages, last.End = append(last.Messages, m), m.At
		for _, r := range m.Records {
			if !seen[r] {
				seen[r] = true
				last.Records++
				last.Bytes += len(r.Bytes)
			}
		}
	}
	return all
}

func countOf(messages []*Message, from dissect.Sender, name string) (n int) {
	for _, m := range messages {
		if m.From == from && m.Name == name {
			n++
		}
	}
	return n
}

// find returns the last message of that name, nil if there is none.
func find(messages []*Message, from dissect.Sender, name string) (found *Message) {
	for _, m := range messages {
		if m.From == from && m.Name == name {
			found = m
		}
	}
	return found
}

// parsed parses the last message of that name. It returns nil where there is none, or
// none that can be parsed.
func parsed[M any](messages []*Message, from dissect.Sender, name string, parse func([]byte) (*M, error)) *M {
	m := find(messages, from, name)
	if m == nil {
		return nil
	}
	p, err := parse(m.Bytes)
	if err != nil {
		return nil
	}
	return p
}
