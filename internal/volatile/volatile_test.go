// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package volatile_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

func TestSecretLifetime(t *testing.T) {
	t.Parallel()
	memory := []byte("secret and what lies behind it")
	s := volatile.Take(memory[:6])
	if string(s.Bytes()) != "secret" || s.Len() != 6 {
		t.Fatalf("got %d bytes", s.Len())
	}
	clone := s.Clone()
	s.Wipe()
	s.Wipe()
	if !bytes.Equal(memory, make([]byte, len(memory))) {
		t.Errorf("after Wipe the memory and its capacity hold %q", memory)
	}
	if s.Bytes() != nil || s.Len() != 0 {
		t.Error("after Wipe there are bytes")
	}
	if string(clone.Bytes()) != "secret" {
		t.Error("Wipe reached a clone")
	}
	if fresh := volatile.New(3); !bytes.Equal(fresh.Bytes(), []byte{0, 0, 0}) {
		t.Errorf("New(3) holds %v", fresh.Bytes())
	}
}

func TestNilSecret(t *testing.T) {
	t.Parallel()
	var s *volatile.Secret
	s.Wipe()
	if s.Bytes() != nil || s.Len() != 0 || s.Clone().Len() != 0 {
		t.Error("a nil Secret is not empty")
	}
}

func TestSecretPrintsNothing(t *testing.T) {
	t.Parallel()
	s := volatile.Take([]byte("hunter2"))
	nested := struct {
		Exported   *volatile.Secret
		Value      volatile.Secret
		unexported *volatile.Secret
	}{s, *s, s}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%08b", "%T", "%p", "%z"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", *s)
		fmt.Fprintf(&out, verb+"\n", []any{s, *s})
		fmt.Fprintf(&out, verb+"\n", nested)
		fmt.Fprintf(&out, verb+"\n", &nested)
	}
	fmt.Fprintln(&out, s, *s, errors.New(s.String()))
	j, err := json.Marshal(nested)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("message", "secret", s, "value", *s, "nested", nested)
	}
	text := strings.ToLower(out.String())
	for _, form := range []string{"hunter", "68756e746572", "104 117", "104,117", "0x68, 0x75", "150 165", "01101000 01110101", "ahvudgvymg"} {
		if strings.Contains(text, form) {
			t.Errorf("the secret shows as %q in:\n%s", form, out.String())
		}
	}
	if want := "volatile.Secret(redacted)"; s.String() != want || s.GoString() != want || !strings.Contains(text, strings.ToLower(want)) {
		t.Errorf("String is %q", s.String())
	}
}

func TestWipe(t *testing.T) {
	t.Parallel()
	b := []byte{1, 2, 3, 4}
	volatile.Wipe(b[1:3])
	if !bytes.Equal(b, []byte{1, 0, 0, 4}) {
		t.Errorf("got %v", b)
	}
	volatile.Wipe(nil)
}

func TestMove(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 2, 5, 9} {
		src, dst := []byte("secret"), make([]byte, n)
		k := volatile.Move(dst, src)
		left := string(make([]byte, k)) + "secret"[k:]
		if want := "secret\x00\x00\x00"[:n]; k != min(n, 6) || string(dst) != want || string(src) != left {
			t.Errorf("%d moved: %q, and %q is left", k, dst, src)
		}
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(func()){"Do": volatile.Do, "DoPinned": volatile.DoPinned} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sum := 0
			do(func() {
				for i := range 10 {
					do(func() { sum += i })
				}
			})
			if sum != 45 {
				t.Errorf("sum %d, want 45", sum)
			}
		})
	}
}

func TestDoPanics(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for name, do := range map[string]func(func()){"Do": volatile.Do} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if p := recover(); p != cause {
					t.Errorf("recovered %v, want the cause", p)
				}
			}()
			do(func() { do(func() { panic(cause) }) })
			t.Error("Do swallowed a panic")
		})
	}
}

// A goroutine that ends within Do must not hang or go on.
func TestDoGoexit(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(func()){"Do": volatile.Do, "DoPinned": volatile.DoPinned} {
		done := make(chan bool)
		wentOn := false
		go func() {
			defer close(done)
			do(func() { runtime.Goexit() }) // "schedule: holding locks" if it were still pinned
			wentOn = true
		}()
		<-done
		if wentOn {
			t.Errorf("%s went on after Goexit", name)
		}
	}
}

// Do has to work at any depth of the stack, and from many goroutines.
func TestDoDepth(t *testing.T) {
	t.Parallel()
	var down func(n int) int
	down = func(n int) (sum int) {
		var frame [512]byte
		frame[n%len(frame)] = 1
		volatile.Do(func() { sum = int(frame[n%len(frame)]) })
		if n > 0 {
			sum += down(n - 1)
		}
		return sum
	}
	results := make(chan int)
	for range 8 {
		go func() { results <- down(100) }()
	}
	for range 8 {
		if sum := <-results; sum != 101 {
			t.Errorf("sum %d, want 101", sum)
		}
	}
}

type shared struct{ table []byte }

func (s *shared) String() string { return string(s.table) }

type owner struct {
	numbers [2][3]uint16
	scalar  []byte
	inner   *inner
	list    []*inner
	nested  [2]inner
	curve   fmt.Stringer
	name    string
	//lint:ignore U1000 a nil pointer to walk over
	none  *inner
	count int
}

type inner struct {
	d [4]byte
	z []uint32
}

func TestWipeObject(t *testing.T) {
	t.Parallel()
	scalar := []byte("scalar, and more")
	new := func() inner { return inner{[4]byte{1, 2, 3, 4}, []uint32{5, 6}} }
	a, b, c := new(), new(), new()
	common := &shared{[]byte("shared")}
	o := &owner{
		numbers: [2][3]uint16{{1, 2, 3}, {4, 5, 6}}, scalar: scalar[:6], inner: &a,
		list: []*inner{&b}, nested: [2]inner{c, new()}, curve: common, name: "name", count: 7,
	}
	volatile.WipeObject(o)
	for i, in := range []inner{a, b, {z: c.z}} {
		if in.d != [4]byte{} || in.z[0] != 0 || in.z[1] != 0 {
			t.Errorf("nested object %d holds %v", i, in)
		}
	}
	if !bytes.Equal(scalar, make([]byte, len(scalar))) {
		t.Errorf("the slice and its capacity hold %q", scalar)
	}
	if o.numbers != [2][3]uint16{} || o.scalar != nil || o.inner != nil || o.curve != nil || o.name != "" || o.count != 0 {
		t.Errorf("the object itself holds %v", o)
	}
	if string(common.table) != "shared" {
		t.Error("went through an interface to what objects share")
	}
}

func TestWipeObjectNothing(t *testing.T) {
	t.Parallel()
	volatile.WipeObject(nil)
	volatile.WipeObject((*inner)(nil))
	volatile.WipeObject(inner{})
	volatile.WipeObject("text")

	type ring struct{ next *ring }
	r := &ring{}
	r.next = r
	volatile.WipeObject(r) // ends
	if r.next != nil {
		t.Error("not wiped")
	}
}

func TestWipeFlat(t *testing.T) {
	t.Parallel()
	in := &inner{d: [4]byte{1, 2, 3, 4}}
	volatile.WipeFlat(in)
	if in.d != [4]byte{} {
		t.Errorf("the object holds %v", in)
	}
	volatile.WipeFlat(nil)
	volatile.WipeFlat((*inner)(nil))
	volatile.WipeFlat("text")
}

func TestRestore(t *testing.T) {
	t.Parallel()
	for name, newHash := range map[string]func() hash.Hash{"SHA-256": sha256.New, "SHA-384": sha512.New384} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, fresh := newHash(), newHash()
			h.Write(bytes.Repeat([]byte("secret"), 40))
			volatile.Restore(h, fresh)
			if got, want := fmt.Sprintf("%#v", h), fmt.Sprintf("%#v", newHash()); got != want {
				t.Errorf("after Restore the hash is %s", got)
			}
			h.Write([]byte("text"))
			want := newHash()
			want.Write([]byte("text"))
			if !bytes.Equal(h.Sum(nil), want.Sum(nil)) || !bytes.Equal(fresh.Sum(nil), newHash().Sum(nil)) {
				t.Error("a restored hash does not work")
			}
		})
	}
}

func BenchmarkDo(b *testing.B) {
	for b.Loop() {
		volatile.Do(func() {})
	}
}

func BenchmarkDoPinned(b *testing.B) {
	for b.Loop() {
		volatile.DoPinned(func() {})
	}
}
