// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/mayfly-tls/mayfly/internal/memscan"
)

// childEnv makes the test binary the child whose memory TestMemory searches.
const childEnv = "MAYFLY_TEST_MEMSCAN"

// TestMemory runs connections in a child process, and searches its memory for
// their secrets while they live, after their keys were changed, and at their end.
func TestMemory(t *testing.T) {
	if how, addr, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		runChild(t, how, addr)
	}
	ours, theirs := measure(t, "mayfly"), measure(t, "tls")
	t.Logf("%d connections; copies found: mayfly (%s) | crypto/tls\n%s", connections, build, table(ours, theirs))
	for _, row := range rows {
		c, them := ours[row.name], theirs[row.name]
		if c == nil || them == nil && !row.oursAlone {
			t.Fatalf("%s: nobody searched for it", row.name)
		}
		if row.needed && (c.needed == 0 || them != nil && them.needed == 0) || len(c.missed) > 0 {
			t.Errorf("%s: not found where it must be: the scan does not work\n%s", row.name, strings.Join(c.missed, "\n"))
		}
		// The memory of crypto/tls's ML-KEM keys is soon used again: it may be by the end.
		if them != nil && (them.open+them.changed+them.closed == 0 || them.closed == 0 && row.name != "ML-KEM private key") {
			t.Errorf("%s: crypto/tls leaves no copy: the scan does not work", row.name)
		}
		if c.open+c.changed+c.closed > 0 {
			t.Errorf("%s: %d, %d and %d copies are left\n%s", row.name, c.open, c.changed, c.closed, strings.Join(c.where, "\n"))
		}
	}
}

// A count is what was found of one kind of secret.
type count struct {
	needed  int      // in connections that need it
	missed  []string // connections that need it, where none was found
	open    int      // in open connections that do not, or no longer
	changed int      // the same, after keys were changed
	closed  int      // in closed connections
	where   []string
}

// measure takes a child through the stages, and returns what was found of each kind of
// secret.
func measure(t *testing.T, how string) map[string]*count {
	p := startChild(t, how)
	at := func(s stop) func(*link) bool { return func(l *link) bool { return l.stop == s } }
	running := func(l *link) bool { return l.now == open }

	p.each(at(open), func(l *link) error { l.now = l.stop; return <-l.made })
	p.each(at(open), func(l *link) error { l.paused = true; return l.say(pause) })
	for _, s := range []stop{atHello, atFlight} {
		p.each(at(s), func(l *link) error { l.now = l.stop; <-l.wire.stopped; return nil })
	}
	p.tell("collect")
	s := newScan(p)
	s.run(func(c *count) *int { return &c.open })

	p.tell("resume")
	p.each(at(open), func(l *link) error { l.paused = false; return l.finish() })
	p.each(func(l *link) bool { return l.fails != succeeds }, (*link).fail)
	p.tell("fail")
	p.each(func(l *link) bool { return l.stop != open && l.fails == succeeds }, func(l *link) error {
		if err := l.wire.raise(); err != nil {
			return err
		}
		l.now = open
		return <-l.made
	})
	p.each(running, (*link).exchange)
	p.each(func(l *link) bool { return l.floods && running(l) }, (*link).flood)
	p.each(func(l *link) bool { return l.rekeys && running(l) }, (*link).change)
	p.tell("collect")
	s.run(func(c *count) *int { return &c.changed })

	p.each(func(l *link) bool { return l.end != survives && running(l) }, (*link).quit)
	p.tell("collect")
	p.tell("collect")
	s.run(func(c *count) *int { return &c.closed })
	return s.counts
}

// fail has the child's handshake end where it is; what is canceled is the child's to end.
func (l *link) fail() error {
	l.now = closed
	switch {
	case l.fails == cut:
		return l.wire.Conn.Close()
	case l.fails == forged && l.stop == atHello:
		_, err := l.wire.Conn.Write([]byte{22, 3, 3, 0, 5, 2, 0, 0, 1, 0}) // a ServerHello of one byte
		return err
	case l.fails == forged:
		_, err := l.wire.Conn.Write(append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...))
		return err
	}
	return nil
}

// exchange has the child send something.
func (l *link) exchange() error {
	if err := l.say(echo); err != nil {
		return err
	}
	return l.finish()
}

// flood sends much, and has the child send as much. Some of each record is looked for.
func (l *link) flood() error {
	if err := l.say(flood); err != nil {
		return err
	}
	if err := l.finish(); err != nil {
		return err
	}
	much := make([]byte, floodLen)
	_, _ = rand.Read(much)
	for piece := range slices.Chunk(much, 16<<10) {
		l.plain = append(l.plain, piece[:128], piece[len(piece)-128:])
	}
	sent := make(chan error, 1)
	go func() {
		_, err := l.conn.Write(much)
		sent <- err
	}()
	return errors.Join(l.hear(much), <-sent)
}

// change changes the keys of both directions, on the parent's word and the child's.
func (l *link) change() error {
	if err := l.conn.Rekey(context.Background()); err != nil {
		return err
	}
	if err := l.exchange(); err != nil {
		return err
	}
	if err := l.say(rekey); err != nil {
		return err
	}
	if err := l.finish(); err != nil {
		return err
	}
	return l.exchange()
}

// quit ends the connection, and waits until the child knows.
func (l *link) quit() error {
	l.now = closed
	switch l.end {
	case closes:
		if err := l.say(leave); err != nil {
			return err
		}
	case hears:
		_ = l.conn.Close()
		return nil
	case breaks:
		_, _ = l.wire.Conn.Write(append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...))
	case drops:
		return l.say(drop)
	}
	_, _ = l.conn.Read(make([]byte, 1))
	return nil
}

// A scan searches the child's memory again and again.
type scan struct {
	*parent
	index   memscan.Index
	secrets []secret
	known   []int // how many of each link's messages are in the index
	counts  map[string]*count
}

func newScan(p *parent) *scan {
	return &scan{parent: p, known: make([]int, connections), counts: make(map[string]*count)}
}

// run searches. What is found where it is not needed goes to the column.
func (s *scan) run(column func(*count) *int) {
	for _, l := range s.links {
		if !l.derived {
			l.derived = true
			all, err := l.secrets()
			if err != nil {
				s.t.Fatal(l.id, ": ", err)
			}
			s.add(all)
		}
		if l.ticket && !l.ended && l.now != atHello && l.now != atFlight && l.fails == succeeds {
			l.ended = true
			all, err := l.conclusion()
			if err != nil {
				s.t.Fatal(l.id, ": ", err)
			}
			s.add(all)
		}
		s.add(l.plaintexts(s.known[l.id]))
		s.known[l.id] = len(l.plain)
	}
	finds, err := s.index.Scan(s.process.Process.Pid)
	if errors.Is(err, fs.ErrPermission) {
		s.t.Skip(err) // whoever runs this may not
	} else if err != nil {
		s.t.Fatal(err)
	}
	found := make([]bool, len(s.secrets))
	for _, f := range finds {
		found[f.Needle] = true
	}
	for i, x := range s.secrets {
		c := s.counts[x.row()]
		if c == nil {
			c = new(count)
			s.counts[x.row()] = c
		}
		if x.alive() && !found[i] {
			c.missed = append(c.missed, fmt.Sprintf("\t%d %+v", x.link.id, x.link.kind))
		}
	}
	for _, f := range finds {
		column := column
		x := s.secrets[f.Needle]
		c := s.counts[x.row()]
		if x.alive() {
			c.needed++
			continue
		}
		if x.link.now == closed {
			column = func(c *count) *int { return &c.closed }
		}
		if *column(c)++; len(c.where) < 10 {
			c.where = append(c.where, fmt.Sprintf("\t%d %+v: %s, %d bytes at %x (%s)", x.link.id, x.link.kind, f.Form, f.Length, f.Address, f.Where))
		}
	}
}

func (s *scan) add(all []secret) {
	for _, x := range all {
		s.index.Add(len(s.secrets), x.forms...)
		x.forms = nil
		s.secrets = append(s.secrets, x)
	}
}

// row is the secret's kind, and whether it was replaced.
func (x secret) row() string {
	if x.changes && x.generation < x.link.generation(x.byClient) {
		return "old " + x.name
	}
	return x.name
}

// generation returns how often a side has changed its keys.
func (l *link) generation(byClient bool) int {
	if s := l.conn.Stats(); byClient == l.client {
		return int(s.KeysReceived)
	} else {
		return int(s.KeysSent)
	}
}

// alive says whether the child needs the secret where it is now.
func (x secret) alive() bool {
	at := x.link.now
	switch x.name {
	case "imported PSK": // the child wipes it after the handshake
		return at == atHello || at == atFlight
	case "resumption PSK":
		return at == atHello && x.link.client
	case "resumption secret": // of tickets to come
		return at == open && x.link.client && !x.link.moved // to where none are wanted
	case "ECDHE private key", "ML-KEM private key":
		return at == atHello
	case "main secret":
		// A server that requests no certificate sends its tickets with its flight.
		return at == atFlight && (x.link.client || !x.link.psk && !x.link.ticket)
	case "handshake traffic secret":
		return at == atFlight
	case "handshake AEAD key", "handshake IV": // a server has sent its flight
		return at == atFlight && (x.link.client || x.byClient)
	case "traffic secret":
		if at == atFlight && !x.link.client {
			return x.generation == 0
		}
		return at == open && x.generation == x.link.generation(x.byClient)
	case "AEAD key", "IV":
		if at == atFlight && !x.link.client {
			return x.generation == 0 && !x.byClient
		}
		return at == open && x.generation == x.link.generation(x.byClient)
	case "early exporter secret":
		return at == open
	case "exporter secret":
		return at == open || at == atFlight && !x.link.client
	case "plaintext":
		return x.link.paused
	}
	return false
}

// rows is the table: needed says that there is a stage at which the child waits
// and needs the secret. The others come and go within one call. oursAlone says that
// crypto/tls knows nothing of the kind.
var rows = []struct {
	name      string
	needed    bool
	oursAlone bool
}{
	{name: "external PSK", oursAlone: true},
	{name: "imported PSK", needed: true, oursAlone: true},
	{name: "resumption PSK", needed: true, oursAlone: true},
	{name: "ticket AEAD key", oursAlone: true},
	{name: "resumption secret", needed: true, oursAlone: true},
	{name: "early secret", oursAlone: true},
	{name: "binder key", oursAlone: true},
	{name: "early traffic secret", oursAlone: true},
	{name: "early AEAD key", oursAlone: true},
	{name: "early IV", oursAlone: true},
	{name: "early exporter secret", needed: true, oursAlone: true},
	{name: "ECDHE private key", needed: true},
	{name: "ML-KEM private key", needed: true, oursAlone: !standardMLKEM},
	{name: "ML-KEM message", oursAlone: !standardMLKEM},
	{name: "shared secret"},
	{name: "handshake secret"},
	{name: "main secret", needed: true},
	{name: "exporter secret", needed: true},
	{name: "exported", oursAlone: true},
	{name: "handshake traffic secret", needed: true},
	{name: "handshake Finished key"},
	{name: "handshake AEAD key", needed: true},
	{name: "handshake IV", needed: true},
	{name: "traffic secret", needed: true},
	{name: "AEAD key", needed: true},
	{name: "IV", needed: true},
	{name: "old traffic secret"},
	{name: "old AEAD key"},
	{name: "old IV"},
	{name: "early data", oursAlone: true},
	{name: "plaintext", needed: true},
}

func table(ours, theirs map[string]*count) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "secret\tneeded\topen\tchanged\tclosed\t|\tneeded\topen\tchanged\tclosed\t")
	for _, row := range rows {
		fmt.Fprint(w, row.name, "\t")
		for i, counts := range []map[string]*count{ours, theirs} {
			c := counts[row.name]
			if c == nil {
				c = new(count)
			}
			fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%s", c.needed, c.open, c.changed, c.closed, []string{"|\t", "\n"}[i])
		}
	}
	_ = w.Flush()
	return b.String()
}
