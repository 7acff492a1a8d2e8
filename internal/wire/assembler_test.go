// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// read takes every message that is ready out of a.
func read(t testing.TB, a *Assembler) []Message {
	t.Helper()
	var messages []Message
	for {
		m, ok, err := a.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return messages
		}
		messages = append(messages, m)
	}
}

// flight is all samples one behind another, and the messages by themselves.
func flight() (stream []byte, messages [][]byte) {
	all := samples()
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		messages = append(messages, all[name])
	}
	return bytes.Join(messages, nil), messages
}

// TestAssemblerRecords shows that it does not matter how messages lie in records, and
// that a message stays what it was when others follow.
func TestAssemblerRecords(t *testing.T) {
	t.Parallel()
	stream, want := flight()
	random := rand.New(rand.NewPCG(1, 2))
	for name, size := range map[string]func(rest int) int{
		"one record":        func(rest int) int { return rest },
		"bytes":             func(int) int { return 1 },
		"headers and bits":  func(int) int { return 3 },
		"random, and empty": func(int) int { return random.IntN(200) },
	} {
		var a Assembler
		var got []Message
		for rest := stream; len(rest) > 0; {
			n := min(size(len(rest)), len(rest))
			fragment := bytes.Clone(rest[:n])
			if err := a.Write(fragment); err != nil {
				t.Fatal(err)
			}
			clear(fragment) // the record's buffer is used again
			got = append(got, read(t, &a)...)
			rest = rest[n:]
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d messages, want %d", name, len(got), len(want))
		}
		for i, m := range got {
			if !bytes.Equal(m.Raw, want[i]) || m.Type != MessageType(want[i][0]) || !bytes.Equal(m.Body(), want[i][headerLen:]) {
				t.Errorf("%s: message %d is %x, want %x", name, i, m.Raw, want[i])
			}
			if cap(m.Raw) != len(m.Raw) {
				t.Errorf("%s: message %d can be appended to in place", name, i)
			}
		}
		if a.Pending() {
			t.Errorf("%s: something is left", name)
		}
	}
}

// TestAligned shows that the token exists only where nothing waits: no half
// message, no half header, and no whole message that was not taken.
func TestAligned(t *testing.T) {
	t.Parallel()
	if (Aligned{}).Valid() {
		t.Error("a token that nobody made is valid")
	}
	var a Assembler
	aligned := func(what string, want bool) {
		t.Helper()
		token, ok := a.Aligned()
		if ok != want || token.Valid() != want || a.Pending() == want {
			t.Errorf("%s: aligned %t, valid %t, pending %t", what, ok, token.Valid(), a.Pending())
		}
	}
	write := func(b []byte) {
		t.Helper()
		if err := a.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	update := (&KeyUpdate{}).Marshal()
	aligned("at first", true)
	write(nil)
	aligned("after an empty record", true)
	write(update[:1])
	aligned("in a header", false)
	write(update[1:4])
	aligned("behind a header", false)
	write(update[4:])
	aligned("before the message is taken", false)
	read(t, &a)
	aligned("after it", true)
	write(append(bytes.Clone(update), update...))
	if _, ok, err := a.Next(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	aligned("before the second of a record", false)
	write(update[:4])
	read(t, &a)
	aligned("in a third", false)
	a.Wipe()
	aligned("after Wipe", true)
	a.Wipe()
	write(update)
	if got := read(t, &a); len(got) != 1 || !bytes.Equal(got[0].Raw, update) {
		t.Errorf("after Wipe: %v", got)
	}
}

// TestAssemblerWipes shows that what was read, and what is wiped, is not left in
// the buffer.
func TestAssemblerWipes(t *testing.T) {
	t.Parallel()
	var a Assembler
	secret := (&Finished{VerifyData: bytes.Repeat([]byte("s"), 32)}).Marshal()
	update := (&KeyUpdate{}).Marshal()
	for name, forget := range map[string]func(){
		"Next": func() { read(t, &a) },
		"Wipe": a.Wipe,
		"Write": func() { // moves the first byte of a message to where the secret was
			if err := a.Write(update[:1]); err != nil {
				t.Fatal(err)
			}
			read(t, &a)
			if err := a.Write(update[1:]); err != nil {
				t.Fatal(err)
			}
		},
	} {
		a.Wipe()
		if err := a.Write(secret); err != nil {
			t.Fatal(err)
		}
		buf := a.buf[:cap(a.buf)]
		forget()
		if bytes.Contains(buf, []byte("ss")) {
			t.Errorf("%s leaves %x", name, buf)
		}
	}
}

// TestAssemblerLongest shows how long a message may be, and that one that is too
// long is refused at its header, before it has come.
func TestAssemblerLongest(t *testing.T) {
	t.Parallel()
	for typ, limit := range map[MessageType]int{
		ClientHelloType:           68 << 10,
		FinishedType:              68 << 10,
		MessageType(99):           68 << 10,
		CertificateType:           128 << 10,
		CompressedCertificateType: 128 << 10,
	} {
		header := func(n int) []byte {
			n -= headerLen
			return []byte{byte(typ), byte(n >> 16), byte(n >> 8), byte(n)}
		}
		var a Assembler
		if err := a.Write(header(limit + 1)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, ok, err := a.Next(); ok || alert.Of(err) != alert.IllegalParameter {
				t.Errorf("%s of %d bytes: %v", typ, limit+1, err)
			}
		}
		a.Wipe()
		longest := append(header(limit), make([]byte, limit-headerLen)...)
		for record := range slices.Chunk(longest, 1<<14) {
			if got := read(t, &a); len(got) != 0 {
				t.Errorf("%s came early", typ)
			}
			if err := a.Write(record); err != nil {
				t.Errorf("%s of %d bytes: %v", typ, limit, err)
			}
		}
		if got := read(t, &a); len(got) != 1 || len(got[0].Raw) != limit {
			t.Errorf("%s of %d bytes did not come", typ, limit)
		}
	}
}

// TestAssemblerTakesFullVectors has the longest ticket, and a ClientHello whose block of
// extensions is full, come through whole.
func TestAssemblerTakesFullVectors(t *testing.T) {
	t.Parallel()
	ticket := &NewSessionTicket{Lifetime: 1, Nonce: make([]byte, 255), Ticket: make([]byte, 1<<16-1), MaxEarlyData: 1}
	hello, err := ParseClientHello(samples()["ClientHello"])
	if err != nil {
		t.Fatal(err)
	}
	hello.PSK = &PreSharedKeys{Identities: []PSKIdentity{{Identity: []byte("i")}}, Binders: [][]byte{make([]byte, 32)}}
	before := len(hello.Marshal())
	full := before
	for n := 1; n < 1<<16; n++ {
		hello.PSK.Identities[0].Identity = make([]byte, 1<<16-n)
		if b := hello.Marshal(); b != nil {
			full = len(b)
			break
		}
	}
	if full < 64<<10 {
		t.Fatalf("the ClientHello has %d bytes, %d at first", full, before)
	}
	for what, want := range map[string][]byte{"ticket": ticket.Marshal(), "ClientHello": hello.Marshal()} {
		var a Assembler
		if err := a.Write(want); err != nil {
			t.Fatal(err)
		}
		if got := read(t, &a); len(got) != 1 || !bytes.Equal(got[0].Raw, want) {
			t.Errorf("the %s of %d bytes did not come", what, len(want))
		}
	}
}

// TestAssemblerBound shows that the buffer does not grow with what is written,
// even if nobody reads.
func TestAssemblerBound(t *testing.T) {
	t.Parallel()
	var a Assembler
	record := make([]byte, 1<<14)
	written := 0
	for range 100 {
		if err := a.Write(record); err != nil {
			if alert.Of(err) != alert.IllegalParameter {
				t.Error(err)
			}
			break
		}
		written += len(record)
	}
	if written != (maxCertificate+maxMessage)&^(1<<14-1) || cap(a.buf) > 2*(maxCertificate+maxMessage) {
		t.Errorf("%d bytes were taken, into %d", written, cap(a.buf))
	}
}
