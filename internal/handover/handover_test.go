// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handover

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// filled returns a State of which no field is zero, and no two are alike.
func filled(t *testing.T) *State {
	t.Helper()
	s := new(State)
	next := uint8(0)
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		if v.Type() == reflect.TypeFor[*volatile.Secret]() {
			next++
			v.Set(reflect.ValueOf(volatile.Take(bytes.Repeat([]byte{next}, int(next)))))
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		case reflect.Array:
			for i := range v.Len() {
				fill(v.Index(i))
			}
		case reflect.Slice:
			next++
			v.Set(reflect.MakeSlice(v.Type(), 1+int(next)%3, 16))
			for i := range v.Len() {
				fill(v.Index(i))
			}
		case reflect.Bool:
			v.SetBool(true)
		case reflect.String:
			next++
			v.SetString(fmt.Sprint("text ", next))
		case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			next++
			v.SetUint(uint64(next))
		case reflect.Int64:
			next++
			v.SetInt(int64(next) - 1000)
		default:
			t.Fatalf("a field of type %v", v.Type())
		}
	}
	fill(reflect.ValueOf(s).Elem())
	return s
}

// differences names the fields that differ.
func differences(path string, a, b reflect.Value) (names []string) {
	if a.Type() == reflect.TypeFor[*volatile.Secret]() {
		x, y := a.Interface().(*volatile.Secret), b.Interface().(*volatile.Secret)
		if !bytes.Equal(x.Bytes(), y.Bytes()) {
			return []string{path}
		}
		return nil
	}
	if a.Kind() == reflect.Struct {
		for i := range a.NumField() {
			names = append(names, differences(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))...)
		}
		return names
	}
	if !reflect.DeepEqual(a.Interface(), b.Interface()) {
		return []string{path}
	}
	return nil
}

// TestAllFields fails where a field is added that is not handed on.
func TestAllFields(t *testing.T) {
	t.Parallel()
	s := filled(t)
	b := s.Marshal()
	got, err := Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if names := differences("State", reflect.ValueOf(*s), reflect.ValueOf(*got)); names != nil {
		t.Errorf("not handed on: %v", names)
	}
	again := got.Marshal()
	if !bytes.Equal(again.Bytes(), b.Bytes()) {
		t.Error("written again, it is another")
	}
}

// TestAllSecrets fails where a secret is added that is not wiped.
func TestAllSecrets(t *testing.T) {
	t.Parallel()
	s := filled(t)
	s.Wipe()
	s.Wipe()
	found := 0
	var look func(path string, v reflect.Value)
	look = func(path string, v reflect.Value) {
		if v.Type() == reflect.TypeFor[*volatile.Secret]() {
			found++
			if v.Interface().(*volatile.Secret).Len() != 0 {
				t.Errorf("%s is not wiped", path)
			}
		} else if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				look(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	look("State", reflect.ValueOf(*s))
	if found != len(s.secrets()) || found < 8 {
		t.Errorf("%d secrets, and %d of them known", found, len(s.secrets()))
	}
	var none *State
	none.Wipe()
}

// TestParseHostile reads what is not a State: each prefix, each with a byte more,
// and each with a byte changed that is a length or a flag, which must not be taken for
// one, or must be read as it was written.
func TestParseHostile(t *testing.T) {
	t.Parallel()
	whole := filled(t).Marshal().Bytes()
	for n := range whole {
		if s, err := Parse(whole[:n:n]); err == nil || s != nil {
			t.Fatalf("the first %d bytes of %d are taken for a connection", n, len(whole))
		}
	}
	if _, err := Parse(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a byte too much")
	}
	for i := range whole {
		for _, x := range []byte{1, 0x80, 0xff} {
			b := bytes.Clone(whole)
			b[i] ^= x
			s, err := Parse(b)
			if err != nil {
				continue
			}
			if again := s.Marshal(); !bytes.Equal(again.Bytes(), b) {
				t.Fatalf("byte %d altered by %#x: written again, it is another", i, x)
			}
		}
	}
}

func TestSealOpen(t *testing.T) {
	t.Parallel()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	offer, err := ParseOffer(key.Offer())
	if err != nil {
		t.Fatal(err)
	}
	s := filled(t)
	blob, err := offer.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(blob, s.Exporter.Bytes()) || bytes.Contains(blob, []byte(s.Name)) {
		t.Error("it can be read")
	}
	other, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(blob); !errors.Is(err, ErrBlob) {
		t.Errorf("for another receiver: %v", err)
	}
	for i := range blob {
		bad := bytes.Clone(blob)
		bad[i] ^= 1 << (i % 8)
		if _, err := key.Open(bad); !errors.Is(err, ErrBlob) {
			t.Fatalf("byte %d altered: %v", i, err)
		}
	}
	for n := 0; n < len(blob); n += 1 + n/16 {
		if _, err := key.Open(blob[:n]); !errors.Is(err, ErrBlob) {
			t.Fatalf("the first %d bytes of %d: %v", n, len(blob), err)
		}
	}
	if _, err := key.Open(append(bytes.Clone(blob), 0)); !errors.Is(err, ErrBlob) {
		t.Errorf("a byte too much: %v", err)
	}
	got, err := key.Open(blob)
	if err != nil {
		t.Fatalf("the right one, after all those: %v", err)
	}
	if names := differences("State", reflect.ValueOf(*s), reflect.ValueOf(*got)); names != nil {
		t.Errorf("not handed on: %v", names)
	}
	if _, err := key.Open(blob); !errors.Is(err, errUsed) {
		t.Errorf("opened a second time: %v", err)
	}
	if key.Offer() != nil {
		t.Error("a used key still has an offer")
	}
}

// TestSealTwice shows that the same state is never sealed alike.
func TestSealTwice(t *testing.T) {
	t.Parallel()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	offer, err := ParseOffer(key.Offer())
	if err != nil {
		t.Fatal(err)
	}
	s := filled(t)
	one, err1 := offer.Seal(s)
	two, err2 := offer.Seal(s)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(one[len(one)-64:], two[len(two)-64:]) {
		t.Error("sealed alike")
	}
}

func TestSealTooMuch(t *testing.T) {
	t.Parallel()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	offer, err := ParseOffer(key.Offer())
	if err != nil {
		t.Fatal(err)
	}
	s := filled(t)
	s.In.Ahead = make([]byte, maxText)
	if s.Marshal() != nil {
		t.Error("it is written")
	}
	if blob, err := offer.Seal(s); err == nil || blob != nil {
		t.Error("it is sealed")
	}
}

// TestSealBusy seals the most that a connection can hold: a chunk that waits to be read,
// one in records of 64 bytes that waits to be sent, early data, and the longest
// Certificate message, full of stapled timestamps.
func TestSealBusy(t *testing.T) {
	t.Parallel()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	offer, err := ParseOffer(key.Offer())
	if err != nil {
		t.Fatal(err)
	}
	const chunk = 512 << 10
	s := filled(t)
	s.In.Ahead, s.In.Early = make([]byte, chunk+chunk/32), volatile.New(64<<10)
	s.Out.Pending = make([]byte, chunk+chunk/64*22)
	s.SCTs, s.PeerEntries = nil, [][]byte{make([]byte, 64<<10)}
	for range 20_000 {
		s.SCTs = append(s.SCTs, []byte{1})
	}
	blob, err := offer.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := key.Open(blob)
	if err != nil {
		t.Fatal(err)
	}
	if names := differences("State", reflect.ValueOf(*s), reflect.ValueOf(*got)); names != nil {
		t.Errorf("not handed on: %v", names)
	}
	if _, err := Parse(append([]byte{version}, make([]byte, maxText)...)); err == nil {
		t.Error("more than that is read")
	}
}

func TestParseOffer(t *testing.T) {
	t.Parallel()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	offer := key.Offer()
	for n := range offer {
		if _, err := ParseOffer(offer[:n]); !errors.Is(err, ErrOffer) {
			t.Fatalf("the first %d bytes of %d: %v", n, len(offer), err)
		}
	}
	other := bytes.Clone(offer)
	other[0]++
	for name, b := range map[string][]byte{
		"a byte too much":                   append(bytes.Clone(offer), 0),
		"another version":                   other,
		"an encapsulation key that is none": append([]byte{offerVersion}, bytes.Repeat([]byte{0xff}, len(offer)-1)...),
	} {
		if _, err := ParseOffer(b); !errors.Is(err, ErrOffer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	key.Wipe()
	key.Wipe()
	if key.Offer() != nil {
		t.Error("a wiped key still has an offer")
	}
	if _, err := key.Open([]byte{blobVersion}); !errors.Is(err, errUsed) {
		t.Errorf("a wiped key opens: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{version})
	f.Add((&State{}).Marshal().Bytes())
	f.Add((&State{Name: "a.example", PeerEntries: [][]byte{{1}, {2, 3}}, In: In{Ahead: []byte{23, 3, 3}}}).Marshal().Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		defer s.Wipe()
		if again := s.Marshal(); again != nil && !bytes.Equal(again.Bytes(), b) {
			t.Errorf("%x, written again, is %x", b, again.Bytes())
		}
	})
}
