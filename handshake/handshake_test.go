// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

func TestSuitesAndGroups(t *testing.T) {
	t.Parallel()
	for _, id := range suite.All() {
		for _, g := range kex.All() {
			t.Run(fmt.Sprintf("%v/%v", id, g), func(t *testing.T) {
				t.Parallel()
				only := func(c *Config) { c.Suites, c.Groups = []suite.ID{id}, []kex.Group{g} }
				p := newPair(t, clientConfig(only), serverConfig(func(c *Config) { c.Groups = kex.All() }))
				p.mustSucceed(t)
				s := p.server.m.Summary()
				if s.Suite != id || s.Group != g || s.HelloRetry || s.ServerName != "ed.example" {
					t.Errorf("summary %+v", s)
				}
				checkExporters(t, p)
			})
		}
	}
}

// checkExporters compares what both sides export.
func checkExporters(t *testing.T, p *pair) {
	t.Helper()
	var exported [2][]byte
	for i, e := range []*endpoint{p.client, p.server} {
		x := e.m.Exporter()
		if x == nil || e.m.Exporter() != nil {
			t.Fatal("the exporter must be given away once")
		}
		b, err := x.Export("EXPORTER-test", []byte("context"), 40)
		if err != nil {
			t.Fatal(err)
		}
		exported[i] = b
	}
	if !bytes.Equal(exported[0], exported[1]) {
		t.Error("the sides export different bytes")
	}
}

// Each side shows a raw key or a certificate, whatever the other does.
func TestCertificateTypes(t *testing.T) {
	t.Parallel()
	all := []*credential.Credential{ids().rawEd25519, ids().rawP256, ids().x509Ed25519, ids().x509P256}
	for _, own := range append(all, nil) {
		for _, peer := range all {
			name := "nobody"
			if own != nil {
				name = fmt.Sprintf("%v-%T", own.Type, own.Signer)
			}
			t.Run(fmt.Sprintf("%s to %v-%T", name, peer.Type, peer.Signer), func(t *testing.T) {
				t.Parallel()
				var judged []*credential.Peer
				client := clientConfig(func(c *Config) {
					c.PeerTypes = []credential.Type{peer.Type}
					if own != nil {
						c.Credentials = []*credential.Credential{own}
					}
				})
				server := serverConfig(func(c *Config) {
					c.Credentials, c.RequestPeer, c.RequirePeer = []*credential.Credential{peer}, true, own != nil
					c.Verify = func(p *credential.Peer) error { judged = append(judged, p); return nil }
				})
				p := newPair(t, client, server)
				p.mustSucceed(t)
				checkPeer(t, p.client.m.Summary(), peer)
				checkPeer(t, p.server.m.Summary(), own)
				if len(judged) != 1 || judged[0] != p.server.m.Summary().Peer {
					t.Errorf("the server judged %v", judged)
				}
			})
		}
	}
}

func checkPeer(t *testing.T, s Summary, shown *credential.Credential) {
	t.Helper()
	if shown == nil {
		if s.Peer != nil {
			t.Error("a peer that showed nothing is in the summary")
		}
		return
	}
	if s.Peer == nil || s.Peer.Type != shown.Type {
		t.Fatalf("peer %+v, want one of type %v", s.Peer, shown.Type)
	}
	want, err := credential.ParsePeer(shown.Type, shown.Entries)
	if err != nil {
		t.Fatal(err)
	}
	if s.Peer.Pin() != want.Pin() {
		t.Error("the peer's pin is another's")
	}
	if key, ok := s.Peer.Key.(interface{ Equal(any) bool }); ok && !key.Equal(shown.Signer.Public()) {
		t.Error("the peer's key is another's")
	}
}

func TestCertificateTypePreference(t *testing.T) {
	t.Parallel()
	both := []*credential.Credential{ids().x509P256, ids().rawEd25519}
	p := newPair(t,
		clientConfig(func(c *Config) { c.Credentials, c.OwnTypes = both, bothTypes }),
		serverConfig(func(c *Config) {
			c.Credentials, c.OwnTypes, c.RequestPeer = both, []credential.Type{credential.X509, credential.RawPublicKey}, true
		}))
	p.mustSucceed(t)
	if got := p.client.m.Summary().Peer.Type; got != credential.X509 {
		t.Errorf("the server showed a %v, but prefers X.509", got)
	}
	if got := p.server.m.Summary().Peer.Type; got != credential.RawPublicKey {
		t.Errorf("the client showed a %v, but the server prefers raw keys", got)
	}
}

func TestHelloRetryRequest(t *testing.T) {
	t.Parallel()
	for name, jar := range map[string]CookieJar{"in memory": nil, "with a cookie": testJar{}, "with a cookie alone": testJar{}} {
		for _, g := range kex.All() {
			t.Run(fmt.Sprintf("%s/%v", name, g), func(t *testing.T) {
				t.Parallel()
				shares := []kex.Group{}
				if name == "with a cookie alone" {
					shares = append(shares, g)
				}
				p := newPair(t,
					clientConfig(func(c *Config) { c.Groups, c.KeyShares = kex.All(), shares }),
					serverConfig(func(c *Config) { c.Groups, c.Cookie = []kex.Group{g}, jar }))
				p.mustSucceed(t)
				if s := p.client.m.Summary(); !s.HelloRetry || s.Group != g {
					t.Errorf("summary %+v", s)
				}
				checkExporters(t, p)
				checkOneCCS(t, p)
			})
		}
	}
}

func TestKeyLog(t *testing.T) {
	t.Parallel()
	log := func(lines *[]string) func(*Config) {
		return func(c *Config) {
			c.KeyLog = func(label string, random, secret []byte) {
				*lines = append(*lines, fmt.Sprintf("%s %x %x", label, random, secret))
			}
		}
	}
	var client, server []string
	newPair(t, clientConfig(log(&client)), serverConfig(log(&server))).mustSucceed(t)
	slices.Sort(client)
	slices.Sort(server)
	if !slices.Equal(client, server) {
		t.Error("the sides logged different secrets")
	}
	var labels []string
	for _, line := range client {
		labels = append(labels, strings.Fields(line)[0])
	}
	want := []string{"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "EXPORTER_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"}
	if !slices.Equal(labels, want) {
		t.Errorf("labels %v", labels)
	}
}

// A server may ask for the same hello again, with a cookie: the same shares are
// sent.
func TestCookieAlone(t *testing.T) {
	t.Parallel()
	p := newPair(t, clientConfig(), serverConfig())
	p.client.apply(p.client.m.Start())
	first, err := wire.ParseClientHello(p.client.out[0].messages)
	if err != nil {
		t.Fatal(err)
	}
	p.client.receive(parcel{messages: (&wire.ServerHello{Random: wire.RetryRandom, SessionID: first.SessionID,
		CipherSuite: first.CipherSuites[0], SupportedVersion: versionTLS13, Cookie: []byte("cookie")}).Marshal()})
	if p.client.err != nil {
		t.Fatal(p.client.err)
	}
	sent := p.client.out[len(p.client.out)-1].messages
	second, err := wire.ParseClientHello(sent)
	if err != nil {
		t.Fatal(err)
	}
	if string(second.Cookie) != "cookie" || !reflect.DeepEqual(second.KeyShares, first.KeyShares) || !reflect.DeepEqual(unchanging(first), unchanging(second)) {
		t.Errorf("first %+v\nsecond %+v", first, second)
	}
	if keys := p.client.m.state.(*clientAwaitsServerHello).shares; len(keys) != len(second.KeyShares) {
		t.Errorf("%d keys are left for %d shares", len(keys), len(second.KeyShares))
	}
}

// What a server does not know it ignores, and lets change.
func TestUnknownIsIgnored(t *testing.T) {
	t.Parallel()
	const grease = 0x2a2a
	for _, shares := range [][]kex.Group{nil, {}} {
		c, err := NewClient(clientConfig(func(c *Config) { c.KeyShares = shares }))
		if err != nil {
			t.Fatal(err)
		}
		hello, err := c.newClientHello()
		if err != nil {
			t.Fatal(err)
		}
		hello.CipherSuites = append([]uint16{grease}, hello.CipherSuites...)
		hello.SupportedGroups = append([]uint16{grease}, hello.SupportedGroups...)
		hello.SupportedVersions = append([]uint16{grease}, hello.SupportedVersions...)
		hello.SignatureAlgorithms = append([]uint16{grease}, hello.SignatureAlgorithms...)
		hello.PSKModes = []uint8{0x0b, pskWithDHE}
		waiting := new(clientAwaitsServerHello)
		if err := c.generateShares(waiting, hello, c.cfg.keyShares()); err != nil {
			t.Fatal(err)
		}
		hello.KeyShares = append([]wire.KeyShare{{Group: grease, Data: []byte{0}}}, hello.KeyShares...)
		hello.Other = []wire.Extension{{Type: grease}, {Type: 0xfe0d, Data: []byte("one")}}
		s, err := NewServer(serverConfig())
		if err != nil {
			t.Fatal(err)
		}
		server := &endpoint{m: s}
		server.receive(parcel{messages: hello.Marshal()})
		if server.err != nil {
			t.Fatal(server.err)
		}
		if shares == nil {
			continue
		}
		if err := c.generateShares(waiting, hello, []kex.Group{kex.X25519MLKEM768}); err != nil {
			t.Fatal(err)
		}
		hello.Other[1].Data = []byte("another")
		server.receive(parcel{messages: hello.Marshal()})
		if server.err != nil || s.state.id() != serverWaitFinished {
			t.Errorf("after the retry: %v, state %d", server.err, s.state.id())
		}
	}
}

// The order of events is what the interpreter relies on.
func TestEventOrder(t *testing.T) {
	t.Parallel()
	credentials := func(c *Config) { c.Credentials, c.RequirePeer = []*credential.Credential{ids().rawP256}, true }
	p := newPair(t, clientConfig(credentials), serverConfig(credentials))
	p.mustSucceed(t)
	checkEvents(t, "client", p.client, "Send(1) SendCCS InstallWrite(handshake) InstallRead(handshake) "+
		"Send(11,15,20) Resumption InstallWrite(application) InstallRead(application) Complete")
	checkEvents(t, "server", p.server, "Send(2) SendCCS InstallWrite(handshake) InstallRead(handshake) "+
		"Send(8,13,11,15,20) InstallWrite(application) Resumption InstallRead(application) Complete")

	p = newPair(t, clientConfig(func(c *Config) { c.KeyShares = []kex.Group{} }), serverConfig())
	p.mustSucceed(t)
	checkEvents(t, "client", p.client, "Send(1) SendCCS Send(1) InstallWrite(handshake) InstallRead(handshake) "+
		"Send(20) Resumption InstallWrite(application) InstallRead(application) Complete")
	checkEvents(t, "server", p.server, "Send(2) SendCCS Send(2) InstallWrite(handshake) InstallRead(handshake) "+
		"Send(8,11,15,20) InstallWrite(application) Resumption InstallRead(application) Complete")
}

func checkEvents(t *testing.T, who string, e *endpoint, want string) {
	t.Helper()
	var got []string
	for _, event := range e.events {
		name := strings.TrimPrefix(reflect.TypeOf(event).String(), "handshake.")
		switch ev := event.(type) {
		case Send:
			var types []string
			for _, raw := range split(ev.Messages) {
				types = append(types, fmt.Sprint(raw[0]))
			}
			name += "(" + strings.Join(types, ",") + ")"
		case InstallRead:
			name += "(" + ev.Epoch.String() + ")"
		case InstallWrite:
			name += "(" + ev.Epoch.String() + ")"
		}
		got = append(got, name)
	}
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s:\n%s\nwant\n%s", who, s, want)
	}
}

func checkOneCCS(t *testing.T, p *pair) {
	t.Helper()
	if len(eventsOf[SendCCS](p.client)) != 1 || len(eventsOf[SendCCS](p.server)) != 1 {
		t.Error("each side must send one change_cipher_spec")
	}
}

func eventsOf[E Event](e *endpoint) []E {
	var found []E
	for _, event := range e.events {
		if ev, ok := event.(E); ok {
			found = append(found, ev)
		}
	}
	return found
}

// What is not needed after the handshake is gone then, and the rest when it was
// given away.
func TestSecretsAfterHandshake(t *testing.T) {
	t.Parallel()
	p := newPair(t, clientConfig(), serverConfig())
	p.mustSucceed(t)
	for who, e := range map[string]*endpoint{"client": p.client, "server": p.server} {
		s := e.m.secrets
		if s.main != nil || s.clientHandshake != nil || s.serverHandshake != nil {
			t.Errorf("%s: secrets of the handshake are left", who)
		}
		r, w := e.m.Split()
		if r == nil || w == nil || e.m.Exporter() == nil {
			t.Fatalf("%s: nothing was given away", who)
		}
		if e.m.secrets != (secrets{}) {
			t.Errorf("%s: the machine kept a secret", who)
		}
		e.m.Wipe()
		if r.Generation() != 0 || len(r.secret.Secret()) == 0 || len(w.secret.Secret()) == 0 {
			t.Errorf("%s: the machine's Wipe reached the halves", who)
		}
		r.Wipe()
		w.Wipe()
		if r.secret.Secret() != nil || w.secret.Secret() != nil {
			t.Errorf("%s: a half that was wiped has its secret", who)
		}
	}
}

func TestWipe(t *testing.T) {
	t.Parallel()
	p := newPair(t, clientConfig(), serverConfig())
	p.mustSucceed(t)
	p.client.m.Wipe()
	if p.client.m.secrets != (secrets{}) {
		t.Error("secrets are left")
	}

	c, err := NewClient(clientConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waiting := c.state.(*clientAwaitsServerHello)
	c.Wipe()
	if waiting.shares != nil {
		t.Error("ephemeral keys are left")
	}
	checkWiped(t, c)
	if _, err := c.Start(); err == nil {
		t.Error("a wiped machine starts")
	}
}

func TestInvalidConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*Config{
		"nil":             nil,
		"no Verify":       clientConfig(func(c *Config) { c.Verify = nil }),
		"suite":           clientConfig(func(c *Config) { c.Suites = []suite.ID{0x1304} }),
		"group":           clientConfig(func(c *Config) { c.Groups = []kex.Group{0x100} }),
		"share":           clientConfig(func(c *Config) { c.Groups, c.KeyShares = []kex.Group{kex.P256}, []kex.Group{kex.X25519} }),
		"group twice":     clientConfig(func(c *Config) { c.Groups = []kex.Group{kex.X25519, kex.P256, kex.X25519} }),
		"share twice":     clientConfig(func(c *Config) { c.KeyShares = []kex.Group{kex.X25519, kex.X25519} }),
		"suite twice":     clientConfig(func(c *Config) { c.Suites = []suite.ID{suite.AES128GCM, suite.AES128GCM} }),
		"limit":           clientConfig(func(c *Config) { c.RecordSizeLimit = 63 }),
		"scheme":          clientConfig(func(c *Config) { c.PeerSchemes = []credential.Scheme{0x0401} }),
		"server name":     clientConfig(func(c *Config) { c.ServerName = strings.Repeat("x", 256) }),
		"empty protocol":  clientConfig(func(c *Config) { c.ALPN = []string{""} }),
		"long protocol":   clientConfig(func(c *Config) { c.ALPN = []string{strings.Repeat("x", 256)} }),
		"protocols":       clientConfig(func(c *Config) { c.ALPN = slices.Repeat([]string{"protocol"}, 10000) }),
		"empty authority": clientConfig(func(c *Config) { c.Authorities = [][]byte{{}} }),
		"authorities":     clientConfig(func(c *Config) { c.Authorities = [][]byte{make([]byte, 1<<16)} }),
		"large limit":     clientConfig(func(c *Config) { c.RecordSizeLimit = 16386 }),
	} {
		if _, err := NewClient(c); err == nil {
			t.Errorf("%s: NewClient accepted it", name)
		}
		if c != nil {
			c.RequestPeer = true
		}
		if _, err := NewServer(c); err == nil {
			t.Errorf("%s: NewServer accepted it", name)
		}
	}
	if _, err := NewServer(&Config{}); err != nil {
		t.Errorf("a server that asks for nothing: %v", err)
	}
}
