// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
)

//go:embed page.html
var pageText string

// A page is a Report as the template wants it.
type page struct {
	*Report
	Ladder   *ladder
	Timeline *timeline
	Shown    []*shown
}

// A shown is a message with all of its bytes.
type shown struct {
	*Message
	N       int
	Anchor  string
	Under   string // a word for a colour: clear, handshake, application
	Size    string
	Map     []piece
	Fields  *shownField
	Carried []*shownRecord
}

// A piece is what one field is of a message's bytes.
type piece struct {
	Path  string
	Hex   string
	Shade int
}

// A shownRecord is a record that carries a message, or a part of one.
type shownRecord struct {
	N      int
	First  bool // the record was not shown before
	Fields *shownField
}

// A shownField is a Field with its bytes.
type shownField struct {
	*dissect.Field
	Range string
	Hex   string // of a field without parts
	More  string // what Hex has no room for
	Parts []*shownField
}

// How much is shown in a row, and of what is no handshake message.
const (
	rowBytes  = 32
	dataBytes = 1024
)

// WriteHTML writes the Report as one page, which needs nothing from elsewhere.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{"ms": milliseconds, "list": list, "odd": func(i int) bool { return i%2 == 1 }}).Parse(pageText)
	if err != nil {
		return err
	}
	p := &page{Report: r, Shown: show(r.Messages)}
	p.Ladder = drawLadder(r.Flights, p.Shown)
	p.Timeline = drawTimeline(r.Secrets)
	return t.Execute(w, p)
}

// show prepares the messages. A record is explained with the first message that it
// carries.
func show(messages []*Message) (all []*shown) {
	numbers := make(map[*Record]int)
	for i, m := range messages {
		s := &shown{Message: m, N: i + 1, Anchor: fmt.Sprintf("message-%d", i+1), Under: colour(m.Keys), Size: plural(len(m.Bytes), "byte")}
		bytes := m.Bytes
		if !m.handshake && len(bytes) > dataBytes {
			bytes = bytes[:dataBytes]
		}
		s.Fields = showField(m.Fields, bytes)
		s.Map = mapOf(m.Fields, bytes, "", nil)
		for i := range s.Map {
			s.Map[i].Shade = i % 4
		}
		for _, r := range m.Records {
			n, seen := numbers[r]
			if !seen {
				n = len(numbers) + 1
				numbers[r] = n
			}
			record := &shownRecord{N: n, First: !seen}
			if !seen {
				record.Fields = showField(r.Fields, r.Bytes)
			}
			s.Carried = append(s.Carried, record)
		}
		all = append(all, s)
	}
	return all
}

// colour is the kind of keys that protect something.
func colour(keys string) string {
	switch {
	case keys == "":
		return "clear"
	case strings.Contains(keys, "handshake"):
		return "handshake"
	}
	return "application"
}

func showField(f *dissect.Field, b []byte) *shownField {
	s := &shownField{Field: f, Range: fmt.Sprintf("%d", f.Off)}
	if f.Len > 1 {
		s.Range = fmt.Sprintf("%d–%d", f.Off, f.Off+f.Len-1)
	}
	for _, p := range f.Parts {
		s.Parts = append(s.Parts, showField(p, b))
	}
	if len(f.Parts) == 0 {
		part := b[min(f.Off, len(b)):min(f.Off+f.Len, len(b))]
		cut := min(len(part), rowBytes)
		s.Hex, s.More = spaced(part[:cut]), spaced(part[cut:])
		if len(part) < f.Len {
			s.More += " …"
		}
	}
	return s
}

// mapOf lists the fields without parts, in the order of their bytes.
func mapOf(f *dissect.Field, b []byte, path string, all []piece) []piece {
	if path != "" {
		path += " › "
	}
	path += f.Name
	within := path
	if f.Value != "" {
		path += ": " + f.Value
	}
	for _, p := range f.Parts {
		if len(p.Parts) > 0 {
			all = mapOf(p, b, within, all)
		} else {
			all = mapOf(p, b, path, all) // of what it is a part may say what it means
		}
	}
	if len(f.Parts) == 0 && f.Len > 0 {
		all = append(all, piece{Path: path, Hex: spaced(b[min(f.Off, len(b)):min(f.Off+f.Len, len(b))])})
	}
	return all
}

// spaced is b in hex, with room for line breaks.
func spaced(b []byte) string {
	var s strings.Builder
	for i := range b {
		if i > 0 {
			s.WriteByte(' ')
		}
		s.WriteString(hex.EncodeToString(b[i : i+1]))
	}
	return s.String()
}
