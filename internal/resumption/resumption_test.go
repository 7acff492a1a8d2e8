// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package resumption

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

func someState() *State {
	return &State{
		Suite: suite.AES256GCM, Secret: volatile.Take(bytes.Repeat([]byte{7}, 48)), ServerName: "db.example", ALPN: "h2",
		PeerType: credential.RawPublicKey, PeerEntries: [][]byte{[]byte("one"), []byte("another")},
		PeerScheme: 0x0807, OCSPResponse: []byte("staple"), SCTs: [][]byte{[]byte("a"), []byte("b")},
		Authenticated: time.Unix(1700000000, 0), Issued: time.UnixMilli(1700000001234), Lifetime: time.Hour,
		AgeAdd: 0xdeadbeef, MaxEarlyData: 99, Ticket: []byte("ticket"), Own: [32]byte{1, 2, 3},
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	for _, edit := range []func(*State){
		func(*State) {},
		func(s *State) { s.PeerEntries, s.PSKIdentity, s.PSKMark = nil, []byte("psk"), [16]byte{1, 2} },
		func(s *State) {
			*s = State{Suite: suite.AES128GCM, Secret: volatile.New(32), Authenticated: time.Unix(0, 0), Issued: time.UnixMilli(0)}
		},
	} {
		s := someState()
		edit(s)
		text := s.Marshal()
		got, err := Parse(text.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if again := got.Marshal(); !bytes.Equal(again.Bytes(), text.Bytes()) {
			t.Errorf("%x became %x", text.Bytes(), again.Bytes())
		}
		if got.ServerName != s.ServerName || !got.Issued.Equal(s.Issued) || !reflect.DeepEqual(got.PeerEntries, s.PeerEntries) || got.PeerScheme != s.PeerScheme || !bytes.Equal(got.OCSPResponse, s.OCSPResponse) || !reflect.DeepEqual(got.SCTs, s.SCTs) || got.Own != s.Own || got.PSKMark != s.PSKMark {
			t.Errorf("%+v became %+v", s, got)
		}
		for n := range text.Len() {
			if _, err := Parse(text.Bytes()[:n]); err == nil {
				t.Errorf("a state that was cut at %d was read", n)
			}
		}
		if _, err := Parse(append(bytes.Clone(text.Bytes()), 0)); err == nil {
			t.Error("a state with something behind it was read")
		}
	}
	s := someState()
	s.Ticket = make([]byte, 1<<16)
	if s.Marshal() != nil {
		t.Error("a ticket that is too long was written")
	}
	s = someState()
	s.Secret = volatile.New(32) // of another hash
	if _, err := Parse(s.Marshal().Bytes()); err == nil {
		t.Error("a secret of a wrong length was read")
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	s := someState()
	for after, want := range map[time.Duration]bool{0: false, time.Hour - time.Second: false, time.Hour: true, -time.Minute: false, -2 * time.Hour: true} {
		if s.Expired(s.Issued.Add(after)) != want {
			t.Errorf("after %v: want %v", after, want)
		}
	}
	s.Lifetime = 100 * MaxLifetime
	if !s.Expired(s.Issued.Add(MaxLifetime)) {
		t.Error("a ticket lives longer than a week")
	}
}

func TestPeerOfState(t *testing.T) {
	t.Parallel()
	s := someState()
	if _, err := s.Peer(); err == nil {
		t.Error("entries that are no key were read")
	}
	s.PeerEntries = nil
	if p, err := s.Peer(); p != nil || err != nil {
		t.Errorf("nobody became %v, %v", p, err)
	}
	s.PSKIdentity, s.PSKMark = []byte("x"), [16]byte{1}
	if p, err := s.Peer(); err != nil || string(p.PSKIdentity) != "x" || p.PSKMark != s.PSKMark {
		t.Errorf("%v, %v", p, err)
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	secret := make([]byte, KeyLen)
	if _, err := NewKey(secret); err == nil {
		t.Error("a key of zeros was taken")
	}
	secret[3] = 1
	k, err := NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	clear(secret)
	text := []byte("some text")
	sealed, err := k.Seal(rand.Reader, text, "ticket", "service")
	if err != nil || len(sealed) != len(text)+Overhead || bytes.Contains(sealed, text) {
		t.Fatalf("sealed to %x, %v", sealed, err)
	}
	if got, err := k.Open(sealed, "ticket", "service"); err != nil || !bytes.Equal(got.Bytes(), text) {
		t.Fatalf("opened to %q, %v", got.Bytes(), err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(bad, "ticket", "service"); !errors.Is(err, ErrOpen) {
			t.Errorf("a flip at %d: %v", i, err)
		}
		if _, err := k.Open(sealed[:i], "ticket", "service"); !errors.Is(err, ErrOpen) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	for _, other := range [][2]string{{"file", "service"}, {"ticket", ""}, {"ticket", "service2"}} {
		if _, err := k.Open(sealed, other[0], other[1]); !errors.Is(err, ErrOpen) {
			t.Errorf("opened for %v", other)
		}
	}
	again, err := k.Seal(rand.Reader, text, "ticket", "service")
	if err != nil || bytes.Equal(again[nameLen:], sealed[nameLen:]) || !k.Mine(again) {
		t.Errorf("sealed again to %x, %v", again, err)
	}
	for _, broken := range []io.Reader{iotest.ErrReader(io.ErrUnexpectedEOF), bytes.NewReader(nil)} {
		if _, err := k.Seal(broken, text, "ticket", ""); err == nil {
			t.Error("sealed without randomness")
		}
	}
	k.Wipe()
	k.Wipe()
	if _, err := k.Open(sealed, "ticket", "service"); err == nil {
		t.Error("a key that was wiped opens")
	}
	if _, err := k.Seal(rand.Reader, text, "ticket", ""); err == nil {
		t.Error("a key that was wiped seals")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(someState().Marshal().Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if again := s.Marshal(); !bytes.Equal(again.Bytes(), text) {
			t.Errorf("%x became %x", text, again.Bytes())
		}
	})
}
