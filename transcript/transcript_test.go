// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transcript_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/testvec"
	"github.com/mayfly-tls/mayfly/transcript"
)

// TestRFC8448 takes each trace of RFC 8448 through a transcript, and compares the
// hashes with those that the RFC derives secrets from.
func TestRFC8448(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"simple-1rtt", "resumed-0rtt", "hello-retry-request", "client-authentication", "compatibility-mode"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trace, err := testvec.Load("../testdata/rfc8448/" + name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			messages, err := trace.Messages()
			if err != nil {
				t.Fatal(err)
			}
			tr := transcript.New()
			compared := 0
			compare := func(label string) {
				for _, who := range []string{"client", "server"} {
					step := trace.Find(who, "derive secret \"tls13 "+label+"\"")
					if step == nil {
						continue
					}
					if got, want := tr.Sum(), step.Value("hash"); !bytes.Equal(got, want) {
						t.Errorf("%s: hash %x, want %x", label, got, want)
					}
					compared++
				}
			}
			hellos, retried := 0, false
			for _, m := range messages {
				switch m.Raw[0] {
				case 1: // ClientHello
					tr.Add(m.Raw)
					hellos++
				case 2: // ServerHello, or HelloRetryRequest where another follows
					if !retried {
						tr.Select(sha256.New)
					}
					if retried = hellos == 1 && name == "hello-retry-request"; retried {
						tr.HelloRetryRequest()
					}
					if !retried {
						compare("c e traffic") // before ServerHello is added
					}
					tr.Add(m.Raw)
					if !retried {
						compare("c hs traffic")
						compare("s hs traffic")
					}
				case 4: // NewSessionTicket is no part of it.
				case 20:
					tr.Add(m.Raw)
					if m.Who == "server" {
						compare("c ap traffic")
						compare("exp master")
					} else {
						compare("res master")
					}
				default:
					tr.Add(m.Raw)
				}
			}
			if compared < 5 {
				t.Errorf("compared only %d hashes", compared)
			}
		})
	}
}

// TestBinder compares the hash that the binder of RFC 8448, Section 4, is made of.
func TestBinder(t *testing.T) {
	t.Parallel()
	trace, err := testvec.Load("../testdata/rfc8448/resumed-0rtt.txt")
	if err != nil {
		t.Fatal(err)
	}
	step := trace.Find("client", "calculate PSK binder")
	tr := transcript.New()
	for range 2 { // It leaves the transcript as it is.
		got := tr.SumWith(step.Value("ClientHello_prefix"), sha256.New)
		if want := step.Value("binder_hash"); !bytes.Equal(got, want) {
			t.Errorf("hash %x, want %x", got, want)
		}
	}
}

// TestSumWith covers the order of calls of a client that offers a PSK twice, as the
// server asks for a retry.
func TestSumWith(t *testing.T) {
	t.Parallel()
	for name, newHash := range map[string]func() hash.Hash{"SHA-256": sha256.New, "SHA-384": sha512.New384} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sum := func(parts ...string) []byte {
				h := newHash()
				for _, p := range parts {
					h.Write([]byte(p))
				}
				return h.Sum(nil)
			}
			want := func(what string, got, want []byte) {
				t.Helper()
				if !bytes.Equal(got, want) {
					t.Errorf("%s: hash %x, want %x", what, got, want)
				}
			}
			tr := transcript.New()
			want("nothing", tr.SumWith(nil, newHash), sum())
			want("first prefix", tr.SumWith([]byte("hel"), newHash), sum("hel"))
			tr.Add([]byte("hello1"))
			want("before Select", tr.SumWith([]byte("x"), newHash), sum("hello1", "x"))
			tr.Select(newHash)
			want("selected", tr.Sum(), sum("hello1"))
			tr.HelloRetryRequest()
			replaced := "\xfe\x00\x00" + string(rune(newHash().Size())) + string(sum("hello1"))
			want("replaced", tr.Sum(), sum(replaced))
			tr.Add([]byte("retry"))
			want("second prefix", tr.SumWith([]byte("hel"), newHash), sum(replaced, "retry", "hel"))
			want("second prefix again", tr.SumWith([]byte("hel"), newHash), sum(replaced, "retry", "hel"))
			tr.Add([]byte("hello2"))
			second := tr.Sum()
			want("second", second, sum(replaced, "retry", "hello2"))
			tr.Add([]byte("server"))
			prefixed := tr.SumWith([]byte("x"), newHash)
			want("lent until the next call", second, sum(replaced, "retry", "hello2"))
			want("all", tr.Sum(), sum(replaced, "retry", "hello2", "server"))
			want("a slice of its own", prefixed, sum(replaced, "retry", "hello2", "server", "x"))
		})
	}
}

// Add must not keep the caller's slice.
func TestAddCopies(t *testing.T) {
	t.Parallel()
	tr := transcript.New()
	msg := []byte("message")
	tr.Add(msg)
	clear(msg)
	tr.Select(sha256.New)
	if want := sha256.Sum256([]byte("message")); !bytes.Equal(tr.Sum(), want[:]) {
		t.Error("Add kept the caller's slice")
	}
}

func TestAnotherHash(t *testing.T) {
	t.Parallel()
	tr := transcript.New()
	tr.Select(sha256.New)
	defer func() {
		if recover() == nil {
			t.Error("no panic for a hash that was not selected")
		}
	}()
	tr.SumWith(nil, sha512.New384)
}

func TestWipe(t *testing.T) {
	t.Parallel()
	tr := transcript.New()
	tr.Add([]byte("message"))
	tr.Wipe()
	tr.Wipe()
	if want := sha256.New().Sum(nil); !bytes.Equal(tr.SumWith(nil, sha256.New), want) {
		t.Error("something is left after Wipe")
	}
}
