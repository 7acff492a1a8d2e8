// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
)

// A ladder is the drawing of the messages that passed between the two sides. Lengths are
// in the drawing's own unit.
type ladder struct {
	Width, Height int
	Client        int // where its line stands
	Server        int
	Middle        int
	Top           int
	Bands         []band
	Arrows        []arrow
}

// A band is the ground of one flight.
type band struct {
	Y, Height, Text int
	At, Size        string
}

// An arrow is one message.
type arrow struct {
	Y, Label  int
	From, To  int
	Head      string // the points of its head
	Name      string
	Size      string
	Anchor    string
	Under     string
	Title     string
	Encrypted bool
}

const (
	ladderClient = 180
	ladderServer = 790
	ladderWidth  = 980
	ladderTop    = 44
	rungHeight   = 30
	bandGap      = 10
)

// drawLadder places the messages, which are those of the flights in the same order.
func drawLadder(flights []*Flight, messages []*shown) *ladder {
	l := &ladder{Width: ladderWidth, Client: ladderClient, Server: ladderServer, Middle: (ladderClient + ladderServer) / 2, Top: ladderTop}
	y, next := ladderTop+bandGap, 0
	for _, f := range flights {
		height := len(f.Messages)*rungHeight + 8
		l.Bands = append(l.Bands, band{Y: y, Height: height, Text: y + 20, At: milliseconds(f.At), Size: plural(f.Bytes, "byte")})
		for i := range f.Messages {
			m := messages[next]
			next++
			a := arrow{
				Y: y + (i+1)*rungHeight, From: ladderClient, To: ladderServer, Name: m.Name, Size: m.Size, Anchor: m.Anchor, Under: m.Under,
				Title: m.Name + ", " + m.Size + ", " + cmp.Or(m.Keys, "in the clear"), Encrypted: m.Keys != "",
			}
			if m.Name == "alert" {
				a.Name += " " + m.Detail()
			}
			point, back := ladderServer, ladderServer-9
			if m.From == dissect.Server {
				a.From, a.To, point, back = ladderServer, ladderClient, ladderClient, ladderClient+9
			}
			a.Label = a.Y - 6
			a.Head = points(point, a.Y, back, a.Y-5, back, a.Y+5)
			l.Arrows = append(l.Arrows, a)
		}
		y += height + bandGap
	}
	l.Height = y + 8
	return l
}

// points is a triangle as SVG has it.
func points(x1, y1, x2, y2, x3, y3 int) string {
	return fmt.Sprintf("%d,%d %d,%d %d,%d", x1, y1, x2, y2, x3, y3)
}

// A timeline is the drawing of the secrets' lives. Its columns are times at which
// something was born or died; they are as far from each other as there is room, however
// long it took.
type timeline struct {
	Width, Height int
	Left, Top     int
	Columns       []column
	Rows          []row
}

type column struct {
	X    int
	At   string
	What string
}

// A row is the life of one secret.
type row struct {
	*Secret
	Y, Text    int
	Indent     int
	X, Width   int
	Bar        int // its upper edge
	Kind       string
	Born, Died string
	Guessed    string // what of it is not observed: "", "born", "died", "both"
	Title      string
}

const (
	timelineLeft  = 300
	columnWidth   = 54
	rowHeight     = 24
	letterWidth   = 7.5 // on an average, of a wide typeface
	slope         = 42 * math.Pi / 180
	closeTogether = 40 * time.Microsecond
)

// drawTimeline places the secrets.
func drawTimeline(roots []*Secret) *timeline {
	t := &timeline{Left: timelineLeft}
	flat := flatten(roots, 0, nil)
	places := t.columns(flat)
	y := t.Top
	for _, f := range flat {
		x := places[f.secret.Born]
		end, known := places[f.secret.Died]
		if !known || f.secret.Died == 0 {
			end = t.Width
		}
		r := row{
			Secret: f.secret, Y: y, Text: y + 16, Indent: 8 + 14*f.depth, X: x, Width: max(end-x, 8), Bar: y + 5, Kind: kindOf(f.secret),
			Born: milliseconds(f.secret.Born), Died: death(f.secret), Guessed: guessed(f.secret),
		}
		r.Title = r.Name + ": born " + r.Born + " (" + r.BornBy + "), died " + r.Died + " (" + r.DiedBy + ")"
		t.Rows = append(t.Rows, r)
		y += rowHeight
	}
	t.Height = y + 10
	return t
}

type placed struct {
	secret *Secret
	depth  int
}

func flatten(secrets []*Secret, depth int, all []placed) []placed {
	for _, s := range secrets {
		all = flatten(s.Parts, depth+1, append(all, placed{s, depth}))
	}
	return all
}

// columns makes one column of the times that lie close together, and returns where each
// time stands.
func (t *timeline) columns(flat []placed) map[time.Duration]int {
	what := make(map[time.Duration]string)
	var times []time.Duration
	note := func(at time.Duration, by string) {
		if at > 0 {
			times = append(times, at)
			what[at] = better(what[at], by)
		}
	}
	for _, f := range flat {
		note(f.secret.Born, f.secret.BornBy)
	}
	for _, f := range flat {
		note(f.secret.Died, f.secret.DiedBy)
	}
	slices.Sort(times)
	places := make(map[time.Duration]int)
	var begun time.Duration
	for i, at := range slices.Compact(times) {
		if i == 0 || at-begun > closeTogether {
			begun = at
			t.Columns = append(t.Columns, column{X: timelineLeft + columnWidth*len(t.Columns) + 20, At: milliseconds(at)})
		}
		last := &t.Columns[len(t.Columns)-1]
		last.What = better(last.What, what[at])
		places[at] = last.X
	}
	// The names of columns stand at 42 degrees.
	for _, c := range t.Columns {
		length := letterWidth * float64(len([]rune(c.At+" "+c.What)))
		t.Top = max(t.Top, 20+int(length*math.Sin(slope)))
		t.Width = max(t.Width, c.X+20+int(length*math.Cos(slope)))
	}
	return places
}

// better is the name of a moment that says more: what happens to keys and IVs follows from
// something else.
func better(a, b string) string {
	if a == "" || a == wiped || a == inUse {
		return cmp.Or(b, a)
	}
	return a
}

// kindOf is a word for the colour of a secret.
func kindOf(s *Secret) string {
	switch {
	case s.SeenBorn && s.BornBy == inUse:
		return "key"
	case colour(s.Name) == "handshake" && s.SeenBorn:
		return "handshake"
	case s.SeenBorn:
		return "application"
	}
	return "stage"
}

func guessed(s *Secret) string {
	switch {
	case s.SeenBorn && s.SeenDied:
		return ""
	case s.SeenBorn:
		return "died"
	case s.SeenDied:
		return "born"
	}
	return "both"
}
