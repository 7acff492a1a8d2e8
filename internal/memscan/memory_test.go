// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

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
}

// A count is what was found of one kind of secret.
type count struct {
	alive  int // in connections that need it
	before int // in open connections that do not, or no longer
	after  int // the same, after keys were changed
	closed int // in closed connections
}

// measure takes a child through the stages, and returns what was found of each
// kind of secret.
func measure(t *testing.T, how string) map[string]*count {
	p := startChild(t, how)
	at := func(s stop) func(*link) bool { return func(l *link) bool { return l.stop == s } }
	running := func(l *link) bool { return l.now == open }

	p.each(at(open), func(l *link) error { l.now = l.stop; return <-l.made })
	p.each(at(open), func(l *link) error { l.paused = true; return l.say(pause) })
	for _, s := range []stop{atHello, atFlight} {
		p.each(at(s), func(l *link) error { l.now = l.stop; <-l.wire.stopped; return nil })
	}
	s := newScan(p)
	s.run(func(c *count) *int { return &c.before })

	p.tell("resume")
	p.each(at(open), func(l *link) error { l.paused = false; return l.finish() })
	p.each(func(l *link) bool { return l.stop != open }, func(l *link) error {
		if err := l.wire.raise(); err != nil {
			return err
		}
		l.now = open
		return <-l.made
	})
	p.each(running, (*link).exchange)
	p.each(func(l *link) bool { return l.rekeys }, (*link).change)
	p.tell("collect")
	s.run(func(c *count) *int { return &c.after })

	p.each(func(l *link) bool { return l.end != survives }, (*link).quit)
	p.tell("collect")
	p.tell("collect")
	s.run(func(c *count) *int { return &c.closed })
	return s.counts
}

// exchange has the child send something.
func (l *link) exchange() error {
	if err := l.say(echo); err != nil {
		return err
	}
	return l.finish()
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
	start := time.Now()
	defer func() { s.t.Log("scanned", time.Since(start)) }()
	for _, l := range s.links {
		if !l.derived {
			l.derived = true
			all, err := l.secrets()
			if err != nil {
				s.t.Fatal(l.id, ": ", err)
			}
			s.add(all)
		}
		s.add(l.plaintexts(s.known[l.id]))
		s.known[l.id] = len(l.plain)
	}
	s.t.Log("derived", time.Since(start), s.index.Len())
	s.t.Log("indexed", time.Since(start))
	finds, err := s.index.Scan(s.process.Process.Pid)
	if err != nil {
		s.t.Skip(err)
	}
	for _, x := range s.secrets {
		if s.counts[x.row()] == nil {
			s.counts[x.row()] = new(count)
		}
	}
	for _, f := range finds {
		x := s.secrets[f.Needle]
		c := s.counts[x.row()]
		switch {
		case x.link.now == closed:
			c.closed++
		case x.alive():
			c.alive++
		default:
			*column(c)++
		}
		if os.Getenv("VERBOSE") != "" && !x.alive() {
			s.t.Logf("%d %+v: %s, %s: %d bytes at %x (%s)", x.link.id, x.link.kind, x.row(), f.Form, f.Length, f.Address, f.Where)
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

// alive says whether the child may need the secret where it is now.
func (x secret) alive() bool {
	at := x.link.now
	switch x.name {
	case "ECDHE private key", "ML-KEM private key":
		return at == atHello
	case "main secret", "handshake traffic secret", "handshake AEAD key", "handshake IV":
		return at == atFlight
	case "traffic secret", "AEAD key", "IV":
		if at == atFlight && !x.link.client {
			return x.generation == 0
		}
		return at == open && x.generation == x.link.generation(x.byClient)
	case "exporter secret":
		return at == open || at == atFlight && !x.link.client
	case "plaintext":
		return x.link.paused
	}
	return false
}

// rows is the order of the table.
var rows = []string{
	"ECDHE private key", "ML-KEM private key", "ML-KEM message", "shared secret",
	"handshake secret", "main secret", "exporter secret",
	"handshake traffic secret", "handshake Finished key", "handshake AEAD key", "handshake IV",
	"old traffic secret", "traffic secret", "old AEAD key", "AEAD key", "old IV", "IV",
	"plaintext",
}

func table(ours, theirs map[string]*count) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "secret\tneeded\topen\tchanged\tclosed\t|\tneeded\topen\tchanged\tclosed\t")
	for _, row := range rows {
		fmt.Fprint(w, row, "\t")
		for i, counts := range []map[string]*count{ours, theirs} {
			c := counts[row]
			if c == nil {
				c = new(count)
			}
			fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%s", c.alive, c.before, c.after, c.closed, []string{"|\t", "\n"}[i])
		}
	}
	_ = w.Flush()
	return b.String()
}
