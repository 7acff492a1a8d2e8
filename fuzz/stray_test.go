// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"crypto/rand"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// before says what has no place before step s.
func (b *breach) before(p *peer, s step) {
	if s.index != b.at || s.copy {
		return
	}
	if b.instead != nil {
		p.flush()
		b.instead(p, s)
	}
	switch b.kind {
	case strayMessage:
		b.strayMessage(p, s)
	case strayRecord:
		p.flush()
		b.strayRecord(p, s)
	case flood:
		p.flush()
		b.flood(p, s)
	}
}

// strayMessages are messages, more or less well formed.
var strayMessages = []string{
	"\x00\x00\x00\x00",         // hello_request
	"\x18\x00\x00\x01\x00",     // key_update
	"\x18\x00\x00\x01\x01",     // key_update that asks for one
	"\x18\x00\x00\x01\x02",     // key_update of an unknown kind
	"\x05\x00\x00\x00",         // end_of_early_data
	"\x08\x00\x00\x02\x00\x00", // encrypted_extensions
	"\x14\x00\x00\x20" + "0123456789abcdef0123456789abcdef",        // finished
	"\xfe\x00\x00\x20" + "0123456789abcdef0123456789abcdef",        // message_hash
	"\x19\x00\x00\x08\x00\x01\x00\x00\x00\x00\x00\x00",             // compressed_certificate
	"\x0b\x00\x00\x04\x00\x00\x00\x00",                             // certificate
	"\x0f\x00\x00\x08\x08\x07\x00\x04abcd",                         // certificate_verify
	"\x01\x00\x00\x00",                                             // client_hello
	"\x02\x00\x00\x00",                                             // server_hello
	"\x03\x00\x00\x03\xfe\xff\x00",                                 // hello_verify_request
	"\x10\x00\x00\x00",                                             // client_key_exchange
	"\x0e\x00\x00\x00",                                             // server_hello_done
	"\x0c\x00\x00\x00",                                             // server_key_exchange
	"\x16\x00\x00\x00",                                             // certificate_status
	"\x63\x00\x00\x01x",                                            // unknown
	"\x0b\xff\xff\xff",                                             // the longest certificate
	"\x63\xff\xff\xff",                                             // the longest of an unknown type
	"\x0d\x00\x00\x0b\x00\x00\x08\x00\x0d\x00\x04\x00\x02\x08\x07", // certificate_request
	"\x04\x00\x00\x0e\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01t\x00\x00",                              // new_session_ticket
	"\x04\x00\x00\x16\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01t\x00\x08\x00*\x00\x04\xff\xff\xff\xff", // with early data
}

// strayMessage says a message that nobody expects.
func (b *breach) strayMessage(p *peer, s step) {
	agreed, msg := b.part(2) == 1, strayMessages[b.part(len(strayMessages))]
	name := wire.MessageType(msg[0])
	b.must(p, 0)
	switch {
	case p.done && p.server && name == wire.NewSessionTicketType:
		b.verdict.outcome = succeed
	case name == wire.CertificateRequestType && s.name == wire.CertificateType && p.server && p.clientAuth == unasked:
		b.verdict.outcome = either // it has its place there
	}
	if agreed && !p.done {
		p.transcript.Add([]byte(msg))
	}
	p.pending = append(p.pending, msg...)
	if !p.manner.merge {
		p.flush()
	}
}

// strayRecord says a record that is not expected, or is.
func (b *breach) strayRecord(p *peer, s step) {
	which, n := b.part(18), b.part(1000)
	b.must(p, 0)
	if which < 8 {
		b.strayContent(p, s, which, n)
	} else {
		b.strayForm(p, which, n)
	}
}

// stray sends a record with a little padding.
func (b *breach) stray(p *peer, t record.ContentType, content string) {
	b.record(p, p.seal(t, []byte(content), p.manner.padding()%32))
}

// strayContent says a record that is well made.
func (b *breach) strayContent(p *peer, s step, which, n int) {
	first := !p.server && s.index == 0 // nothing of ours was said
	v := &b.verdict
	switch which {
	case 0:
		switch v.code = alert.Code(n % 256); {
		case v.code == alert.CloseNotify && p.done:
			v.outcome = ends
		case v.code == alert.CloseNotify:
			v.cut = true
		case v.code == alert.UserCanceled:
			*v = verdict{}
		default:
			v.remote = true
		}
		b.stray(p, record.Alert, string([]byte{byte(1 + n/256), byte(n)}))
	case 1:
		v.code = alert.DecodeError
		b.stray(p, record.Alert, []string{"\x02", "\x02\x28\x00", "\x01\x5a\x01\x5a"}[n%3])
	case 2:
		if !p.done && !first {
			*v = verdict{}
		}
		b.stray(p, record.ChangeCipherSpec, "\x01")
	case 3:
		v.code = alert.UnexpectedMessage
		b.stray(p, record.ChangeCipherSpec, []string{"", "\x00", "\x02", "\x01\x01"}[n%4])
	case 4:
		v.code = alert.UnexpectedMessage
		b.stray(p, record.Handshake, "")
	case 5:
		v.code = alert.UnexpectedMessage
		b.stray(p, record.Alert, "")
	case 6:
		if p.done {
			*v = verdict{}
		}
		b.stray(p, record.ApplicationData, "")
	case 7:
		if p.done {
			*v = verdict{}
			break
		}
		v.code = alert.UnexpectedMessage
		b.stray(p, record.ApplicationData, "x")
	}
}

// strayForm says a record that is badly made.
func (b *breach) strayForm(p *peer, which, n int) {
	clear := p.keys == nil
	v := &b.verdict
	v.code = alert.UnexpectedMessage
	switch which {
	case 8:
		p.put([]byte{byte(24 + n%200), 3, 3, 0, 1, 'x'})
	case 9:
		b.stray(p, []record.ContentType{0xff, 19, 24, 26, 80}[n%5], "x")
	case 10:
		v.code = alert.RecordOverflow
		p.put(p.seal(record.Handshake, make([]byte, record.MaxPlaintext+1), 0))
	case 11:
		v.code = alert.RecordOverflow
		p.put([]byte{byte(20 + n%4), 3, 3, 0x41, 0x01})
	case 12:
		if clear {
			b.stray(p, record.Handshake, "")
			break
		}
		if p.limit > 0 {
			v.code = 0 // it may be too long first
		}
		p.put(p.sealInner(make([]byte, 1+n)))
	case 13:
		if !clear {
			v.code = alert.BadRecordMAC
		}
		junk := make([]byte, n)
		_, _ = rand.Read(junk)
		p.put(append(header(record.ApplicationData, 0x0303, n), junk...))
	case 14:
		p.put([]byte("GET / HTTP/1.1\r\n\r\n"))
	case 15:
		if byte(n) == 3 {
			v.code = 0 // the version is right, and what is in it is not
		}
		p.put([]byte{22, byte(n), 3, 0, 1, 'x'})
	case 16:
		if clear {
			*v = verdict{}
			break
		}
		v.code = alert.BadRecordMAC
		p.seq += 1 + uint64(n)
		b.stray(p, record.ApplicationData, "x")
	case 17:
		if clear || p.limit == 0 || !p.done {
			*v = verdict{}
			break
		}
		v.code = alert.RecordOverflow
		b.stray(p, record.ApplicationData, string(make([]byte, p.limit+1)))
	}
}

// flood says too often what may be said a few times.
func (b *breach) flood(p *peer, s step) {
	const times = 40
	which := b.part(5)
	first := !p.server && s.index == 0
	switch {
	case which < 2 && first, which >= 2 && !p.done, which == 3 && !p.server, which == 1 && p.done:
		return
	}
	b.must(p, alert.UnexpectedMessage)
	for range times {
		switch which {
		case 0:
			p.record(record.Alert, []byte{1, byte(alert.UserCanceled)})
		case 1:
			p.record(record.ChangeCipherSpec, []byte{1})
		case 2:
			p.record(record.ApplicationData, nil)
		case 3:
			p.pending = append(p.pending, ticket(1).Marshal()...)
			p.flush()
		case 4:
			p.pending = append(p.pending, (&wire.KeyUpdate{}).Marshal()...)
			p.flush()
			p.apps[p.mine()].Update()
			p.send(p.apps[p.mine()])
		}
	}
}
