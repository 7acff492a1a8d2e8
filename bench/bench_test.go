// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWorks does each work once, for an instant, but those with thousands of
// connections: that they run, and that their figures are some, not what they are.
func TestWorks(t *testing.T) {
	all := slices.Concat(bulkWorks(aes128), otherWorks())
	all = slices.DeleteFunc(all, func(w work) bool { return strings.Contains(w.name, "000 connections") })
	got, err := measure(all, regexp.MustCompile(""), 1, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(all) {
		t.Errorf("%d rows, want %d", len(got), len(all))
	}
	for i, r := range got {
		if len(r.Cells) != len(all[i].parts) {
			t.Errorf("%s: %d cells, want %d", r.Work, len(r.Cells), len(all[i].parts))
		}
		for _, c := range r.Cells {
			none := strings.Contains(r.Work, "allocations") && c.Figure == 0
			if math.IsNaN(c.Figure) || math.IsInf(c.Figure, 0) || c.Figure <= 0 && !none {
				t.Errorf("%s, %s: %v", r.Work, c.Name, c.Figure)
			}
		}
	}
	var text bytes.Buffer
	got.print(&text)
	for _, w := range all {
		if !strings.Contains(text.String(), "| "+w.name+" | "+w.unit+" |") {
			t.Errorf("the table has no row for %s", w.name)
		}
	}
	for d := xml.NewDecoder(bytes.NewReader(got.svg())); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal("the picture: ", err)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		of   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{5, 100, 1}, 5}} {
		if got := median(test.of); got != test.want {
			t.Errorf("%v: %v, want %v", test.of, got, test.want)
		}
	}
}

func TestRatio(t *testing.T) {
	r := row{Cells: []cell{{"mayfly", 30}, {reference, 20}}}
	if got := r.ratio(r.Cells[0]); got != 1.5 {
		t.Errorf("more is better: %v", got)
	}
	r.Less = true
	if got := r.ratio(r.Cells[0]); got != 20.0/30 {
		t.Errorf("less is better: %v", got)
	}
}
