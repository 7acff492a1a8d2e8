// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// secretKey is 32 random bytes.
func secretKey(t testing.TB) []byte {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	return key
}

// imported is a key of a side, between it and another.
func imported(t testing.TB, identity string, key []byte, self, peer string) *mayfly.PresharedKey {
	t.Helper()
	k, err := mayfly.NewPresharedKey(identity, key, self, peer)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// plain is a key for the client's role or for the server's.
func plain(t testing.TB, server bool, identity string, key []byte) *mayfly.PresharedKey {
	t.Helper()
	newKey := mayfly.NewPlainClientKey
	if server {
		newKey = mayfly.NewPlainServerKey
	}
	k, err := newKey(identity, key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// with is a Config that has keys alone.
func with(keys ...*mayfly.PresharedKey) *mayfly.Config {
	return &mayfly.Config{Peers: mayfly.PSKs(keys...)}
}

// alertOf is the alert of a connection that failed, and whether the other side sent it.
func alertOf(err error) string {
	e, ok := errors.AsType[*mayfly.AlertError](err)
	switch {
	case err == nil:
		return "none"
	case !ok:
		return err.Error()
	case e.Remote:
		return "remote " + e.Code.String()
	}
	return e.Code.String()
}

// refused checks that a client and a server have failed by an alert of the server's.
func refused(t *testing.T, what, code string, clientErr, serverErr error) {
	t.Helper()
	if got := alertOf(clientErr); got != "remote "+code {
		t.Errorf("%s: the client: %v", what, clientErr)
	}
	if got := alertOf(serverErr); got != code {
		t.Errorf("%s: the server: %v", what, serverErr)
	}
}

// TestPSK makes connections with imported and plain keys, with each suite and group,
// at once and after a HelloRetryRequest.
func TestPSK(t *testing.T) {
	t.Parallel()
	key := secretKey(t)
	for name, keys := range map[string][2]*mayfly.PresharedKey{
		"imported": {imported(t, "k", key, "sensor", "hub"), imported(t, "k", key, "hub", "sensor")},
		"plain":    {plain(t, false, "k", key), plain(t, true, "k", key)},
	} {
		for _, suite := range []uint16{0, tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256} {
			for _, group := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256} {
				if name == "plain" && suite == tls.TLS_AES_256_GCM_SHA384 {
					continue // it has the other hash
				}
				cc, sc := with(keys[0]), with(keys[1])
				if suite != 0 {
					sc.CipherSuites = []uint16{suite}
				}
				sc.CurvePreferences = []tls.CurveID{group}
				what := fmt.Sprintf("%s, %x, %v", name, suite, group)
				c, s, clientErr, serverErr := shake(t, cc, sc)
				if err := errors.Join(clientErr, serverErr); err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				for peer, by := range map[*mayfly.Conn]string{c: "hub", s: "sensor"} {
					p, state := peer.Peer(), peer.ConnectionState()
					if name == "plain" {
						by = ""
					}
					if p.Kind != mayfly.PSK || string(p.PSKIdentity) != "k" || p.Name != by || p.Resumed || p.PublicKey != nil || p.Pin != (mayfly.Pin{}) {
						t.Errorf("%s: the peer is %+v", what, p)
					}
					if !state.HandshakeComplete || state.DidResume || state.PeerCertificates != nil || state.CurveID != group ||
						suite != 0 && state.CipherSuite != suite || state.HelloRetryRequest != (group == tls.CurveP256) {
						t.Errorf("%s: the state is %+v", what, state)
					}
				}
			}
		}
	}
}

// TestPSKReflected sends what a member of a mesh sends to another one back to itself
// (the Selfie attack), and to a third: it is for another pair of names.
func TestPSKReflected(t *testing.T) {
	t.Parallel()
	key := secretKey(t)
	mesh := func(self string, others ...string) *mayfly.Config {
		var keys []*mayfly.PresharedKey
		for _, other := range others {
			keys = append(keys, imported(t, "the mesh", key, self, other))
		}
		return with(keys...)
	}
	a, b, c := mesh("a", "b", "c"), mesh("b", "a", "c"), mesh("c", "a", "b")
	toB := with(imported(t, "the mesh", key, "a", "b"))
	for _, test := range []struct {
		name           string
		client, server *mayfly.Config
		fails          bool
	}{
		{"to b", toB, b, false},
		{"back, from b", mesh("b", "a"), a, false},
		{"reflected", toB, a, true},
		{"rerouted to c", toB, c, true},
	} {
		conn, _, clientErr, serverErr := shake(t, test.client, test.server)
		if test.fails {
			refused(t, test.name, "decrypt_error", clientErr, serverErr)
		} else if err := errors.Join(clientErr, serverErr); err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if conn.Peer().Name == "" {
			t.Errorf("%s: the peer is %+v", test.name, conn.Peer())
		}
	}
}

// TestPSKMismatch has sides that do not agree on what a key is.
func TestPSKMismatch(t *testing.T) {
	t.Parallel()
	key, other := secretKey(t), secretKey(t)
	client, server := imported(t, "k", key, "a", "b"), imported(t, "k", key, "b", "a")
	for name, test := range map[string]struct {
		client, server *mayfly.PresharedKey
	}{
		"another key":        {imported(t, "k", other, "a", "b"), server},
		"another identity":   {imported(t, "l", key, "a", "b"), server},
		"the same roles":     {imported(t, "k", key, "b", "a"), server},
		"imported and plain": {client, plain(t, true, "k", key)},
		"plain and imported": {plain(t, false, "k", key), server},
		"another plain key":  {plain(t, false, "k", other), plain(t, true, "k", key)},
	} {
		_, _, clientErr, serverErr := shake(t, with(test.client), with(test.server))
		refused(t, name, "decrypt_error", clientErr, serverErr)
	}
	_, _, clientErr, serverErr := shake(t, &mayfly.Config{Peers: mayfly.InsecureAnyServer()}, with(server))
	refused(t, "no key at all", "handshake_failure", clientErr, serverErr)
}

// A recorder keeps what is written to a connection.
type recorder struct {
	net.Conn
	mu      sync.Mutex
	written bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written.Write(p)
	return r.Conn.Write(p)
}

// TestPSKUnknown shows that a server that has pre-shared keys alone answers an identity
// that it does not know with the same bytes as a wrong key, at once and where it would
// have sent a HelloRetryRequest.
func TestPSKUnknown(t *testing.T) {
	t.Parallel()
	key, wrong := secretKey(t), secretKey(t)
	find := func(_ context.Context, offer mayfly.PSKOffer) (*mayfly.PresharedKey, error) {
		if offer.Identity != "k" {
			return nil, nil
		}
		if offer.Client == "" {
			return mayfly.NewPlainServerKey("k", key)
		}
		return mayfly.NewPresharedKey("k", key, offer.Server, offer.Client)
	}
	for _, peers := range []mayfly.Peers{
		mayfly.PSKs(imported(t, "k", key, "b", "a"), plain(t, true, "k", key)), mayfly.PSKLookup(find),
	} {
		for _, config := range []mayfly.Config{
			{CurvePreferences: []tls.CurveID{tls.X25519}},
			{CurvePreferences: []tls.CurveID{tls.CurveP256}},
			{CurvePreferences: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_AES_256_GCM_SHA384, tls.TLS_AES_128_GCM_SHA256}},
		} {
			answers := make(map[string][]string)
			config.Peers = peers
			for name, k := range map[string]*mayfly.PresharedKey{
				"unknown": imported(t, "l", wrong, "a", "b"), "wrong": imported(t, "k", wrong, "a", "b"),
				"unknown, plain": plain(t, false, "l", wrong), "wrong, plain": plain(t, false, "k", wrong),
			} {
				got := answerTo(t, with(k), &config)
				answers[got] = append(answers[got], name)
			}
			if len(answers) != 1 {
				t.Errorf("%T, %v: the answers differ: %v", peers, config.CurvePreferences, answers)
			}
		}
	}
}

// answerTo is what a server says to a client that it refuses.
func answerTo(t *testing.T, client, server *mayfly.Config) string {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	r := &recorder{Conn: b}
	done := make(chan error, 1)
	go func() { done <- mayfly.Server(r, server).Handshake() }()
	clientErr := mayfly.Client(a, client).Handshake()
	if serverErr := <-done; alertOf(serverErr) != "decrypt_error" || alertOf(clientErr) != "remote decrypt_error" {
		t.Errorf("the client: %v; the server: %v", clientErr, serverErr)
	}
	answer := r.written.Bytes()
	if answer[0] == 22 { // a HelloRetryRequest, which echoes the session ID
		clear(answer[44:76])
	}
	return hex.EncodeToString(answer)
}

// TestPSKFallback has servers with keys and an Identity: who names no known key gets
// that, and who names one must hold it.
func TestPSKFallback(t *testing.T) {
	t.Parallel()
	key := secretKey(t)
	server, client := newIdentity(t), newIdentity(t)
	sc := &mayfly.Config{Identity: server, Peers: mayfly.AnyOf(mayfly.PSKs(imported(t, "k", key, "b", "a")), mayfly.Pins(client.Pin()))}
	pinned := mayfly.Pins(server.Pin())
	for _, test := range []struct {
		name string
		peer mayfly.Peers
		id   *mayfly.Identity
		kind mayfly.PeerKind // of the server, as the client sees it
		code string          // of the server's refusal
	}{
		{"a key", mayfly.AnyOf(mayfly.PSKs(imported(t, "k", key, "a", "b")), pinned), client, mayfly.PSK, ""},
		{"a key alone", mayfly.PSKs(imported(t, "k", key, "a", "b")), nil, mayfly.PSK, ""},
		{"no key", pinned, client, mayfly.RawKey, ""},
		{"an unknown key", mayfly.AnyOf(mayfly.PSKs(imported(t, "l", key, "a", "b")), pinned), client, mayfly.RawKey, ""},
		{"an unknown key, and nothing to show", mayfly.AnyOf(mayfly.PSKs(imported(t, "l", key, "a", "b")), pinned), nil, 0, "certificate_required"},
		{"a wrong key", mayfly.AnyOf(mayfly.PSKs(imported(t, "k", secretKey(t), "a", "b")), pinned), client, 0, "decrypt_error"},
	} {
		c, s, clientErr, serverErr := shake(t, &mayfly.Config{Identity: test.id, Peers: test.peer}, sc)
		if test.code != "" {
			refused(t, test.name, test.code, clientErr, serverErr)
			continue
		}
		if err := errors.Join(clientErr, serverErr); err != nil || c.Peer().Kind != test.kind || s.Peer().Kind != test.kind {
			t.Errorf("%s: %v, %v, %v", test.name, err, c.Peer().Kind, s.Peer().Kind)
		}
	}
	_, _, clientErr, _ := shake(t, with(imported(t, "l", key, "a", "b")), &mayfly.Config{Certificates: []tls.Certificate{selfSigned(t, server)}, Peers: mayfly.NoClientAuth()})
	if !errors.Is(clientErr, mayfly.ErrPeerRefused) || alertOf(clientErr) != "access_denied" {
		t.Errorf("a client that has a key alone, and a server with a certificate: %v", clientErr)
	}
}

func newIdentity(t testing.TB) *mayfly.Identity {
	t.Helper()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func selfSigned(t testing.TB, id *mayfly.Identity) tls.Certificate {
	t.Helper()
	cert, err := id.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestPSKLookup shows what PSKLookup is asked, and what becomes of its answers. An imported
// key has two identities, which are both asked for: as often for a key that is there as for
// one that is not.
func TestPSKLookup(t *testing.T) {
	t.Parallel()
	key, down := secretKey(t), errors.New("the table is down")
	var asked []mayfly.PSKOffer
	var answer func(mayfly.PSKOffer) (*mayfly.PresharedKey, error)
	sc := &mayfly.Config{Peers: mayfly.PSKLookup(func(ctx context.Context, offer mayfly.PSKOffer) (*mayfly.PresharedKey, error) {
		if ctx == nil || ctx.Err() != nil {
			t.Error("the context is no context")
		}
		asked = append(asked, offer)
		return answer(offer)
	})}
	give := func(k *mayfly.PresharedKey, err error) func(mayfly.PSKOffer) (*mayfly.PresharedKey, error) {
		return func(mayfly.PSKOffer) (*mayfly.PresharedKey, error) { return k, err }
	}
	wiped := imported(t, "k", key, "hub", "sensor")
	wiped.Wipe()
	offer := mayfly.PSKOffer{Identity: "k", Client: "sensor", Server: "hub"}
	client := imported(t, "k", key, "sensor", "hub")
	for _, test := range []struct {
		name   string
		client *mayfly.PresharedKey
		answer func(mayfly.PSKOffer) (*mayfly.PresharedKey, error)
		offer  mayfly.PSKOffer
		asked  int
		code   string
	}{
		{"the key", client, give(imported(t, "k", key, "hub", "sensor"), nil), offer, 2, ""},
		{"a wrong key", imported(t, "k", secretKey(t), "sensor", "hub"), give(imported(t, "k", key, "hub", "sensor"), nil), offer, 2, "decrypt_error"},
		{"made when asked", client, func(o mayfly.PSKOffer) (*mayfly.PresharedKey, error) {
			return mayfly.NewPresharedKey(o.Identity, key, o.Server, o.Client)
		}, offer, 2, ""},
		{"plain", plain(t, false, "\x00\x01p", key), give(plain(t, true, "\x00\x01p", key), nil), mayfly.PSKOffer{Identity: "\x00\x01p"}, 1, ""},
		{"none", client, give(nil, nil), offer, 2, "decrypt_error"},
		{"another", client, give(imported(t, "l", key, "hub", "sensor"), nil), offer, 2, "decrypt_error"},
		{"for other names", client, give(imported(t, "k", key, "sensor", "hub"), nil), offer, 2, "decrypt_error"},
		{"a client's", plain(t, false, "k", key), give(plain(t, false, "k", key), nil), mayfly.PSKOffer{Identity: "k"}, 1, "decrypt_error"},
		{"wiped", client, give(wiped, nil), offer, 2, "decrypt_error"},
		{"an error", client, give(nil, down), offer, 1, "internal_error"},
	} {
		asked, answer = nil, test.answer
		_, s, clientErr, serverErr := shake(t, with(test.client), sc)
		if len(asked) != test.asked || asked[0] != test.offer {
			t.Errorf("%s: it was asked for %+v", test.name, asked)
		}
		if test.code != "" {
			refused(t, test.name, test.code, clientErr, serverErr)
			if errors.Is(serverErr, down) != (test.code == "internal_error") {
				t.Errorf("%s: %v", test.name, serverErr)
			}
			continue
		}
		if err := errors.Join(clientErr, serverErr); err != nil || string(s.Peer().PSKIdentity) != test.offer.Identity || s.Peer().Name != test.offer.Client {
			t.Errorf("%s: %v, %+v", test.name, err, s.Peer())
		}
	}
}

// TestPSKJudged shows that Verify and VerifyConnection have a say about peers with
// pre-shared keys, on either side.
func TestPSKJudged(t *testing.T) {
	t.Parallel()
	key := secretKey(t)
	no := errors.New("not today")
	for _, bad := range []string{"", "verify", "connection"} {
		for _, server := range []bool{false, true} {
			cc, sc := with(imported(t, "k", key, "a", "b")), with(imported(t, "k", key, "b", "a"))
			config, by := cc, "b"
			if server {
				config, by = sc, "a"
			}
			calls := ""
			config.Peers = mayfly.AllOf(config.Peers, mayfly.Verify(func(_ context.Context, p mayfly.Peer) error {
				calls += "verify "
				if p.Kind != mayfly.PSK || p.Name != by {
					t.Errorf("Verify saw %+v", p)
				}
				if bad == "verify" {
					return no
				}
				return nil
			}))
			config.VerifyConnection = func(state tls.ConnectionState) error {
				calls += "connection"
				if state.CipherSuite == 0 || state.PeerCertificates != nil {
					t.Errorf("VerifyConnection saw %+v", state)
				}
				if bad == "connection" {
					return no
				}
				return nil
			}
			_, _, clientErr, serverErr := shake(t, cc, sc)
			err := clientErr
			if server {
				err = serverErr
			}
			if errors.Is(err, no) != (bad != "") || bad == "" && err != nil {
				t.Errorf("%q, server %t: %v", bad, server, err)
			}
			if want := map[string]string{"verify": "verify "}[bad]; calls != want && (bad == "verify" || calls != "verify connection") {
				t.Errorf("%q, server %t: called: %s", bad, server, calls)
			}
		}
	}
}

// TestPSKChosen has a client with four keys, of which the server knows the last, and
// a server with keys by GetConfig.
func TestPSKChosen(t *testing.T) {
	t.Parallel()
	key := secretKey(t)
	var keys []*mayfly.PresharedKey
	for _, peer := range []string{"b", "c", "d", "e"} {
		keys = append(keys, imported(t, "k", key, "a", peer))
	}
	for _, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384} {
		e := with(imported(t, "k", key, "e", "a"))
		e.CipherSuites = []uint16{suite}
		sc := &mayfly.Config{GetConfig: func(context.Context, *mayfly.ClientHello) (*mayfly.Config, error) { return e, nil }}
		c, s, clientErr, serverErr := shake(t, with(keys...), sc)
		if err := errors.Join(clientErr, serverErr); err != nil || c.Peer().Name != "e" || s.Peer().Name != "a" || c.ConnectionState().CipherSuite != suite {
			t.Errorf("%v, %+v, %+v", err, c.Peer(), s.Peer())
		}
	}
}

// TestPSKAtOnce uses one key for many connections at once, and wipes it among them:
// each is made whole or refused.
func TestPSKAtOnce(t *testing.T) {
	t.Parallel()
	key := secretKey(t)
	client, server := imported(t, "k", key, "a", "b"), imported(t, "k", key, "b", "a")
	const n = 16
	done, start := make(chan error, n), make(chan bool)
	for range n {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		c, s := mayfly.Client(a, with(client)), mayfly.Server(b, with(server))
		go func() {
			<-start
			finished := make(chan error, 1)
			go func() { finished <- s.Handshake() }()
			err := c.Handshake()
			if err == nil {
				go func() { _, _ = io.Copy(io.Discard, c) }()
			}
			done <- errors.Join(err, <-finished)
		}()
	}
	close(start)
	first := <-done
	server.Wipe()
	if first != nil {
		t.Error(first)
	}
	for range n - 1 {
		// Wiped before it was found, or between the finding and the judging.
		if err := <-done; err != nil && !strings.Contains(err.Error(), "PSK binder") && !strings.Contains(err.Error(), "not on the list") {
			t.Error(err)
		}
	}
}

// TestPSKContext has keys that are imported with any context: both sides must have the
// same key, context and hash, and each its role.
func TestPSKContext(t *testing.T) {
	t.Parallel()
	type made struct {
		hash    crypto.Hash
		context string
	}
	key := secretKey(t)
	for _, test := range []struct {
		name           string
		client, server made
		alert          string
	}{
		{"SHA-256", made{crypto.SHA256, "a context"}, made{crypto.SHA256, "a context"}, ""},
		{"SHA-384", made{crypto.SHA384, "\x00\xff"}, made{crypto.SHA384, "\x00\xff"}, ""},
		{"no context", made{crypto.SHA256, ""}, made{crypto.SHA256, ""}, ""},
		{"another context", made{crypto.SHA256, "a context"}, made{crypto.SHA256, "another"}, "decrypt_error"},
		{"another hash", made{crypto.SHA256, "a context"}, made{crypto.SHA384, "a context"}, "decrypt_error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := mayfly.NewImportedClientKey("k", key, test.client.hash, []byte(test.client.context))
			if err != nil {
				t.Fatal(err)
			}
			s, err := mayfly.NewImportedServerKey("k", key, test.server.hash, []byte(test.server.context))
			if err != nil {
				t.Fatal(err)
			}
			for _, suite := range []uint16{tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_AES_256_GCM_SHA384} {
				cc, sc := with(c), with(s)
				cc.CipherSuites = []uint16{suite}
				client, server, clientErr, serverErr := shake(t, cc, sc)
				if test.alert != "" {
					refused(t, test.name, test.alert, clientErr, serverErr)
					continue
				}
				if clientErr != nil || serverErr != nil {
					t.Fatalf("%v; %v", clientErr, serverErr)
				}
				if p := server.Peer(); p.Kind != mayfly.PSK || string(p.PSKIdentity) != "k" || p.Name != "" {
					t.Errorf("the client is %+v", p)
				}
				if p := client.Peer(); p.Kind != mayfly.PSK || string(p.PSKIdentity) != "k" {
					t.Errorf("the server is %+v", p)
				}
			}
		})
	}
	for what, err := range map[string]error{
		"a hash":    errorOf(mayfly.NewImportedClientKey("k", key, crypto.SHA1, nil)),
		"a context": errorOf(mayfly.NewImportedServerKey("k", key, crypto.SHA256, make([]byte, 2049))),
		"a key":     errorOf(mayfly.NewImportedServerKey("k", key[:15], crypto.SHA256, nil)),
	} {
		if err == nil {
			t.Errorf("%s that is no good was taken", what)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }

// TestPSKServerOrder has a client and a server that share two keys: it is the server
// that chooses.
func TestPSKServerOrder(t *testing.T) {
	t.Parallel()
	keyA, keyB := secretKey(t), secretKey(t)
	client := func(suites ...uint16) *mayfly.Config {
		cc := with(imported(t, "a", keyA, "client", "server"), imported(t, "b", keyB, "client", "server"))
		cc.CipherSuites = suites
		return cc
	}
	a, b := imported(t, "a", keyA, "server", "client"), imported(t, "b", keyB, "server", "client")
	for _, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384} {
		for want, keys := range map[string][]*mayfly.PresharedKey{"a": {a, b}, "b": {b, a}} {
			for _, group := range []tls.CurveID{tls.X25519, tls.CurveP256} { // with a HelloRetryRequest, too
				sc := with(keys...)
				sc.CurvePreferences = []tls.CurveID{group}
				_, server, clientErr, serverErr := shake(t, client(suite), sc)
				if clientErr != nil || serverErr != nil || string(server.Peer().PSKIdentity) != want {
					t.Errorf("%v, %v: %v; %v; %q", suite, group, clientErr, serverErr, server.Peer().PSKIdentity)
				}
			}
		}
	}
}
