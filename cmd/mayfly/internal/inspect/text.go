// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
)

// WriteText writes the Report for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	t := &text{w: w}
	t.summary(r)
	t.flights(r)
	t.choices(r.Choices)
	t.server(r.Server)
	t.secrets(r)
	if len(r.Notes) > 0 {
		t.heading("NOTES")
		for _, note := range r.Notes {
			t.wrap(note, 2)
		}
	}
	return t.err
}

// text writes lines, until that fails.
type text struct {
	w   io.Writer
	err error
}

func (t *text) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

func (t *text) heading(name string) {
	t.line("")
	t.line("%s", name)
}

// milliseconds is a time as people read it.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

func (t *text) summary(r *Report) {
	t.line("%s at %s", r.Addr, r.Remote)
	t.line("  %s", r.Outcome())
	for _, p := range r.Phases() {
		t.line("  %-12s %12s   %s", p.Name, milliseconds(p.At), p.What)
	}
}

// Outcome is the result of the inspection in one sentence.
func (r *Report) Outcome() string {
	switch {
	case r.Done == 0 && r.Err != nil:
		return "the handshake failed: " + plain(r.Err)
	case r.Err != nil:
		return "the handshake was done, and the connection failed: " + plain(r.Err)
	case r.Verified:
		return "TLS 1.3; the server is verified"
	}
	return "TLS 1.3; the server is NOT VERIFIED"
}

// plain is an error's text in printable ASCII, without the name of the package.
func plain(err error) string {
	return unquoted(strings.TrimPrefix(err.Error(), "mayfly: "))
}

// unquoted is s in printable ASCII, without the marks of a quotation.
func unquoted(s string) string {
	return strings.ReplaceAll(strings.Trim(dissect.Quote(s), `"`), `\"`, `"`)
}

// A Phase is a point that the connection has reached.
type Phase struct {
	Name string
	At   time.Duration
	What string
}

// Phases are those that were reached, with their times.
func (r *Report) Phases() (all []Phase) {
	if r.LookedUp > 0 {
		all = append(all, Phase{"found", r.LookedUp, "the address is known"})
	}
	all = append(all, Phase{"connected", r.Connected, "TCP, after " + milliseconds(r.Connected-r.LookedUp)})
	for i, f := range r.Flights {
		if i > 0 && f.From == dissect.Server {
			all = append(all, Phase{"answered", f.At, milliseconds(f.At-r.Flights[0].At) + " after the ClientHello"})
			break
		}
	}
	if r.Done > 0 {
		all = append(all, Phase{"done", r.Done, "the handshake, after " + milliseconds(r.Done-r.Connected)})
	}
	if r.Closed > 0 {
		all = append(all, Phase{"closed", r.Closed, "all keys are wiped"})
	}
	return all
}

func (t *text) flights(r *Report) {
	t.heading("WHAT PASSED")
	for i, f := range r.Flights {
		arrow := "-->"
		if f.From == dissect.Server {
			arrow = "<--"
		}
		t.line("%12s  %s flight %d of the %s: %s, %d bytes", milliseconds(f.At), arrow, i+1, f.From, plural(f.Records, "record"), f.Bytes)
		for _, m := range f.Messages {
			keys := "in the clear"
			if m.Keys != "" {
				keys = "under " + m.Keys
			}
			t.line("                      %-26s %6d  %s", m.Name, len(m.Bytes), keys)
			if detail := m.Detail(); detail != "" {
				t.line("                        %s", detail)
			}
		}
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Detail is what there is to say about a short message.
func (m *Message) Detail() string {
	switch m.Name {
	case "alert", "KeyUpdate":
		for _, p := range m.Fields.Parts {
			if p.Name == "description" || p.Name == "request_update" {
				return p.Value
			}
		}
	}
	if m.Records[0].Wrong != "" {
		return m.Records[0].Wrong
	}
	return ""
}

func (t *text) choices(choices []Choice) {
	t.heading("WHAT WAS AGREED ON")
	for _, c := range choices {
		taken := c.Taken
		if taken == "" {
			taken = "-"
		}
		t.line("  %-21s %s", c.What, taken)
		if c.Why != "" {
			t.wrap(c.Why, 26)
		}
		if len(c.Offered) > 1 {
			t.wrap("offered: "+list(c.Offered), 26)
		}
	}
}

// wrap writes words in lines of some 100 columns.
func (t *text) wrap(s string, indent int) {
	margin := strings.Repeat(" ", indent)
	line := margin
	for _, word := range strings.Fields(s) {
		if len(line) > indent && len(line)+1+len(word) > 100 {
			t.line("%s", line)
			line = margin + "  "
		} else if len(line) > indent {
			line += " "
		}
		line += word
	}
	t.line("%s", line)
}

func (t *text) server(id *Identity) {
	if id == nil {
		return
	}
	t.heading("THE SERVER")
	t.line("  %s", id.Verdict)
	if id.Reason != "" {
		t.wrap(id.Reason, 4)
	}
	t.line("  %-14s %s, signed by %s", id.Kind, id.Key, id.Scheme)
	t.line("  %-14s %s", "pin", id.Pin)
	for i, c := range id.Certs {
		t.line("  certificate %d  %s", i+1, c.Subject)
		if len(c.Names) > 0 {
			t.wrap("for          "+list(c.Names), 4)
		}
		t.line("    by           %s, %s", c.Issuer, c.Signature)
		t.line("    valid        %s to %s", c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339))
		t.line("    key          %s", c.Key)
		t.line("    SHA-256      %s", c.SHA256)
	}
	if id.OCSP > 0 || id.SCTs > 0 {
		t.line("  stapled        OCSP response of %d bytes, %s; neither is checked", id.OCSP, plural(id.SCTs, "certificate timestamp"))
	}
}

func (t *text) secrets(r *Report) {
	t.heading("KEYS, from birth to death (~ is not observed, but follows from the order of things)")
	for _, s := range r.Secrets {
		t.secret(s, "  ")
	}
}

func (t *text) secret(s *Secret, indent string) {
	name := indent + s.Name
	t.line("%-50s %s%10s .. %s%10s", name, guess(s.SeenBorn), milliseconds(s.Born), guess(s.SeenDied), death(s))
	if s.Value != "" {
		t.line("%s  = %s", indent, s.Value)
	}
	for _, p := range s.Parts {
		t.secret(p, indent+"  ")
	}
}

func guess(seen bool) string {
	if seen {
		return " "
	}
	return "~"
}

func death(s *Secret) string {
	if s.Died == 0 {
		return "not told"
	}
	return milliseconds(s.Died)
}
