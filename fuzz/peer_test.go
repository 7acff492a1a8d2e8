// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/testnet"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
	"github.com/mayfly-tls/mayfly/transcript"
)

// A peer is one side of a connection, made of the parts below the root package and
// of no state machine: it says what its script says, and reads whatever comes.
type peer struct {
	*scenario
	breach *breach
	net    *testnet.Conn

	transcript *transcript.Transcript
	hashes     map[wire.MessageType][]byte // of a server's transcript, after its last message of a type
	cipher     *suite.Suite
	main       *schedule.Main
	hands      [2]*schedule.Traffic // of the handshake: the client's, the server's
	apps       [2]*schedule.Traffic // of the application
	exporter   *schedule.Exporter
	psk        []byte // the pre-shared key in use
	resumption *schedule.Resumption
	tickets    []*wire.NewSessionTicket // that were given or got

	// Writing.
	keys    *suite.Keys // nil: in the clear
	seq     uint64
	pending []byte // messages that are not yet in records
	steps   int    // of the script
	done    bool   // our Finished was sent, and the keys changed
	closing bool   // only the close_notify is left
	hold    []byte // a record that goes out behind the next

	// Reading.
	opener    *record.Opener
	assembler wire.Assembler
	buf       []byte
	alert     *alert.Code // the last that came
	received  []byte
	err       error // why nothing more can be read, or said
}

func newPeer(s *scenario, b *breach, net *testnet.Conn) *peer {
	return &peer{scenario: s, breach: b, net: net, transcript: transcript.New(), hashes: make(map[wire.MessageType][]byte), opener: record.NewOpener()}
}

// mine and yours are the indices of the traffic secrets.
func (p *peer) mine() int {
	if p.server {
		return 1
	}
	return 0
}

func (p *peer) yours() int { return 1 - p.mine() }

// run plays the script, and then reads to the end.
func (p *peer) run() {
	if p.server {
		p.serve()
	} else {
		p.connect()
	}
	_ = p.net.CloseWrite()
	if p.err == nil {
		p.readOn()
	}
	// The victim must be able to say what it has to say.
	_, _ = io.Copy(io.Discard, p.net)
}

// A step is a part of the script: a message or something else that is said, or an
// action between two of them.
type step struct {
	name  wire.MessageType // 0: no message
	build func() []byte
	say   func() // instead of build
	act   func() // nothing is said
	last  bool   // keys change, or the other side is to speak, after this message

	index int
	copy  bool
	gone  bool // dropped, but in the transcript
}

func say(name wire.MessageType, build func() []byte) step { return step{name: name, build: build} }
func act(f func()) step                                   { return step{act: f} }

func (s step) ends() step { s.last = true; return s }

// play says steps, as the breach has it.
func (p *peer) play(steps ...step) {
	for i := range steps {
		if steps[i].act == nil {
			steps[i].index = p.steps
			p.steps++
		}
	}
	for _, s := range p.breach.rearrange(p, steps) {
		switch {
		case p.err != nil:
			return
		case s.act != nil:
			p.flush()
			s.act()
		default:
			p.breach.before(p, s)
			p.perform(s)
		}
	}
	p.flush()
	p.put(nil)
}

func (p *peer) perform(s step) {
	if s.say != nil {
		p.flush()
		p.breach.under(p, s, s.say)
		return
	}
	raw := s.build()
	sent, said := p.breach.message(p, s, raw)
	if !p.done {
		p.transcript.Add(said)
		if p.server && p.cipher != nil {
			p.hashes[s.name] = p.transcript.Sum()
		}
	}
	if s.gone {
		return
	}
	p.breach.under(p, s, func() {
		p.pending = append(p.pending, sent...)
		if !p.manner.merge && !p.breach.joins {
			p.flush()
		}
	})
}

// hash is that of the transcript up to a message of a server's, or of all.
func (p *peer) hash(name wire.MessageType) []byte {
	if th, ok := p.hashes[name]; ok {
		return th
	}
	return p.transcript.Sum()
}

// flush puts messages into records.
func (p *peer) flush() {
	b := p.pending
	p.pending = nil
	for len(b) > 0 {
		n := min(p.manner.size(), len(b), p.room())
		p.record(record.Handshake, b[:n])
		b = b[n:]
	}
}

// room is how much content the victim takes in a record.
func (p *peer) room() int {
	if p.keys != nil && p.limit > 0 {
		return p.limit
	}
	return record.MaxPlaintext
}

// record sends one record.
func (p *peer) record(t record.ContentType, content []byte) {
	p.breach.record(p, p.seal(t, content, min(p.manner.padding(), p.room()-min(len(content), p.room()))))
}

// seal makes a record of anything, which record.Sealer would not.
func (p *peer) seal(t record.ContentType, content []byte, padding int) []byte {
	if p.keys == nil || t == record.ChangeCipherSpec {
		return append(header(t, 0x0300|uint16(p.manner.minor), len(content)), content...)
	}
	inner := append(append([]byte(nil), content...), byte(t))
	return p.sealInner(append(inner, make([]byte, padding)...))
}

func (p *peer) sealInner(inner []byte) []byte {
	h := header(record.ApplicationData, 0x0300|uint16(p.manner.minor), len(inner)+16)
	var nonce [suite.NonceLen]byte
	p.keys.Nonce(&nonce, p.seq)
	p.seq++
	return p.keys.AEAD.Seal(h, nonce[:], inner, h)
}

func header(t record.ContentType, version uint16, n int) []byte {
	b := binary.BigEndian.AppendUint16([]byte{byte(t)}, version)
	return binary.BigEndian.AppendUint16(b, uint16(n))
}

// put writes to the net what was held back too.
func (p *peer) put(b []byte) {
	if p.hold != nil {
		b = append(b[:len(b):len(b)], p.hold...)
		p.hold = nil
	}
	if len(b) > 0 {
		_, _ = p.net.Write(b)
	}
}

// send goes over to keys of ours.
func (p *peer) send(t *schedule.Traffic) { p.keys, p.seq = t.Keys(), 0 }

// next returns the victim's next handshake message, nil where none comes.
func (p *peer) next() *wire.Message {
	for p.err == nil {
		msg, ok, err := p.assembler.Next()
		if err != nil {
			p.err = err
			return nil
		}
		if ok {
			return &msg
		}
		p.readRecord(true)
	}
	return nil
}

var errAlert = errors.New("an alert came")

// readRecord takes in one record.
func (p *peer) readRecord(mayStall bool) {
	b, err := p.fetch(mayStall)
	if err != nil {
		p.err = err
		return
	}
	t, content, err := p.opener.Open(b)
	switch {
	case err != nil:
		p.err = err
	case t == record.Handshake:
		p.err = p.assembler.Write(content)
	case t == record.ApplicationData:
		p.received = append(p.received, content...)
	case t == record.Alert && len(content) == 2:
		code := alert.Code(content[1])
		p.alert = &code
		if code != alert.CloseNotify {
			p.err = errAlert
		}
	}
}

func (p *peer) fetch(mayStall bool) ([]byte, error) {
	for {
		if len(p.buf) >= record.HeaderLen {
			n := record.HeaderLen + int(binary.BigEndian.Uint16(p.buf[3:]))
			if len(p.buf) >= n {
				b := p.buf[:n:n]
				p.buf = p.buf[n:]
				return b, nil
			}
		}
		read := p.net.Read
		if mayStall {
			read = p.net.ReadUnlessStalled
		}
		var chunk [4096]byte
		n, err := read(chunk[:])
		p.buf = append(p.buf, chunk[:n]...)
		if err != nil {
			return nil, err
		}
	}
}

// readOn reads all that the victim has to say, until its end.
func (p *peer) readOn() {
	if p.server && p.main != nil {
		p.readClientFlight()
	}
	for p.err == nil {
		msg, ok, err := p.assembler.Next()
		switch {
		case err != nil:
			p.err = err
		case ok && msg.Type == wire.KeyUpdateType:
			p.apps[p.yours()].Update()
			p.opener.SetKeys(p.apps[p.yours()].Keys())
		case ok && msg.Type == wire.NewSessionTicketType:
			var ticket *wire.NewSessionTicket
			if ticket, p.err = wire.ParseNewSessionTicket(msg.Raw); p.err == nil {
				p.tickets = append(p.tickets, ticket)
			}
		case !ok:
			p.readRecord(false)
		}
	}
}

// readClientFlight reads the client's answer, up to its Finished.
func (p *peer) readClientFlight() {
	for {
		msg := p.next()
		if msg == nil {
			return
		}
		if msg.Type == wire.FinishedType {
			m, err := wire.ParseFinished(msg.Raw)
			if err != nil || string(m.VerifyData) != string(p.hands[0].Finished(p.transcript.Sum())) {
				p.err = errors.New("the victim's Finished is wrong")
			}
			p.opener.SetKeys(p.apps[0].Keys())
			p.transcript.Add(msg.Raw)
			p.resumption = p.main.Resumption(p.transcript.Sum())
			return
		}
		p.transcript.Add(msg.Raw)
	}
}
