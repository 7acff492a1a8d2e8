// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package testvec

import (
	"fmt"
	"strings"
)

// A Record is one record of a trace and what protects it.
type Record struct {
	Who     string
	Type    uint8  // the content type of the payload
	Payload []byte // before protection
	Raw     []byte // as on the wire

	// Label names the traffic secret that protects the record, such as
	// "c hs traffic"; it is "" for a record sent in the clear, and then the
	// fields below are zero.
	Label  string
	Secret []byte
	Key    []byte
	IV     []byte
	Seq    uint64
}

// contentTypes are the words of the RFC's "send ... record" headings.
var contentTypes = map[string]uint8{
	"change_cipher_spec": 20,
	"alert":              21,
	"handshake":          22,
	"application_data":   23,
}

// epochs turn the words of the RFC's "derive ... traffic keys for ... data"
// headings into the labels of the secrets.
var epochs = map[string]string{
	"early application": "e",
	"handshake":         "hs",
	"application":       "ap",
}

// Records returns the records of the trace in the order in which they are
// sent, with the keys that their sender holds at that point.
func (t *Trace) Records() ([]Record, error) {
	var records []Record
	writing := map[string]Record{} // by side: a template with the current keys
	for _, s := range t.Steps {
		if epoch, ok := between(s.What, "derive write traffic keys for ", " data"); ok {
			keys := t.Resolve(s)
			if keys == nil || epochs[epoch] == "" {
				return nil, fmt.Errorf("%s: %s: %s: no keys", t.Name, s.Who, s.What)
			}
			writing[s.Who] = Record{
				Label:  s.Who[:1] + " " + epochs[epoch] + " traffic",
				Secret: keys.Value("PRK"),
				Key:    keys.Value("key_expanded"),
				IV:     keys.Value("iv_expanded"),
			}
			continue
		}
		word, ok := between(s.What, "send ", " record")
		if !ok {
			continue
		}
		r := writing[s.Who]
		if word == "change_cipher_spec" {
			r = Record{} // never protected
		}
		r.Who, r.Type = s.Who, contentTypes[word]
		r.Payload, r.Raw = s.Value("payload"), s.Value("complete_record")
		if r.Type == 0 || len(r.Raw) < 5 {
			return nil, fmt.Errorf("%s: %s: %s: not a record", t.Name, s.Who, s.What)
		}
		records = append(records, r)
		if r.Label != "" {
			next := writing[s.Who]
			next.Seq++
			writing[s.Who] = next
		}
	}
	return records, nil
}

// A Message is one handshake message of a trace, with its header.
type Message struct {
	Who string
	Raw []byte
}

// Messages returns the handshake messages in the order in which they are sent.
func (t *Trace) Messages() ([]Message, error) {
	records, err := t.Records()
	if err != nil {
		return nil, err
	}
	var messages []Message
	for _, r := range records {
		if r.Type != contentTypes["handshake"] {
			continue
		}
		for rest := r.Payload; len(rest) > 0; {
			if len(rest) < 4 {
				return nil, fmt.Errorf("%s: half a message header", t.Name)
			}
			n := 4 + int(rest[1])<<16 + int(rest[2])<<8 + int(rest[3])
			if n > len(rest) {
				return nil, fmt.Errorf("%s: half a message", t.Name)
			}
			messages = append(messages, Message{r.Who, rest[:n:n]})
			rest = rest[n:]
		}
	}
	return messages, nil
}

func between(s, before, after string) (string, bool) {
	s, ok := strings.CutPrefix(s, before)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(s, after)
}
