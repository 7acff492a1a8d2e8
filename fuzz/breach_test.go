// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"bytes"
	"errors"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

var errScript = errors.New("the victim does not follow the script")

// A kind is a rule that is broken.
type kind uint8

const (
	nothing      kind = iota
	drop              // a message is not sent, or several in a row
	twice             // a message is sent twice
	swap              // a message changes its place with the next
	replace           // another message is sent than the transcript has
	rewrite           // a message is another, and the transcript agrees
	strayMessage      // a message that nobody expects
	strayRecord       // a record that is no message
	flood             // many records of what is tolerated a few times
	straddle          // a message before a change of keys does not end its record
	interrupt         // another record comes between the parts of a message
	wrongKeys         // a step is sealed under other keys
	impostor          // the proof of an identity is wrong
	flip              // a bit of a record is another
	repeatRecord      // a record comes twice
	loseRecord        // a record does not come
	swapRecord        // a record changes its place with the next
	cutStream         // the stream ends too early
	kinds
)

// An outcome is what must come of a connection.
type outcome uint8

const (
	succeed       outcome = iota
	failHandshake         // the victim's handshake fails
	fail                  // the victim never sees an end of the stream in order
	ends                  // as succeed, but all the data need not have come
	either
)

// A verdict is the outcome that a breach must have.
type verdict struct {
	outcome outcome
	code    alert.Code // that the victim must have sent, or with remote got; 0: any
	remote  bool       // the peer has sent the alert
	cut     bool       // it must be ErrTruncated
}

// A breach is the one rule that a peer breaks. Whether it came to that, and what
// must come of it, stands in verdict: success where nothing was broken.
type breach struct {
	kind kind
	at   int // number of the step, or of the record
	arg  uint64

	// instead, where set, is called before step at, and sets the verdict.
	instead func(p *peer, s step)

	verdict verdict
	records int
	sent    int
	joins   bool    // the message goes into one record with the next
	held    verdict // of a record that is held back, if it goes out behind another
}

// part takes a number below n out of arg.
func (b *breach) part(n int) int {
	k := b.arg % uint64(n)
	b.arg /= uint64(n)
	return int(k)
}

// must sets the verdict: a failure, in the handshake where that is not yet over.
func (b *breach) must(p *peer, code alert.Code) {
	b.verdict = verdict{outcome: fail, code: code}
	if !p.done {
		b.verdict.outcome = failHandshake
	}
}

// rearrange drops, doubles or swaps messages.
func (b *breach) rearrange(p *peer, steps []step) []step {
	isAt := func(index int) func(step) bool {
		return func(s step) bool { return s.act == nil && s.index == index }
	}
	i := slices.IndexFunc(steps, isAt(b.at))
	if i < 0 || steps[i].name == 0 {
		return steps
	}
	ticket, update := steps[i].name == wire.NewSessionTicketType, steps[i].name == wire.KeyUpdateType
	switch b.kind {
	case drop:
		return b.drop(p, steps, i)
	case straddle:
		return b.join(p, steps, i)
	case twice:
		second := steps[i]
		second.copy = true
		steps = slices.Insert(steps, i+1, second)
		switch {
		case ticket:
		case update, second.name == wire.FinishedType:
			b.verdict.outcome = fail
		default:
			b.must(p, 0)
		}
	case swap:
		j := slices.IndexFunc(steps, isAt(b.at+1))
		if j < 0 || steps[j].name == 0 || steps[i].name == steps[j].name {
			break
		}
		steps[i], steps[j] = steps[j], steps[i]
		b.must(p, 0)
		if ticket || update {
			b.verdict.outcome = fail
		}
	}
	return steps
}

// drop leaves one to three messages out, from the transcript too or not.
func (b *breach) drop(p *peer, steps []step, i int) []step {
	silent := b.part(2) == 1
	for n := 1 + b.part(3); n > 0 && i < len(steps); n-- {
		for i < len(steps) && steps[i].name == 0 {
			i++
		}
		if i == len(steps) {
			break
		}
		switch name := steps[i].name; {
		case name == wire.NewSessionTicketType:
		case name == wire.KeyUpdateType:
			b.verdict.outcome = max(b.verdict.outcome, fail)
		case name == wire.CertificateRequestType && !silent && b.verdict.outcome == succeed:
			b.verdict.outcome = either // a server need not ask
		default:
			b.must(p, 0)
		}
		if steps[i].gone = silent; silent {
			i++
		} else {
			steps = slices.Delete(steps, i, i+1)
		}
	}
	return steps
}

// join puts the message after a change of keys into the record before it.
func (b *breach) join(p *peer, steps []step, i int) []step {
	if !steps[i].last || b.part(2) == 0 {
		return steps
	}
	for j := i + 1; j < len(steps); j++ {
		if steps[j].name == 0 {
			continue
		}
		next := steps[j]
		steps = slices.Insert(slices.Delete(steps, j, j+1), i+1, next)
		b.must(p, 0)
		if name := steps[i].name; name == wire.FinishedType || name == wire.KeyUpdateType {
			b.verdict.outcome = fail
		}
		b.joins = true
		break
	}
	return steps
}

// message changes a message: sent is what goes to the victim, said what our
// transcript has.
func (b *breach) message(p *peer, s step, raw []byte) (sent, said []byte) {
	if s.index != b.at || s.copy {
		return raw, raw
	}
	switch b.kind {
	case replace, rewrite:
		changed := b.mutate(bytes.Clone(raw))
		if bytes.Equal(changed, raw) {
			break
		}
		proof := s.name == wire.FinishedType || s.name == wire.CertificateVerifyType
		if b.verdict.outcome = either; !p.done && (b.kind == replace || proof) {
			b.must(p, 0)
			if s.name == wire.FinishedType && bytes.HasPrefix(changed, raw) {
				b.verdict.outcome = fail // what is too much may come too late
			}
		}
		if b.kind == rewrite {
			return changed, changed
		}
		return changed, raw
	case straddle:
		if !s.last || b.joins {
			break
		}
		if b.must(p, 0); s.name == wire.FinishedType {
			b.verdict.outcome = fail
		}
		extra := []string{"\x08", "\x18\x00\x00\x01\x00", "\x08\x00\x00\x02\x00\x00", "\x14\x00\x00"}[b.part(4)]
		return slices.Concat(raw, []byte(extra)), raw
	}
	return raw, raw
}

// mutate changes a message in one place.
func (b *breach) mutate(raw []byte) []byte {
	mode, frame := b.part(6), b.part(2) == 1
	i, v := b.part(len(raw)), byte(b.part(256))
	switch mode {
	case 0:
		raw[i] ^= v
	case 1:
		raw[i] ^= 1 << (v % 8)
	case 2:
		raw = slices.Delete(raw, i, min(len(raw), i+1+int(v%16)))
	case 3:
		raw = slices.Insert(raw, i, bytes.Repeat([]byte{v}, 1+int(v%4))...)
	case 4:
		raw = raw[:i]
	case 5:
		raw = append(raw, raw[i:]...)
	}
	if n := len(raw) - 4; frame && n >= 0 {
		raw[1], raw[2], raw[3] = byte(n>>16), byte(n>>8), byte(n)
	}
	return raw
}

// under says a step, under which keys ever.
func (b *breach) under(p *peer, s step, say func()) {
	if b.kind == interrupt && s.index == b.at && s.name != 0 {
		b.interrupt(p, say)
		return
	}
	if b.kind != wrongKeys || s.index != b.at {
		say()
		return
	}
	p.flush()
	b.must(p, 0)
	keys, seq := p.keys, p.seq
	switch how := b.part(3); {
	case keys == nil, how == 1:
		p.keys = p.cipher.NewKeys(pattern(p.cipher.KeyLen, 'k'), pattern(suite.NonceLen, 'n'))
	case how == 0 && s.name != 0:
		p.keys = nil
	default:
		p.seq += 1 + uint64(b.part(1000))
	}
	say()
	p.flush()
	p.keys, p.seq = keys, seq
}

// interrupt says a message in two parts, and something between them.
func (b *breach) interrupt(p *peer, say func()) {
	p.flush()
	merge := p.manner.merge
	p.manner.merge = true
	say()
	p.manner.merge = merge
	msg := p.pending
	n := 1 + b.part(len(msg)-1)
	b.must(p, alert.UnexpectedMessage)
	p.pending = msg[:n:n]
	p.flush()
	switch b.part(3) {
	case 0:
		p.record(record.ChangeCipherSpec, []byte{1})
	case 1:
		p.record(record.Alert, []byte{1, byte(alert.UserCanceled)})
	case 2:
		p.record(record.ApplicationData, []byte("x"))
	}
	p.pending = msg[n:]
	p.flush()
}

// record puts a record on the way, changed or not.
func (b *breach) record(p *peer, r []byte) {
	at := b.records == b.at
	b.records++
	clear := p.keys == nil || record.ContentType(r[0]) == record.ChangeCipherSpec
	ccs := record.ContentType(r[0]) == record.ChangeCipherSpec
	if p.hold != nil {
		if b.verdict = b.held; ccs || bytes.Equal(r, p.hold) {
			b.verdict.outcome = either
		}
	}
	switch {
	case b.kind == cutStream:
		left := int(b.arg%(1<<16)) - b.sent
		b.sent += len(r)
		if left < len(r) && b.verdict.outcome == succeed {
			b.must(p, 0)
			b.verdict.cut = true
			p.put(r[:left])
			_ = p.net.CloseWrite()
		}
		if b.verdict.outcome != succeed {
			return // what is written from now on is lost
		}
	case !at:
	case b.kind == flip:
		i := b.part(len(r))
		r[i] ^= 1 << b.part(8)
		if i == 2 && clear {
			break // the minor version is ignored
		}
		if b.must(p, 0); !clear && (i == 2 || i >= record.HeaderLen) {
			b.verdict.code = alert.BadRecordMAC
		}
	case b.kind == repeatRecord:
		p.put(r)
		switch {
		case ccs, p.closing:
		case clear:
			b.must(p, 0)
		default:
			b.verdict = verdict{outcome: fail, code: alert.BadRecordMAC}
		}
	case b.kind == loseRecord:
		if !ccs {
			b.must(p, 0)
		}
		return
	case b.kind == swapRecord:
		b.must(p, 0)
		if b.held = b.verdict; ccs {
			b.held.outcome = either
		}
		b.verdict = verdict{}
		p.hold = r
		return
	}
	p.put(r)
}
