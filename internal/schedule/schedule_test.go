// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package schedule

import (
	"bytes"
	stdhkdf "crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/hkdf"

	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/testvec"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/transcript"
)

// TestRFC5869 has the vectors of RFC 5869, Appendix A, for SHA-256, through the
// hashes that a kdf lends.
func TestRFC5869(t *testing.T) {
	t.Parallel()
	sequence := func(from, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(from + i)
		}
		return b
	}
	k := newKDF(suite.ByID(suite.AES128GCM))
	for i, v := range []struct {
		ikm, salt, info []byte
		prk, okm        string
	}{
		{
			bytes.Repeat([]byte{0x0b}, 22), sequence(0, 13), sequence(0xf0, 10),
			"077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
		},
		{
			sequence(0, 80), sequence(0x60, 80), sequence(0xb0, 80),
			"06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
			"b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c" +
				"59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71" +
				"cc30c58179ec3e87c14c01d5c1f3434f1d87",
		},
		{
			bytes.Repeat([]byte{0x0b}, 22), nil, nil,
			"19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
		},
	} {
		prk := k.extract(v.salt, v.ikm)
		if got := hex.EncodeToString(prk.Bytes()); got != v.prk {
			t.Errorf("case %d: PRK %s, want %s", i+1, got, v.prk)
		}
		for name, okm := range expansions(k, prk.Bytes(), v.info, len(v.okm)/2) {
			if got := hex.EncodeToString(okm); got != v.okm {
				t.Errorf("case %d: OKM by %s %s, want %s", i+1, name, got, v.okm)
			}
		}
	}
}

// expansions returns what each implementation of HKDF-Expand gives.
func expansions(k *kdf, secret, info []byte, n int) map[string][]byte {
	okm := map[string][]byte{"expand": make([]byte, n), "expand again": make([]byte, n), "crypto/hkdf": make([]byte, n), "x/crypto": make([]byte, n)}
	ours, standard := newKDF(k.suite), newKDF(k.suite)
	ours.fips, standard.fips = false, true
	ours.setKey(secret)
	ours.expand(okm["expand"], info)
	ours.expand(okm["expand again"], info)
	ours.release()
	standard.setKey(secret)
	standard.expandStandard(okm["crypto/hkdf"], info)
	standard.release()
	if _, err := io.ReadFull(hkdf.Expand(k.newHash, secret, info), okm["x/crypto"]); err != nil {
		panic(err)
	}
	k.release()
	return okm
}

// replay is a trace of RFC 8448, whose transcript hashes are taken from its
// messages, and whose results are compared with what the schedule gives.
type replay struct {
	t        *testing.T
	trace    *testvec.Trace
	messages []testvec.Message
}

func newReplay(t *testing.T, name string) *replay {
	trace, err := testvec.Load("../../testdata/rfc8448/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := trace.Messages()
	if err != nil {
		t.Fatal(err)
	}
	return &replay{t, trace, messages}
}

// hash returns the hash of all messages before the nth of that type.
func (r *replay) hash(typ byte, n int) []byte {
	tr := transcript.New()
	for _, m := range r.messages {
		if m.Raw[0] == typ {
			if n--; n == 0 {
				break
			}
		}
		tr.Add(m.Raw)
	}
	return tr.SumWith(nil, sha256.New)
}

// want compares got with a value of the trace.
func (r *replay) want(got []byte, who, what, value string) {
	r.t.Helper()
	step := r.trace.Find(who, what)
	if step == nil {
		r.t.Fatalf("no step %q", what)
	}
	if want := step.Value(value); want == nil || !bytes.Equal(got, want) {
		r.t.Errorf("%s: %s: %s is %x, want %x", who, what, value, got, want)
	}
}

// wantKeys compares a traffic secret with that of the label, and its keys by what
// the AEAD that they give seals.
func (r *replay) wantKeys(secret *Traffic, who, label, epoch string) {
	r.t.Helper()
	from := "server"
	if r.trace.Find(from, "derive secret \"tls13 "+label+"\"") == nil {
		from = "client"
	}
	r.want(secret.Secret(), from, "derive secret \"tls13 "+label+"\"", "expanded")
	keys := secret.Keys()
	defer keys.Wipe()
	what := "derive write traffic keys for " + epoch
	r.want(keys.IV[:], who, what, "iv_expanded")
	want := keys.Suite.NewKeys(r.trace.Find(who, what).Value("key_expanded"), keys.IV[:])
	if !bytes.Equal(keys.AEAD.Seal(nil, keys.IV[:], nil, nil), want.AEAD.Seal(nil, keys.IV[:], nil, nil)) {
		r.t.Errorf("%s: %s: another key", who, what)
	}
}

// deriveForTest is Derive-Secret of no messages.
func deriveForTest(s *stage, label string) (secret []byte) {
	s.derive(func(k *kdf) { secret = k.deriveSecret(label, k.empty).Bytes() })
	return secret
}

const (
	derivedForHandshake = "derive secret for handshake \"tls13 derived\""
	derivedForMain      = "derive secret for master \"tls13 derived\""
	finished            = "calculate finished \"tls13 finished\""
)

// TestSimple is RFC 8448, Section 3: every value of the key schedule.
func TestSimple(t *testing.T) {
	t.Parallel()
	r := newReplay(t, "simple-1rtt")
	early := NewEarly(suite.ByID(suite.AES128GCM), nil)
	r.want(early.secret.Bytes(), "server", "extract secret \"early\"", "secret")
	r.want(deriveForTest(&early.stage, "derived"), "server", derivedForHandshake, "expanded")

	shared := r.trace.Find("server", "extract secret \"handshake\"").Value("IKM")
	handshake := early.Handshake(volatile.Take(bytes.Clone(shared)))
	r.want(handshake.secret.Bytes(), "server", "extract secret \"handshake\"", "secret")
	r.want(deriveForTest(&handshake.stage, "derived"), "server", derivedForMain, "expanded")

	toServerHello := r.hash(8, 1)
	client, server := handshake.ClientTraffic(toServerHello), handshake.ServerTraffic(toServerHello)
	r.want(client.Secret(), "server", "derive secret \"tls13 c hs traffic\"", "expanded")
	r.wantKeys(server, "server", "s hs traffic", "handshake data")
	r.want(server.Finished(r.hash(20, 1)), "server", finished, "finished")
	r.want(client.Finished(r.hash(20, 2)), "client", finished, "finished")

	main := handshake.Main()
	r.want(main.secret.Bytes(), "server", "extract secret \"master\"", "secret")
	toServerFinished, toClientFinished := r.hash(20, 2), r.hash(4, 1)
	r.wantKeys(main.ClientTraffic(toServerFinished), "client", "c ap traffic", "application data")
	r.wantKeys(main.ServerTraffic(toServerFinished), "server", "s ap traffic", "application data")
	r.want(main.Exporter(toServerFinished).Secret(), "server", "derive secret \"tls13 exp master\"", "expanded")
	resumption := main.Resumption(toClientFinished)
	r.want(resumption.secret.Bytes(), "client", "derive secret \"tls13 res master\"", "expanded")
	psk := resumption.PSK([]byte{0, 0})
	r.want(psk.Bytes(), "server", "generate resumption secret \"tls13 resumption\"", "expanded")
}

// TestResumed is RFC 8448, Section 4: what a PSK and early data add to it.
func TestResumed(t *testing.T) {
	t.Parallel()
	r := newReplay(t, "resumed-0rtt")
	psk := r.trace.Find("client", "extract secret \"early\"").Value("IKM")
	early := NewEarly(suite.ByID(suite.AES128GCM), psk)
	r.want(early.secret.Bytes(), "client", "extract secret \"early\"", "secret")

	step := r.trace.Find("client", "calculate PSK binder")
	r.want(early.Binder(ResumptionBinder, step.Value("binder_hash")), "client", step.What, "finished")
	for _, other := range []BinderLabel{ExternalBinder, ImportedBinder} {
		if bytes.Equal(early.Binder(other, step.Value("binder_hash")), step.Value("finished")) {
			t.Errorf("%s gives the same binder as %s", other, ResumptionBinder)
		}
	}
	clientHello := r.hash(2, 1)
	r.wantKeys(early.ClientTraffic(clientHello), "client", "c e traffic", "early application data")
	r.want(early.Exporter(clientHello).Secret(), "client", "derive secret \"tls13 e exp master\"", "expanded")

	shared := r.trace.Find("server", "extract secret \"handshake\"").Value("IKM")
	handshake := early.Handshake(volatile.Take(bytes.Clone(shared)))
	r.wantKeys(handshake.ClientTraffic(r.hash(8, 1)), "client", "c hs traffic", "handshake data")
	main := handshake.Main()
	r.wantKeys(main.ServerTraffic(r.hash(5, 1)), "server", "s ap traffic", "application data")
	r.want(main.Resumption(r.hash(4, 1)).secret.Bytes(), "client", "derive secret \"tls13 res master\"", "expanded")
}

// oracle is HKDF-Expand-Label by the standard library's HKDF, with the label put
// together anew.
func oracle(s *suite.Suite, secret []byte, label string, context []byte, n int) []byte {
	info := fmt.Sprintf("%c%c%ctls13 %s%c%s", 0, n, len(label)+6, label, len(context), context)
	if n > 127 || len(context) > 127 || len(label) > 120 {
		panic("not ASCII")
	}
	out, err := stdhkdf.Expand(s.NewHash, secret, info, n)
	if err != nil {
		panic(err)
	}
	return out
}

// TestOracle covers what RFC 8448 does not: the other hash, updates, exporters and
// the rest of the labels.
func TestOracle(t *testing.T) {
	t.Parallel()
	for _, id := range suite.All() {
		t.Run(id.String(), func(t *testing.T) {
			t.Parallel()
			s := suite.ByID(id)
			n := s.HashLen
			sum := func(b []byte) []byte { h := s.NewHash(); h.Write(b); return h.Sum(nil) }
			extract := func(salt, ikm []byte) []byte {
				out, err := stdhkdf.Extract(s.NewHash, ikm, salt)
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			want := func(what string, got, want []byte) {
				t.Helper()
				if !bytes.Equal(got, want) {
					t.Errorf("%s is %x, want %x", what, got, want)
				}
			}
			psk, shared, th := []byte("pre-shared key"), []byte("shared secret"), sum([]byte("messages"))
			none := make([]byte, n)

			e := NewEarly(s, psk)
			early := extract(none, psk)
			want("early", e.secret.Bytes(), early)
			for label, name := range map[BinderLabel]string{
				ExternalBinder: "ext binder", ResumptionBinder: "res binder", ImportedBinder: "imp binder",
			} {
				mac := hmac.New(s.NewHash, oracle(s, oracle(s, early, name, sum(nil), n), "finished", nil, n))
				mac.Write(th)
				want(name, e.Binder(label, th), mac.Sum(nil))
			}
			want("c e traffic", e.ClientTraffic(th).Secret(), oracle(s, early, "c e traffic", th, n))
			want("e exp master", e.Exporter(th).Secret(), oracle(s, early, "e exp master", th, n))

			h := e.Handshake(volatile.Take(bytes.Clone(shared)))
			handshake := extract(oracle(s, early, "derived", sum(nil), n), shared)
			want("handshake", h.secret.Bytes(), handshake)
			client := h.ClientTraffic(th)
			secret := oracle(s, handshake, "c hs traffic", th, n)
			want("c hs traffic", client.Secret(), secret)
			want("s hs traffic", h.ServerTraffic(th).Secret(), oracle(s, handshake, "s hs traffic", th, n))
			for i := range uint64(3) {
				if client.Generation() != i {
					t.Errorf("generation %d, want %d", client.Generation(), i)
				}
				keys := client.Keys()
				same := s.NewKeys(oracle(s, secret, "key", nil, s.KeyLen), oracle(s, secret, "iv", nil, suite.NonceLen))
				want("iv", keys.IV[:], same.IV[:])
				want("key", keys.AEAD.Seal(nil, keys.IV[:], th, nil), same.AEAD.Seal(nil, keys.IV[:], th, nil))
				mac := hmac.New(s.NewHash, oracle(s, secret, "finished", nil, n))
				mac.Write(th)
				want("finished", client.Finished(th), mac.Sum(nil))
				old := client.Secret()
				client.Update()
				want("the old secret", old, none)
				secret = oracle(s, secret, "traffic upd", nil, n)
				want("traffic upd", client.Secret(), secret)
			}

			m := h.Main()
			main := extract(oracle(s, handshake, "derived", sum(nil), n), none)
			want("main", m.secret.Bytes(), main)
			want("c ap traffic", m.ClientTraffic(th).Secret(), oracle(s, main, "c ap traffic", th, n))
			want("s ap traffic", m.ServerTraffic(th).Secret(), oracle(s, main, "s ap traffic", th, n))
			want("resumption", m.Resumption(th).PSK([]byte{7}).Bytes(),
				oracle(s, oracle(s, main, "res master", th, n), "resumption", []byte{7}, n))
			x := m.Exporter(th)
			exporter := oracle(s, main, "exp master", th, n)
			want("exp master", x.Secret(), exporter)
			for _, context := range [][]byte{nil, {}, []byte("context"), make([]byte, s.NewHash().BlockSize())} {
				for _, size := range []int{0, 1, n, n + 1, 127} {
					got, err := x.Export("EXPORTER-test", context, size)
					if err != nil {
						t.Fatal(err)
					}
					want("exported", got, oracle(s, oracle(s, exporter, "EXPORTER-test", sum(nil), n), "exporter", sum(context), size))
				}
			}
		})
	}
}

// TestNoSecrets has neither a PSK nor a key exchange.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	s := suite.ByID(suite.AES256GCM)
	zeros := make([]byte, s.HashLen)
	a, b := NewEarly(s, nil), NewEarly(s, zeros)
	if !bytes.Equal(a.secret.Bytes(), b.secret.Bytes()) {
		t.Error("no PSK is not a PSK of zeros")
	}
	x, y := a.Handshake(nil), b.Handshake(volatile.New(s.HashLen))
	if !bytes.Equal(x.secret.Bytes(), y.secret.Bytes()) {
		t.Error("no shared secret is not one of zeros")
	}
}

// TestConsumed checks that each stage wipes what the next one is made from, and
// refuses to derive anything after.
func TestConsumed(t *testing.T) {
	t.Parallel()
	s := suite.ByID(suite.ChaCha20Poly1305)
	th := s.NewHash().Sum(nil)
	shared := bytes.Repeat([]byte{1}, 32)
	e := NewEarly(s, nil)
	early := e.secret.Bytes()
	h := e.Handshake(volatile.Take(shared))
	handshake := h.secret.Bytes()
	m := h.Main()
	main := m.secret.Bytes()
	traffic, x, r := m.ClientTraffic(th), m.Exporter(th), m.Resumption(th)
	secrets := [][]byte{early, shared, handshake, main, traffic.Secret(), x.Secret(), r.secret.Bytes()}
	for range 2 {
		m.Wipe()
		h.Wipe()
		e.Wipe()
		traffic.Wipe()
		x.Wipe()
		r.Wipe()
	}
	for i, secret := range secrets {
		if !bytes.Equal(secret, make([]byte, len(secret))) {
			t.Errorf("secret %d is still there", i)
		}
	}
	for name, f := range map[string]func(){
		"binder": func() { e.Binder(ExternalBinder, th) }, "early traffic": func() { e.ClientTraffic(th) },
		"early exporter": func() { e.Exporter(th) }, "handshake": func() { e.Handshake(nil) },
		"main": func() { h.Main() }, "handshake traffic": func() { h.ServerTraffic(th) },
		"traffic": func() { m.ServerTraffic(th) }, "resumption": func() { m.Resumption(th) },
		"keys": func() { traffic.Keys() }, "finished": func() { traffic.Finished(th) },
		"update": func() { traffic.Update() }, "PSK": func() { r.PSK(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was derived from nothing", name)
				}
			}()
			f()
		}()
	}
	if _, err := x.Export("label", nil, 1); !errors.Is(err, ErrExporterWiped) {
		t.Errorf("Export after Wipe: %v", err)
	}
	if traffic.Secret() != nil || x.Secret() != nil {
		t.Error("a secret after Wipe")
	}
	(*Early)(nil).Wipe()
	(*Handshake)(nil).Wipe()
	(*Main)(nil).Wipe()
	(*Traffic)(nil).Wipe()
	(*Exporter)(nil).Wipe()
	(*Resumption)(nil).Wipe()
}

func TestExportLimits(t *testing.T) {
	t.Parallel()
	for _, id := range []suite.ID{suite.AES128GCM, suite.AES256GCM} {
		s := suite.ByID(id)
		x := NewEarly(s, nil).Exporter(s.NewHash().Sum(nil))
		for _, v := range []struct {
			label string
			n     int
			want  error
		}{
			{"label", 255 * s.HashLen, nil},
			{"label", 255*s.HashLen + 1, ErrExporterLength},
			{"label", 1 << 20, ErrExporterLength},
			{"label", -1, ErrExporterLength},
			{"", 1, ErrExporterLabel},
			{strings.Repeat("x", 249), 1, nil},
			{strings.Repeat("x", 250), 1, ErrExporterLabel},
		} {
			out, err := x.Export(v.label, nil, v.n)
			if !errors.Is(err, v.want) || err == nil && len(out) != v.n {
				t.Errorf("label of %d, length %d: %d bytes, error %v, want %v", len(v.label), v.n, len(out), err, v.want)
			}
		}
	}
	if _, err := (*Exporter)(nil).Export("label", nil, 1); !errors.Is(err, ErrExporterWiped) {
		t.Errorf("no exporter: %v", err)
	}
}

// TestKDFWipes pins that crypto/hmac, crypto/hkdf and x/crypto/hkdf hold the key and the
// result where the kdf sees them, and that it wipes them there.
func TestKDFWipes(t *testing.T) {
	t.Parallel()
	for _, id := range []suite.ID{suite.AES128GCM, suite.AES256GCM} {
		for _, fips := range []bool{false, true} {
			s := suite.ByID(id)
			k := newKDF(s)
			k.fips = fips
			key := bytes.Repeat([]byte{0xa5}, s.HashLen)
			var pads [][]byte
			var sums [][]byte
			newHash := k.newHash
			k.newHash = func() hash.Hash {
				h := newHash().(*lentHash)
				return &spy{lentHash: h, seen: func() {
					pads = append(pads, h.pad)
					sums = append(sums, bytes.Clone(k.sum[:s.HashLen]), bytes.Clone(k.block[:s.HashLen]))
				}}
			}
			out := make([]byte, s.HashLen)
			k.setKey(key)
			k.expandLabel(out, "label", nil)
			k.release()
			if k.lent != 0 || k.secret != nil || k.mac != nil {
				t.Errorf("%v: %d hashes were not taken back", id, k.lent)
			}
			if len(pads) != 2 || len(pads[0]) != s.NewHash().BlockSize() || len(pads[1]) != len(pads[0]) || &pads[0][0] == &pads[1][0] {
				t.Fatalf("%v: the pads were not seen: %x", id, pads)
			}
			if !slices.ContainsFunc(sums, func(sum []byte) bool { return bytes.Equal(sum, out) }) {
				t.Errorf("%v, FIPS mode %v: the result did not go through the kdf's memory", id, fips)
			}
			for _, b := range append(pads, k.sum[:], k.block[:], k.scratch[:]) {
				if !bytes.Equal(b, make([]byte, len(b))) {
					t.Errorf("%v: still there: %x", id, b)
				}
			}
			for _, h := range &k.hashes {
				if got, want := fmt.Sprintf("%#v", h.Hash), fmt.Sprintf("%#v", s.NewHash()); got != want || h.pad != nil || h.written {
					t.Errorf("%v: a hash was not restored: %s", id, got)
				}
			}
		}
	}
}

// TestKDFIsReturnedClean takes kdfs through all that the schedule does, and looks at them
// when they are returned.
func TestKDFIsReturnedClean(t *testing.T) {
	t.Parallel()
	for _, id := range []suite.ID{suite.AES128GCM, suite.AES256GCM} {
		s := suite.ByID(id)
		th := s.NewHash().Sum(nil)
		for name, f := range map[string]func(k *kdf){
			"extract":    func(k *kdf) { k.extract(th, th) },
			"verifyData": func(k *kdf) { k.setKey(th); k.verifyData(th) },
			"next":       func(k *kdf) { k.setKey(th); k.next(th) },
			"setKey":     func(k *kdf) { k.setKey(th); k.deriveSecret("x", th); k.setKey(th); k.release() },
		} {
			k := newKDF(s)
			f(k)
			if k.secret != nil || k.mac != nil || k.used || k.lent != 0 {
				t.Errorf("%s: there is still a key", name)
			}
			for _, b := range [][]byte{k.sum[:], k.block[:], k.scratch[:], k.hashes[0].pad, k.hashes[1].pad} {
				if !bytes.Equal(b, make([]byte, len(b))) {
					t.Errorf("%s: still there: %x", name, b)
				}
			}
		}
	}
}

// spy is called after each Sum.
type spy struct {
	*lentHash
	seen func()
}

func (s *spy) Sum(b []byte) []byte {
	b = s.lentHash.Sum(b)
	s.seen()
	return b
}

// BenchmarkFull derives what one side of a full handshake does.
func BenchmarkFull(b *testing.B) {
	for _, id := range suite.All() {
		b.Run(id.String(), func(b *testing.B) {
			s := suite.ByID(id)
			th := s.NewHash().Sum(nil)
			b.ReportAllocs()
			for b.Loop() {
				h := NewEarly(s, nil).Handshake(volatile.New(32))
				ch, sh := h.ClientTraffic(th), h.ServerTraffic(th)
				m := h.Main()
				ca, sa, x, r := m.ClientTraffic(th), m.ServerTraffic(th), m.Exporter(th), m.Resumption(th)
				for _, t := range []*Traffic{ch, sh, ca, sa} {
					t.Keys().Wipe()
				}
				ch.Finished(th)
				sh.Finished(th)
				for _, t := range []*Traffic{ch, sh, ca, sa} {
					t.Wipe()
				}
				x.Wipe()
				r.Wipe()
				m.Wipe()
			}
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	s := suite.ByID(suite.AES128GCM)
	t := NewEarly(s, nil).ClientTraffic(s.NewHash().Sum(nil))
	b.ReportAllocs()
	for b.Loop() {
		t.Update()
		t.Keys().Wipe()
	}
}
