// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/suite"
)

// testKey is n, n+1, ….
func testKey(n byte) []byte {
	b := make([]byte, 32)
	for i := range b {
		b[i] = n + byte(i)
	}
	return b
}

// must takes a key that can be made.
func must(k *PresharedKey, err error) *PresharedKey {
	if err != nil {
		panic(err)
	}
	return k
}

// TestNewPresharedKey pins what is refused.
func TestNewPresharedKey(t *testing.T) {
	t.Parallel()
	key := testKey(0)
	long := strings.Repeat("n", 256)
	for _, test := range []struct {
		name, identity string
		key            []byte
		self, peer     string
		says           string // empty: it can be made
	}{
		{"128 bits", "k", key[:16], "a", "b", ""},
		{"much", strings.Repeat("k", maxIdentity), bytes.Repeat(key, 32), long[1:], "b", ""},
		{"any bytes", "\x00\xff", key, "\x00", "\xff", ""},
		{"15 bytes", "k", key[:15], "a", "b", "at least 16 bytes"},
		{"a password", "k", []byte("correct horse"), "a", "b", "no password"},
		{"no key", "k", nil, "a", "b", "at least 16 bytes"},
		{"zeros", "k", make([]byte, 32), "a", "b", "all the same"},
		{"no identity", "", key, "a", "b", "identity"},
		{"a long identity", strings.Repeat("k", maxIdentity+1), key, "a", "b", "identity"},
		{"no name", "k", key, "", "b", "names of its two sides"},
		{"no peer", "k", key, "a", "", "names of its two sides"},
		{"a long name", "k", key, long, "b", "names of its two sides"},
		{"a long peer", "k", key, "a", long, "names of its two sides"},
		{"one name", "k", key, "a", "a", "the same name"},
	} {
		made := map[string]func() (*PresharedKey, error){
			"imported": func() (*PresharedKey, error) { return NewPresharedKey(test.identity, test.key, test.self, test.peer) },
		}
		if !strings.Contains(test.says, "name") {
			made["client"] = func() (*PresharedKey, error) { return NewPlainClientKey(test.identity, test.key) }
			made["server"] = func() (*PresharedKey, error) { return NewPlainServerKey(test.identity, test.key) }
		}
		for kind, make := range made {
			k, err := make()
			if test.says == "" && (err != nil || k.Identity() != test.identity) {
				t.Errorf("%s, %s: %v", test.name, kind, err)
			}
			if test.says != "" && (err == nil || k != nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("%s, %s: %v, want a sentence with %q", test.name, kind, err, test.says)
			}
		}
	}
}

// TestPresharedKeyForms holds a key against what BoringSSL's test suite computes for
// the same: the client "sensor" and the server "hub".
func TestPresharedKeyForms(t *testing.T) {
	t.Parallel()
	const identity = "000f6b6579206f6620746865206d657368000b0673656e736f7203687562"
	sensor := must(NewPresharedKey("key of the mesh", testKey(0), "sensor", "hub"))
	hub := must(NewPresharedKey("key of the mesh", testKey(0), "hub", "sensor"))
	every := func(*keyForm) bool { return true }
	for _, side := range []struct {
		key    *PresharedKey
		server bool
	}{{sensor, false}, {hub, true}} {
		var got []string
		for _, psk := range side.key.held().use(side.server, every) {
			got = append(got, hex.EncodeToString(psk.Identity), hex.EncodeToString(psk.Secret.Bytes()), string(psk.Kind))
		}
		if want := []string{
			identity + "03040001", "9febc56980ead7c30f85f650be4d7561ea1122bc4457f79076bf4686d312ceea", "imp binder",
			identity + "03040002", "64d7d2e05dfd1f3f170989faaed0430ae359884d06bb91ad7bba9b4ffb91f9e41f16ee08fd760b72d548bcf5ca6dca1d", "imp binder",
		}; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	}
	// What the same side uses in the other role has nothing in common with that.
	for _, psk := range sensor.held().use(true, every) {
		for _, other := range sensor.held().use(false, every) {
			if bytes.Equal(psk.Identity, other.Identity) || bytes.Equal(psk.Secret.Bytes(), other.Secret.Bytes()) {
				t.Errorf("%x is used in both roles", psk.Identity)
			}
		}
	}
	for _, plain := range []*PresharedKey{
		must(NewPlainClientKey("plain", testKey(0))), must(NewPlainServerKey("plain", testKey(0))),
	} {
		psks := append(plain.held().use(false, every), plain.held().use(true, every)...)
		if len(psks) != 1 || string(psks[0].Identity) != "plain" || !bytes.Equal(psks[0].Secret.Bytes(), testKey(0)) ||
			psks[0].Suite != suite.AES128GCM || psks[0].Kind != "ext binder" || psks[0].MaxEarlyData != 0 {
			t.Errorf("a plain key is %+v", psks)
		}
	}
}

// TestPresharedKeyCopies shows that a key is not changed by what becomes of the bytes
// that it was made of, or of what a handshake has wiped.
func TestPresharedKeyCopies(t *testing.T) {
	t.Parallel()
	every := func(*keyForm) bool { return true }
	key := testKey(0)
	plain := must(NewPlainClientKey("plain", key))
	clear(key)
	for range 2 {
		psk := plain.held().use(false, every)[0]
		if !bytes.Equal(psk.Secret.Bytes(), testKey(0)) {
			t.Error("the key has changed")
		}
		psk.Secret.Wipe()
	}
}

// TestPresharedKeyWipe wipes keys by hand and by the garbage collector.
func TestPresharedKeyWipe(t *testing.T) {
	t.Parallel()
	for _, drop := range []bool{false, true} {
		if drop && underRace {
			continue // that the collector is done with a key is seen in the key itself
		}
		forms := func() []keyForm {
			k := must(NewPresharedKey("k", testKey(0), "a", "b"))
			defer runtime.KeepAlive(k)
			forms := k.held().forms
			if !drop {
				k.Wipe()
				k.Wipe()
				if k.held().has(false, nil) || k.held().has(true, nil) || k.Identity() != "k" {
					t.Error("a wiped key can be used, or has lost its name")
				}
			}
			return forms
		}()
		for range 500 {
			if !drop || forms[3].secret.Len() == 0 {
				break
			}
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
		for _, f := range forms {
			if f.secret.Len() != 0 {
				t.Errorf("dropped: %t: a secret is left", drop)
			}
		}
	}
	(*PresharedKey)(nil).Wipe()
	new(PresharedKey).Wipe()
}

// TestPresharedKeyPrints looks for the key in everything that prints.
func TestPresharedKeyPrints(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{0xA7, 0xB9}, 16)
	k := must(NewPlainServerKey("plain", key))
	var text bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
		for _, value := range []any{k, *k, k.key, &Config{Peers: PSKs(k)}, PSKs(k), []*PresharedKey{k}, map[string]PresharedKey{"a": *k}} {
			fmt.Fprintf(&text, verb+"\n", value)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&text, nil)} {
		slog.New(handler).Info("it is", "key", k, "value", *k)
	}
	b, err := json.Marshal([]any{k, *k})
	if err != nil {
		t.Error(err)
	}
	text.Write(b)
	for _, secret := range []string{string(key[:8]), hex.EncodeToString(key[:8]), "p7mnuae5p7m", "167 185 167", "167,185,167", "0xa7, 0xb9"} {
		if strings.Contains(strings.ToLower(text.String()), secret) {
			t.Errorf("the key was printed as %q", secret)
		}
	}
	if got := fmt.Sprint(k); got != redactedKey {
		t.Error(got)
	}
}

// TestPSKPeersMisuse pins the sentences about pre-shared keys that cannot work.
func TestPSKPeersMisuse(t *testing.T) {
	t.Parallel()
	k := must(NewPresharedKey("k", testKey(0), "a", "b"))
	again := must(NewPresharedKey("k", testKey(1), "a", "b"))
	other := must(NewPresharedKey("k", testKey(0), "a", "c"))
	client, server := must(NewPlainClientKey("k", testKey(0))), must(NewPlainServerKey("k", testKey(0)))
	gone := must(NewPresharedKey("k", testKey(0), "a", "b"))
	gone.Wipe()
	find := func(context.Context, PSKOffer) (*PresharedKey, error) { return nil, nil }
	yes := Verify(func(context.Context, Peer) error { return nil })
	id, pins := seeded(1), Pins(seeded(2).Pin())
	for _, test := range []struct {
		name           string
		config         Config
		client, server string // what is said on either side; empty: it works
	}{
		{"a key", Config{Peers: PSKs(k)}, "", ""},
		{"two names", Config{Peers: PSKs(k, other)}, "", ""},
		{"no keys", Config{Peers: PSKs()}, "PSKs has no key", "PSKs has no key"},
		{"nil", Config{Peers: PSKs(k, nil)}, "nil or was wiped", "nil or was wiped"},
		{"zero", Config{Peers: PSKs(new(PresharedKey))}, "nil or was wiped", "nil or was wiped"},
		{"wiped", Config{Peers: PSKs(gone)}, "nil or was wiped", "nil or was wiped"},
		{"twice", Config{Peers: PSKs(k, again)}, "the same identity", "the same identity"},
		{"a client's", Config{Peers: PSKs(client)}, "", "NewImportedClientKey, and this is a server"},
		{"a server's", Config{Peers: PSKs(server)}, "NewImportedServerKey, and this is a client", ""},
		{"plain in both roles", Config{Peers: PSKs(client, server)}, "is for one role", "is for one role"},
		{"plain without its hash", Config{Peers: AnyOf(PSKs(client), PSKs(server)), CipherSuites: []uint16{uint16(suite.AES256GCM)}}, "SHA-256", "is for one role"},
		{"imported with SHA-384", Config{Peers: PSKs(k), CipherSuites: []uint16{uint16(suite.AES256GCM)}}, "", ""},
		{"five", Config{Peers: PSKs(k, other, must(NewPresharedKey("3", testKey(0), "a", "b")), must(NewPresharedKey("4", testKey(0), "a", "b")), must(NewPresharedKey("5", testKey(0), "a", "b")))}, "at most four", ""},
		{"a lookup", Config{Peers: PSKLookup(find)}, "PSKLookup is a server's", ""},
		{"no function", Config{Peers: PSKLookup(nil)}, "no function", "no function"},
		{"with Verify", Config{Peers: AllOf(PSKs(k), yes)}, "", ""},
		{"all", Config{Peers: AllOf(PSKs(k), AnyOf(pins, PSKs(k, other)))}, "", ""},
		{"beside pins", Config{Peers: AllOf(PSKs(k), pins)}, "put them into AnyOf", "put them into AnyOf"},
		{"beside AnyKey", Config{Peers: AllOf(AnyKey(), PSKLookup(find), yes)}, "AnyKey is a server's", "put them into AnyOf"},
		{"or pins", Config{Peers: AnyOf(PSKs(k), pins), Identity: id}, "", ""},
		{"or pins, nothing to show", Config{Peers: AnyOf(PSKs(k), pins)}, "", "a server needs a key"},
		{"with an Identity", Config{Peers: PSKs(k), Identity: id}, "nobody would see", "nobody would see"},
		{"with an Identity, within", Config{Peers: AnyOf(AllOf(yes, PSKs(k)), PSKs(other)), Identity: id}, "nobody would see", "nobody would see"},
		{"or nobody", Config{Peers: AnyOf(PSKs(k), NoClientAuth()), Identity: id}, "NoClientAuth is a server's", ""},
	} {
		for role, says := range map[bool]string{false: test.client, true: test.server} {
			_, err := test.config.settle(role, "b.example")
			if says == "" && err != nil {
				t.Errorf("%s, server %t: %v", test.name, role, err)
			}
			if says != "" && (err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "mayfly: ")) {
				t.Errorf("%s, server %t: %v, want a sentence with %q", test.name, role, err, says)
			}
		}
	}
}

// TestPSKJudge has PSKs and others judge the holders of keys and others.
func TestPSKJudge(t *testing.T) {
	t.Parallel()
	k := must(NewPresharedKey("k", testKey(0), "a", "b"))
	other := must(NewPresharedKey("k", testKey(0), "a", "c"))
	before := must(NewPresharedKey("k", testKey(1), "a", "b"))
	list, more := PSKs(k), PSKs(other)
	lookup := PSKLookup(func(_ context.Context, offer PSKOffer) (*PresharedKey, error) {
		if offer != (PSKOffer{"k", "b", "a"}) {
			return nil, errors.New("down")
		}
		return k, nil
	})
	id := seeded(1)
	raw, pins := rawPeer(t, id), Pins(id.Pin())
	holder := func(k *PresharedKey, server bool) *credential.Peer {
		return &credential.Peer{PSKIdentity: k.held().identities(server)[0], PSKMark: k.held().mark}
	}
	for _, test := range []struct {
		name   string
		peers  Peers
		server bool
		used   *usedKey
		peer   *credential.Peer
		code   alert.Code // 0: it is accepted
		by     string     // the name of who is accepted
	}{
		{"list", list, true, nil, holder(k, true), 0, "b"},
		{"list, client", list, false, nil, holder(k, false), 0, "b"},
		{"list, the other role", list, false, nil, holder(k, true), alert.AccessDenied, ""},
		{"list, another", list, true, nil, holder(other, true), alert.AccessDenied, ""},
		{"list, the key before", list, true, nil, holder(before, true), alert.AccessDenied, ""},
		{"list, the key before, client", list, false, nil, holder(before, false), alert.AccessDenied, ""},
		{"list, raw", list, true, nil, raw, alert.AccessDenied, ""},
		{"list, nobody", list, true, nil, nil, alert.CertificateRequired, ""},
		{"any", AnyOf(pins, list, more), true, nil, holder(other, true), 0, "c"},
		{"any, another", AnyOf(pins, list), true, nil, holder(other, true), alert.AccessDenied, ""},
		{"any, raw", AnyOf(list, pins), true, nil, raw, 0, ""},
		{"any, nobody", AnyOf(list, NoClientAuth()), true, nil, nil, 0, ""},
		{"all", AllOf(list, AnyOf(pins, list)), true, nil, holder(k, true), 0, "b"},
		{"all, another", AllOf(list, more), true, nil, holder(k, true), alert.AccessDenied, ""},
		{"lookup, used", lookup, true, &usedKey{other, lookup.(pskSource), nil}, holder(other, true), 0, "c"},
		{"lookup, of a list", lookup, true, &usedKey{k, list.(pskSource), nil}, holder(k, true), alert.AccessDenied, ""},
		{"lookup, again", lookup, true, nil, holder(k, true), 0, "b"},
		{"lookup, again, the key before", lookup, true, nil, holder(before, true), alert.AccessDenied, ""},
		{"lookup, again, fails", lookup, true, nil, holder(other, true), alert.InternalError, ""},
		{"lookup, nobody", lookup, true, nil, nil, alert.CertificateRequired, ""},
		{"pins", pins, true, nil, holder(k, true), alert.AccessDenied, ""},
		{"AnyKey", AnyKey(), true, nil, holder(k, true), alert.AccessDenied, ""},
		{"InsecureAnyServer", InsecureAnyServer(), false, nil, holder(k, false), alert.AccessDenied, ""},
		{"NoClientAuth", NoClientAuth(), true, nil, holder(k, true), alert.AccessDenied, ""},
		{"roots", Roots(poolOf(t, id)), true, nil, holder(k, true), alert.AccessDenied, ""},
	} {
		facts := asClient("b.example")
		facts.Server, facts.Key = test.server, test.used
		got, err := test.peers.judge(t.Context(), facts, test.peer)
		switch {
		case test.code != 0:
			if err == nil || alert.Of(err) != test.code || got.Kind != Anonymous {
				t.Errorf("%s: %+v, %v, want %v", test.name, got, err, test.code)
			}
		case err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.by != "" && (got.Kind != PSK || string(got.PSKIdentity) != "k" || got.Name != test.by || got.Pin != Pin{} || got.PublicKey != nil):
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}
