// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A table is what was measured: a row for each work.
type table []row

type row struct {
	Work, Unit string
	Less       bool // a smaller figure is better
	Cells      []cell
}

type cell struct {
	Name   string
	Figure float64
}

// The reference of all ratios.
const reference = "crypto/tls"

func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// ratio compares a cell with crypto/tls: more than 1 is better. It is 0 where there
// is nothing to compare with.
func (r row) ratio(c cell) float64 {
	for _, other := range r.Cells {
		if other.Name != reference || other.Figure == 0 || c.Figure == 0 {
			continue
		}
		if r.Less {
			return other.Figure / c.Figure
		}
		return c.Figure / other.Figure
	}
	return 0
}

// print writes the table as Markdown.
func (t table) print(w io.Writer) {
	var names []string
	for _, r := range t {
		for _, c := range r.Cells {
			if !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	fmt.Fprintf(w, "| work | unit | %s |\n|---|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, r := range t {
		fmt.Fprintf(w, "| %s | %s |", r.Work, r.Unit)
		for _, name := range names {
			text := ""
			for _, c := range r.Cells {
				if c.Name == name {
					text = number(c.Figure)
					if ratio := r.ratio(c); ratio != 0 && name != reference {
						text += fmt.Sprintf(" (%.2f)", ratio)
					}
				}
			}
			fmt.Fprintf(w, " %s |", text)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "\nIn parentheses: how many times better than "+reference+".")
}

func number(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// svg draws the ratios of the libraries as bars, a group for each work, with a line at
// that of crypto/tls. Its colours suit light and dark pages.
func (t table) svg() []byte {
	const left, width, bar, gap, top, most = 340, 820, 16, 8, 40, 4.0
	const scale = (width - left - 60) / most
	libraries := map[string]string{"mayfly": "#2a9d5c", "flynn/noise": "#c08030"}
	var b bytes.Buffer
	y := top
	for _, r := range t {
		began := y
		for _, c := range r.Cells {
			colour, ok := libraries[c.Name]
			ratio := r.ratio(c)
			none := r.Less && c.Figure < 0.005
			if !ok || ratio == 0 && !none {
				continue
			}
			long, said := min(ratio, most)*scale, fmt.Sprintf("%.2f", ratio)
			if none {
				long, said = most*scale, "none"
			}
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.0f" height="%d" fill="%s"/><text x="%.0f" y="%d">%s</text>`+"\n",
				left, y+2, long, bar-3, colour, left+long+4, y+bar-4, said)
			y += bar
		}
		if y > began {
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-8, began+bar-4, r.Work)
			y += gap
		}
	}
	var whole bytes.Buffer
	fmt.Fprintf(&whole, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="11" fill="#808080">`+"\n", width, y)
	fmt.Fprintf(&whole, "<title>How many times better than %s: longer is better</title>\n", reference)
	x := left
	for _, name := range slices.Sorted(maps.Keys(libraries)) {
		fmt.Fprintf(&whole, `<rect x="%d" y="8" width="10" height="10" fill="%s"/><text x="%d" y="17">%s</text>`+"\n", x+220, libraries[name], x+235, name)
		x += 90
	}
	fmt.Fprintf(&whole, `<text x="%.0f" y="17" text-anchor="middle">%s: 1</text>`+"\n", left+scale, reference)
	fmt.Fprintf(&whole, `<line x1="%.0f" y1="24" x2="%[1]f" y2="%d" stroke="#808080" stroke-dasharray="3"/>`+"\n", left+scale, y)
	whole.Write(b.Bytes())
	whole.WriteString("</svg>\n")
	return whole.Bytes()
}
