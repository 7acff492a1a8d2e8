// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"fmt"
	"io"
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

// svg draws the ratios as bars, one row a work, with a line at 1. Its colours suit
// light and dark pages.
func (t table) svg() []byte {
	const left, width, bar, gap = 330, 900, 16, 14
	var rows []row
	for _, r := range t {
		if slices.ContainsFunc(r.Cells, func(c cell) bool { return c.Name == reference }) {
			rows = append(rows, r)
		}
	}
	height, most := 30, 1.0
	for _, r := range rows {
		for _, c := range r.Cells {
			most = max(most, min(r.ratio(c), 4))
		}
		height += len(r.Cells)*bar + gap
	}
	scale := (width - left - 60) / most
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11" fill="#808080">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>How many times better than %s; longer is better</title>\n", reference)
	y := 20
	for _, r := range rows {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-90, y+bar-4, r.Work)
		for _, c := range r.Cells {
			ratio := r.ratio(c)
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.0f" height="%d" fill="%s"/><text x="%.0f" y="%d">%.2f</text>`+"\n",
				left-6, y+bar-4, c.Name, left, y+2, min(ratio, most)*scale, bar-3, colour(c.Name), left+min(ratio, most)*scale+4, y+bar-4, ratio)
			y += bar
		}
		y += gap
	}
	x := left + scale
	fmt.Fprintf(&b, `<line x1="%.0f" y1="14" x2="%.0f" y2="%d" stroke="#808080" stroke-dasharray="3"/>`+"\n</svg>\n", x, x, height)
	return b.Bytes()
}

func colour(name string) string {
	switch name {
	case "mayfly":
		return "#2a9d5c"
	case reference:
		return "#4a7fc1"
	}
	return "#a0a0a0"
}
