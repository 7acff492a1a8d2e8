// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/record"
)

// A parent plays the peer of each of a child's connections.
type parent struct {
	t        *testing.T
	listener net.Listener
	process  *exec.Cmd
	commands io.WriteCloser
	answers  *bufio.Scanner
	identity *mayfly.Identity
	cert     tls.Certificate
	replay   mayfly.ReplayGuard
	links    []*link
}

// A link is a connection with the child, and all that the parent knows of it.
type link struct {
	kind
	id      int
	now     stop
	wire    *gate
	conn    *mayfly.Conn
	made    chan error   // the handshake's result
	random  net.Conn     // where the child's randomness comes from
	child   []byte       // that randomness
	own     *recorder    // the parent's
	keyLog  bytes.Buffer // of the parent
	plain   [][]byte     // what was sent
	sooner  []byte       // what is sent as early data, where some is
	paused  bool         // the child has half of the last of that
	derived bool         // its secrets are in the index
	ended   bool         // those too that follow from the whole handshake
	main    []byte       // the main secret
	cache   *mayfly.SessionCache
}

func startChild(t *testing.T, how string) *parent {
	t.Helper()
	p := &parent{t: t, replay: mayfly.NewReplayGuard(0), links: make([]*link, connections)}
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	var err error
	p.identity, p.cert, err = newIdentity()
	must(err)
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	must(err)
	p.process = exec.Command(os.Args[0], "-test.run=^TestMemory$", "-test.timeout=5m")
	// crypto/tls takes no Config.Rand otherwise.
	p.process.Env = append(os.Environ(), childEnv+"="+how+" "+p.listener.Addr().String(), "GODEBUG=cryptocustomrand=1")
	p.process.Stderr = os.Stderr
	p.commands, err = p.process.StdinPipe()
	must(err)
	answers, err := p.process.StdoutPipe()
	must(err)
	p.answers = bufio.NewScanner(answers)
	must(p.process.Start())
	t.Cleanup(func() {
		_ = p.commands.Close()
		_ = p.listener.Close()
		_ = p.process.Wait()
		for _, l := range p.links {
			if l != nil && l.wire != nil {
				_ = l.wire.Conn.Close()
			}
		}
	})
	for i := range p.links {
		p.links[i] = &link{kind: kindOf(i), id: i, made: make(chan error, 1), cache: mayfly.NewSessionCache(0)}
		if l := p.links[i]; how == "tls" {
			l.kind = l.standard()
		}
	}
	p.accept()
	return p
}

// accept takes the child's connections, and starts their handshakes.
func (p *parent) accept() {
	for range 2*connections + p.sessions() {
		conn, err := p.listener.Accept()
		if err != nil {
			p.t.Fatal(err)
		}
		var intro [3]byte
		if _, err := io.ReadFull(conn, intro[:]); err != nil {
			p.t.Fatal(err)
		}
		l := p.links[binary.BigEndian.Uint16(intro[:])]
		if intro[2] == 'P' {
			config := configFor(l.kind, !l.client, p.identity, p.cert, nil)
			config.CipherSuites = []uint16{l.suite}
			resumable(config, l.kind, !l.client, l.cache, p.replay)
			go func() {
				if err := prime(conn, config, !l.client); err != nil {
					panic(fmt.Sprint(l.id, ": the first connection: ", err))
				}
			}()
			continue
		}
		if intro[2] == 'R' {
			l.random, l.child = conn, make([]byte, 1024)
			_, _ = rand.Read(l.child)
			if _, err := conn.Write(l.child); err != nil {
				p.t.Fatal(err)
			}
			continue
		}
		l.wire = &gate{Conn: conn, stopped: make(chan struct{}), waitsFor: l.stop, client: l.client}
		l.begin(p.identity, p.cert, p.replay)
	}
}

// sessions is how many connections resume one of another connection.
func (p *parent) sessions() (n int) {
	for _, l := range p.links {
		if l.ticket {
			n++
		}
	}
	return n
}

// begin starts the parent's side of a handshake.
func (l *link) begin(id *mayfly.Identity, cert tls.Certificate, replay mayfly.ReplayGuard) {
	l.own = new(recorder)
	var key *mayfly.PresharedKey
	if l.psk {
		var err error
		if key, err = mayfly.NewPresharedKey("key", l.child[:pskLen], "parent", "child"); err != nil {
			panic(err)
		}
	}
	config := configFor(l.kind, !l.client, id, cert, key)
	config.Rand, config.KeyLogWriter = l.own, &l.keyLog
	config.CipherSuites = []uint16{l.suite}
	config.Rekey.MinInterval = -1
	if l.ticket {
		resumable(config, l.kind, !l.client, l.cache, replay)
	}
	if l.client {
		l.conn = mayfly.Server(l.wire, config)
	} else {
		l.conn = mayfly.Client(l.wire, config)
	}
	l.sooner = l.child[:earlyLen]
	if !l.client {
		l.sooner = make([]byte, earlyLen)
		_, _ = rand.Read(l.sooner)
	}
	go func() { l.made <- l.handshake() }()
}

// handshake does the parent's side, with early data where there is some.
func (l *link) handshake() error {
	switch {
	case l.early && l.client:
		early := make([]byte, earlyLen)
		if err := readEarly(l.conn, early); err != nil {
			return err
		}
		if !bytes.Equal(early, l.sooner) {
			return fmt.Errorf("%d: not the early data that was sent", l.id)
		}
	case l.early:
		accepted, err := l.conn.HandshakeEarly(context.Background(), l.sooner)
		if err == nil && !accepted {
			err = errNoEarlyData
		}
		return err
	}
	return l.conn.Handshake()
}

// say sends a message, and reads the echo of its head; the rest is read by hear.
func (l *link) say(what byte) error {
	m := make([]byte, headLen+bodyLen)
	_, _ = rand.Read(m)
	m[0] = what
	l.plain = append(l.plain, m)
	if what == leave || what == drop {
		m = m[:headLen]
	}
	if _, err := l.conn.Write(m); err != nil {
		return fmt.Errorf("%d: %w", l.id, err)
	}
	return l.hear(m[:headLen])
}

// finish reads the echo of the rest of the last message.
func (l *link) finish() error { return l.hear(l.plain[len(l.plain)-1][headLen:]) }

func (l *link) hear(want []byte) error {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(l.conn, got); err != nil {
		return fmt.Errorf("%d: %w", l.id, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d: not what was sent", l.id)
	}
	return nil
}

// tell gives the child a command, and waits until it is carried out.
func (p *parent) tell(command string) {
	if _, err := fmt.Fprintln(p.commands, command); err != nil {
		p.t.Fatal(err)
	}
	if !p.answers.Scan() {
		p.t.Fatal("the child is gone")
	}
}

// each does f with each connection for which it is meant, at the same time.
func (p *parent) each(meant func(*link) bool, f func(*link) error) {
	p.t.Helper()
	var wg sync.WaitGroup
	for _, l := range p.links {
		if meant(l) {
			wg.Go(func() {
				if err := f(l); err != nil {
					p.t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if p.t.Failed() {
		p.t.FailNow()
	}
}

// recorder is a source of randomness that keeps what it gives.
type recorder struct{ given []byte }

func (r *recorder) Read(b []byte) (int, error) {
	n, err := rand.Read(b)
	r.given = append(r.given, b[:n]...)
	return n, err
}

// A gate is the transport of the parent's side: it records what passes, and holds
// back what would take the child past where it is to stop.
type gate struct {
	net.Conn
	stopped  chan struct{} // closed when the child is there
	waitsFor stop
	client   bool // the child is

	mu      sync.Mutex
	in, out []byte
	passed  int // of out
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out = append(g.out, p...)
	err := g.pass()
	return len(p), err
}

func (g *gate) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.in = append(g.in, p[:n]...)
	g.look()
	return n, err
}

// raise lets all pass.
func (g *gate) raise() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waitsFor = open
	return g.pass()
}

func (g *gate) pass() error {
	end := len(g.out)
	switch g.waitsFor {
	case atHello:
		end = 0
	case atFlight:
		end = record.HeaderLen + int(binary.BigEndian.Uint16(g.out[3:]))
	}
	if end > g.passed {
		if _, err := g.Conn.Write(g.out[g.passed:end]); err != nil {
			return err
		}
		g.passed = end
	}
	g.look()
	return nil
}

// look notes when the child has come as far as it can: a client that has taken
// the ServerHello sends change_cipher_spec.
func (g *gate) look() {
	select {
	case <-g.stopped:
		return
	default:
	}
	if g.waitsFor == atFlight && g.client && len(records(g.in)) < 2 || g.passed == len(g.out) {
		return
	}
	if g.waitsFor != open {
		close(g.stopped)
	}
}

// records splits what passed.
func records(b []byte) [][]byte {
	var all [][]byte
	for len(b) >= record.HeaderLen {
		n := record.HeaderLen + int(binary.BigEndian.Uint16(b[3:]))
		if n > len(b) {
			break
		}
		all, b = append(all, b[:n]), b[n:]
	}
	return all
}

// logged returns a secret of the key log.
func (l *link) logged(label string) []byte {
	for line := range strings.Lines(l.keyLog.String()) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == label {
			b, err := hex.DecodeString(fields[2])
			if err != nil {
				panic(err)
			}
			return b
		}
	}
	panic("the key log has no " + label)
}
