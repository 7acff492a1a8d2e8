// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// A Record is one that passed on the wire.
type Record struct {
	From   dissect.Sender
	At     time.Duration // its last byte
	Bytes  []byte
	Keys   string // those that protect it, "" in the clear
	Fields *dissect.Field
	Wrong  string // why it could not be opened
}

// A Message is what records carry: a handshake message, an alert, or something else that
// one record holds.
type Message struct {
	From    dissect.Sender
	At      time.Duration
	Name    string
	Bytes   []byte
	Keys    string // those that protected it, "" in the clear
	Fields  *dissect.Field
	Records []*Record

	handshake bool
}

// mostRecords is how many records of one side are opened.
const mostRecords = 1024

// A side opens what one side has sent, in order.
type side struct {
	from     dissect.Sender
	secrets  *keyLog
	suite    *suite.Suite // once it is known
	opener   *record.Opener
	traffic  *schedule.Traffic
	keys     string
	whole    []byte    // of a handshake message, what there is
	across   []*Record // those over which it goes
	records  []*Record
	messages []*Message
	reveal   func(name string, secret []byte) // nil where nothing is revealed
}

// The names of a side's secrets, with %s for the side.
const (
	handshakeTraffic   = "%s_handshake_traffic_secret"
	applicationTraffic = "%s_application_traffic_secret_%d"
)

// decode opens a recording. The suite is that of the connection, nil where none was
// agreed on.
func decode(r *recording, from dissect.Sender, secrets *keyLog, s *suite.Suite, reveal func(string, []byte)) *side {
	d := &side{from: from, secrets: secrets, suite: s, opener: record.NewOpener(), reveal: reveal}
	defer d.opener.Wipe()
	defer d.drop()
	for off := 0; off < len(r.bytes) && len(d.records) < mostRecords; {
		end := len(r.bytes)
		if b := r.bytes[off:]; len(b) >= record.HeaderLen {
			end = min(off+record.HeaderLen+int(b[3])<<8+int(b[4]), end)
		}
		d.take(&Record{From: from, At: r.when(end), Bytes: r.bytes[off:end]})
		off = end
	}
	if len(d.whole) > 0 {
		d.handshake(d.whole, d.records[len(d.records)-1])
	}
	return d
}

// take opens one record, and finds what is in it.
func (d *side) take(r *Record) {
	d.records = append(d.records, r)
	t, content, err := d.open(r)
	if err != nil {
		r.Wrong = plain(err)
		r.Fields = dissect.Record(r.Bytes, nil)
		d.add("record that could not be opened", nil, nil, r)
		return
	}
	var in *dissect.Inside
	if r.Keys != "" {
		in = &dissect.Inside{Type: uint8(t), Content: len(content)}
	}
	r.Fields = dissect.Record(r.Bytes, in)
	switch t {
	case record.Handshake:
		d.assemble(content, r)
	case record.Alert:
		d.add("alert", content, dissect.Alert(content), r)
	case record.ChangeCipherSpec:
		d.add("change_cipher_spec", content, dissect.ChangeCipherSpec(content), r)
	case record.ApplicationData:
		d.add(fmt.Sprintf("application data, %d bytes", len(content)), content, nil, r)
	default:
		d.add("unknown record", content, nil, r)
	}
}

// open returns the content of a record. A client's first protected record is under its
// handshake keys: the inspector sends no early data.
func (d *side) open(r *Record) (record.ContentType, []byte, error) {
	b := bytes.Clone(r.Bytes)
	if len(b) < record.HeaderLen {
		return 0, nil, fmt.Errorf("it ends after %d bytes", len(b))
	}
	t, n, err := record.ParseHeader(b)
	switch {
	case err != nil:
		return 0, nil, err
	case n != len(b)-record.HeaderLen:
		return 0, nil, fmt.Errorf("it ends after %d bytes of %d", len(b)-record.HeaderLen, n)
	case t == record.ApplicationData && d.from == dissect.Client && d.traffic == nil:
		d.install(handshakeTraffic, "CLIENT_HANDSHAKE_TRAFFIC_SECRET")
	}
	if t != record.ChangeCipherSpec {
		r.Keys = d.keys
	}
	return d.opener.Open(b)
}

// assemble takes the handshake messages out of a record's content.
func (d *side) assemble(content []byte, r *Record) {
	d.whole = append(d.whole, content...)
	if len(d.across) == 0 || d.across[len(d.across)-1] != r {
		d.across = append(d.across, r)
	}
	for len(d.whole) >= 4 {
		n := 4 + int(d.whole[1])<<16 + int(d.whole[2])<<8 + int(d.whole[3])
		if len(d.whole) < n {
			return
		}
		msg := d.whole[:n:n]
		d.whole = d.whole[n:]
		d.handshake(msg, r)
	}
	if len(d.whole) == 0 {
		d.whole, d.across = nil, nil
	}
}

// handshake notes a message that ended with a record, and changes keys after it where the
// RFC does.
func (d *side) handshake(msg []byte, last *Record) {
	f := dissect.Handshake(msg, d.from)
	m := d.add(f.Name, msg, f, last)
	m.Records, d.across = d.across, []*Record{last}
	m.handshake = true
	label := map[dissect.Sender]string{dissect.Client: "CLIENT", dissect.Server: "SERVER"}[d.from]
	switch {
	case f.Name == "ServerHello" && d.from == dissect.Server:
		d.install(handshakeTraffic, label+"_HANDSHAKE_TRAFFIC_SECRET")
	case wire.MessageType(msg[0]) == wire.FinishedType:
		d.install(applicationTraffic, label+"_TRAFFIC_SECRET_0")
	case wire.MessageType(msg[0]) == wire.KeyUpdateType && d.traffic != nil:
		d.traffic.Update()
		d.use(fmt.Sprintf(applicationTraffic, d.from, d.traffic.Generation()))
	}
}

// install takes a traffic secret from the key log, if it is there.
func (d *side) install(name, label string) {
	found := d.secrets.find(label)
	if found == nil || d.suite == nil {
		return
	}
	d.drop()
	d.traffic = schedule.ContinueTraffic(d.suite, found.secret.Clone(), 0)
	if name == applicationTraffic {
		d.use(fmt.Sprintf(name, d.from, 0))
		return
	}
	d.use(fmt.Sprintf(name, d.from))
}

// use opens what follows with the keys of the present secret.
func (d *side) use(name string) {
	d.opener.SetKeys(d.traffic.Keys())
	d.keys = name
	if d.reveal != nil {
		d.reveal(name, d.traffic.Secret())
	}
}

// drop destroys the present secret.
func (d *side) drop() {
	if d.traffic != nil {
		d.traffic.Wipe()
		d.traffic = nil
	}
}

// add notes a message. Without fields, it is bytes.
func (d *side) add(name string, content []byte, f *dissect.Field, r *Record) *Message {
	if f == nil {
		f = &dissect.Field{Name: "content", Len: len(content)}
	}
	m := &Message{From: d.from, At: r.At, Name: name, Bytes: content, Keys: r.Keys, Fields: f, Records: []*Record{r}}
	d.messages = append(d.messages, m)
	return m
}

// inOrder merges the messages of both sides by their times.
func inOrder(client, server []*Message) []*Message {
	all := slices.Concat(client, server)
	slices.SortStableFunc(all, func(a, b *Message) int { return cmp.Compare(a.At, b.At) })
	return all
}

// agreedSuite returns the suite that a server's first messages name, nil if they name
// none that is known.
func agreedSuite(r *recording) *suite.Suite {
	clear := decode(r, dissect.Server, new(keyLog), nil, nil)
	for _, m := range clear.messages {
		if m.Name == "ServerHello" || m.Name == "HelloRetryRequest" {
			if hello, err := wire.ParseServerHello(m.Bytes); err == nil {
				return suite.ByID(suite.ID(hello.CipherSuite))
			}
		}
	}
	return nil
}
