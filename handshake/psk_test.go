// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A safe gives out copies of keys by their identities, as the owner of a machine
// would, and remembers them.
type safe struct {
	keys  []*PSK
	given []*PSK
}

func newSafe(identities ...string) *safe {
	s := new(safe)
	for _, id := range identities {
		s.keys = append(s.keys, &PSK{Identity: []byte(id), Kind: schedule.ExternalBinder, Suite: suite.AES128GCM,
			Secret: volatile.Take(bytes.Repeat([]byte(id[:1]), 32)), Origin: id})
	}
	return s
}

func (s *safe) edit(f func(*PSK)) *safe {
	for _, p := range s.keys {
		f(p)
	}
	return s
}

func (s *safe) give(p *PSK) *PSK {
	c := *p
	c.Secret = p.Secret.Clone()
	s.given = append(s.given, &c)
	return &c
}

// offered is a client's edit, found and alone are a server's.
func (s *safe) offered(c *Config) {
	for _, p := range s.keys {
		c.PSKs = append(c.PSKs, s.give(p))
	}
	c.JudgePSK = func(*PSK) (bool, error) { return true, nil }
}

func (s *safe) found(c *Config) {
	c.FindPSK = func(o Offer) (*PSK, error) {
		for _, p := range s.keys {
			if bytes.Equal(p.Identity, o.Identity) {
				return s.give(p), nil
			}
		}
		return nil, nil
	}
	c.JudgePSK = func(*PSK) (bool, error) { return true, nil }
}

func (s *safe) alone(c *Config) {
	s.found(c)
	c.Credentials = nil
}

// checkGiven checks that of what was given away nothing is left.
func (s *safe) checkGiven(t *testing.T) {
	t.Helper()
	if len(s.given) == 0 {
		t.Error("no key was given away")
	}
	for _, p := range s.given {
		if p.Secret.Len() != 0 {
			t.Errorf("the secret of %q is left", p.Identity)
		}
	}
}

func early(p *PSK) { p.MaxEarlyData, p.Kind = 1000, schedule.ResumptionBinder }

func sendEarly(c *Config) { c.EarlyData = true }

// takeEarly accepts early data, with the suite of the pre-shared key first on every
// processor.
func takeEarly(c *Config) {
	c.Suites = suite.All()
	c.AcceptEarlyData = func(*PSK) bool { return true }
}

func TestPSK(t *testing.T) {
	t.Parallel()
	for _, kind := range []schedule.BinderLabel{schedule.ExternalBinder, schedule.ResumptionBinder, schedule.ImportedBinder} {
		for _, id := range suite.All() {
			for name, edit := range map[string]func(*Config){"": func(*Config) {}, "retry": noShare, "cookie": noShare, "cookie alone": func(*Config) {}} {
				s := newSafe("alpha", "beta").edit(func(p *PSK) { p.Kind, p.Suite = kind, id })
				known := &safe{keys: s.keys[1:]}
				server := serverConfig(known.alone)
				if strings.HasPrefix(name, "cookie") {
					server.Cookie = testJar{}
				}
				p := newPair(t, clientConfig(s.offered, edit), server)
				p.mustSucceed(t)
				for _, e := range []*endpoint{p.client, p.server} {
					m := e.m.Summary()
					if m.PSK == nil || m.PSK.Origin != "beta" || m.Peer != nil || m.OwnCredential != nil {
						t.Errorf("%s, %v, %s: %+v", kind, id, name, m)
					}
					if hash := suite.ByID(id).HashLen; suite.ByID(m.Suite).HashLen != hash {
						t.Errorf("%s, %v: the suite is %v", kind, id, m.Suite)
					}
				}
				s.checkGiven(t)
				known.checkGiven(t)
			}
		}
	}
}

// A server acknowledges the name, but not where it resumes a session (RFC 6066,
// Section 3).
func TestServerNameAcknowledged(t *testing.T) {
	t.Parallel()
	for kind, want := range map[schedule.BinderLabel]bool{schedule.ResumptionBinder: false, schedule.ExternalBinder: true, schedule.ImportedBinder: true} {
		s := newSafe("alpha").edit(func(p *PSK) { p.Kind = kind })
		p := newPair(t, clientConfig(s.offered), serverConfig(s.alone))
		seen := 0
		p.tamper = func(_ Role, raw []byte) [][]byte {
			if wire.MessageType(raw[0]) == wire.EncryptedExtensionsType {
				message, err := wire.ParseEncryptedExtensions(raw)
				if err != nil || message.ServerName != want {
					t.Errorf("%s: %v, %v", kind, message, err)
				}
				seen++
			}
			return [][]byte{raw}
		}
		p.mustSucceed(t)
		if seen != 1 {
			t.Errorf("%s: %d EncryptedExtensions", kind, seen)
		}
	}
}

// Where no key can be used, credentials are.
func TestPSKFallback(t *testing.T) {
	t.Parallel()
	ours := newSafe("alpha")
	for name, test := range map[string]struct{ client, server func(*Config) }{
		"unknown":        {newSafe("beta").offered, ours.found},
		"not judged":     {newSafe("alpha").offered, func(c *Config) { ours.found(c); c.JudgePSK = nil }},
		"not wanted":     {newSafe("alpha").offered, func(c *Config) { ours.found(c); c.JudgePSK = func(*PSK) (bool, error) { return false, nil } }},
		"no lookup":      {newSafe("alpha").offered, func(*Config) {}},
		"another hash":   {newSafe("alpha").offered, func(c *Config) { ours.found(c); c.Suites = []suite.ID{suite.AES256GCM} }},
		"after eight":    {newSafe("b", "c", "d", "e", "f", "g", "h", "i", "alpha").offered, ours.found},
		"nothing usable": {func(c *Config) { newSafe("alpha").offered(c); c.Suites = []suite.ID{suite.AES256GCM} }, ours.found},
	} {
		for _, edit := range []func(*Config){mutual, noShare} {
			p := newPair(t, clientConfig(classical, mutual, test.client, edit), serverConfig(classical, mutual, test.server))
			p.mustSucceed(t)
			if c, s := p.client.m.Summary(), p.server.m.Summary(); c.PSK != nil || s.PSK != nil || c.Peer == nil || s.Peer == nil {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	for _, p := range ours.given {
		if p.Secret.Len() != 0 {
			t.Error("a key that was not used is left")
		}
	}
}

// The suite follows the key where the client offers one that goes with it.
func TestPSKSelectsSuite(t *testing.T) {
	t.Parallel()
	s := newSafe("alpha").edit(func(p *PSK) { p.Suite = suite.AES256GCM })
	p := newPair(t, clientConfig(s.offered), serverConfig(s.alone, func(c *Config) { c.Suites = []suite.ID{suite.ChaCha20Poly1305, suite.AES256GCM} }))
	p.mustSucceed(t)
	if got := p.server.m.Summary().Suite; got != suite.AES256GCM {
		t.Errorf("the suite is %v", got)
	}
}

// A server that has nothing but keys says the same to a client that does not know
// the identity as to one that does not know the key.
func TestUnknownPSKAlike(t *testing.T) {
	t.Parallel()
	var sent [][]parcel
	for _, wrong := range []func(*PSK){
		func(p *PSK) { p.Identity = []byte("gamma") },
		func(p *PSK) { p.Secret = volatile.Take(make([]byte, 32)) },
		func(p *PSK) { p.Kind = schedule.ImportedBinder },
	} {
		for _, edit := range []func(*Config){noEdit, noShare} {
			p := newPair(t, clientConfig(newSafe("alpha").edit(wrong).offered, edit), serverConfig(newSafe("alpha").alone))
			p.mustFail(t, Server, alert.DecryptError)
			if got := p.server.err.Error(); got != errWrongBinder().Error() {
				t.Errorf("the error is %q", got)
			}
			sent = append(sent, p.server.out)
		}
	}
	for _, out := range sent {
		if len(out) != 0 {
			t.Errorf("a refused client was sent %v", out)
		}
	}
	p := newPair(t, clientConfig(), serverConfig(newSafe("alpha").alone))
	p.mustFail(t, Server, alert.HandshakeFailure)
}

func noEdit(*Config) {}

// Judgements end a handshake on either side, and come after the proof.
func TestPSKJudgement(t *testing.T) {
	t.Parallel()
	refuse := func(*PSK) (bool, error) { return false, errors.New("not you") }
	for _, test := range []struct {
		who          Role
		client, serv func(*PSK) (bool, error)
	}{
		{Server, nil, refuse},
		{Client, refuse, nil},
		{Client, func(*PSK) (bool, error) { return false, nil }, nil},
	} {
		s := newSafe("alpha")
		client, server := clientConfig(s.offered), serverConfig(s.alone)
		if test.client != nil {
			client.JudgePSK = test.client
		}
		if test.serv != nil {
			server.JudgePSK = test.serv
		}
		p := newPair(t, client, server)
		p.mustFail(t, test.who, alert.AccessDenied)
		p.client.m.Wipe() // nobody told it
		s.checkGiven(t)
	}
	ours, theirs := newSafe("alpha"), newSafe("alpha").edit(func(p *PSK) { p.Secret.Bytes()[0] ^= 1 })
	server := serverConfig(ours.alone)
	server.JudgePSK = func(*PSK) (bool, error) { t.Error("somebody was judged who proved nothing"); return true, nil }
	newPair(t, clientConfig(theirs.offered), server).mustFail(t, Server, alert.DecryptError)
}

// Broken hellos of clients, and the alerts of RFC 9846, Section 4.3.11.
func TestPSKBadClientHello(t *testing.T) {
	t.Parallel()
	binders := func(f func(b []byte) []byte) edit {
		return editExtensions(func(all []extension) []extension {
			e := &all[len(all)-1]
			n := 2 + int(binary.BigEndian.Uint16([]byte(e.data)))
			list := f([]byte(e.data)[n+2:])
			e.data = e.data[:n] + string(binary.BigEndian.AppendUint16(nil, uint16(len(list)))) + string(list)
			return all
		})
	}
	first := editExtensions(func(all []extension) []extension { return append(all[len(all)-1:], all[:len(all)-1]...) })
	for _, test := range []struct {
		name string
		edit edit
		code alert.Code
	}{
		{"a flipped binder", last, alert.DecryptError},
		{"a shortened binder", binders(func(b []byte) []byte { return append([]byte{32}, b[1:33]...) }), alert.DecryptError},
		{"a binder too short", binders(func(b []byte) []byte { return append([]byte{31}, b[1:32]...) }), alert.DecodeError},
		{"a longer binder", binders(func(b []byte) []byte { return append([]byte{b[0] + 1}, append(b[1:], 0)...) }), alert.DecryptError},
		{"no binder", binders(func([]byte) []byte { return nil }), alert.DecodeError},
		{"two binders", binders(func(b []byte) []byte { return append(b, b...) }), alert.IllegalParameter},
		{"not last", first, alert.IllegalParameter},
		{"without modes", lacking(wire.ExtPSKKeyExchangeModes), alert.MissingExtension},
		{"without shares", lacking(wire.ExtKeyShare), alert.MissingExtension},
		{"an altered hello", func(raw []byte) []byte { raw[7] ^= 1; return raw }, alert.DecryptError},
	} {
		for _, id := range []suite.ID{suite.AES128GCM, suite.AES256GCM} {
			if test.name == "a shortened binder" && id == suite.AES128GCM {
				continue
			}
			s := newSafe("alpha").edit(func(p *PSK) { p.Suite = id })
			p := newPair(t, clientConfig(s.offered), serverConfig(s.alone))
			p.tamper = func(from Role, raw []byte) [][]byte {
				if from == Client && wire.MessageType(raw[0]) == wire.ClientHelloType {
					raw = test.edit(slices.Clone(raw))
				}
				return [][]byte{raw}
			}
			t.Run(test.name, func(t *testing.T) { p.mustFail(t, Server, test.code) })
		}
	}
}

// Keys without (EC)DHE are neither offered nor accepted.
func TestPSKWithoutDHE(t *testing.T) {
	t.Parallel()
	s := newSafe("alpha")
	p := newPair(t, clientConfig(s.offered), serverConfig(s.alone))
	p.tamper = func(from Role, raw []byte) [][]byte {
		if from == Client && wire.MessageType(raw[0]) == wire.ClientHelloType {
			hello, err := wire.ParseClientHello(raw)
			if err != nil || !slices.Equal(hello.PSKModes, []uint8{1}) {
				t.Errorf("the modes are %v, %v", hello.PSKModes, err)
			}
			raw = with(wire.ExtPSKKeyExchangeModes, "\x01\x00")(slices.Clone(raw))
		}
		return [][]byte{raw}
	}
	p.mustFail(t, Server, alert.HandshakeFailure)
}

// Broken answers of servers.
func TestPSKBadAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		client []func(*Config)
		where  wire.MessageType
		edit   edit
		code   alert.Code
	}{
		{"another index", nil, wire.ServerHelloType, with(wire.ExtPreSharedKey, "\x00\x02"), alert.IllegalParameter},
		{"another hash", nil, wire.ServerHelloType, func(raw []byte) []byte { raw[4+2+32+1+32+1] = 2; return raw }, alert.IllegalParameter},
		{"a long index", nil, wire.ServerHelloType, with(wire.ExtPreSharedKey, "\x00\x00\x00"), alert.DecodeError},
		{"no key share", nil, wire.ServerHelloType, lacking(wire.ExtKeyShare), alert.MissingExtension},
		{"another key", nil, wire.ServerHelloType, with(wire.ExtPreSharedKey, "\x00\x01"), alert.InternalError}, // the driver compares keys
		{"early data unasked", nil, wire.EncryptedExtensionsType, with(wire.ExtEarlyData, ""), alert.UnsupportedExtension},
		{"early data without its key", []func(*Config){sendEarly, func(c *Config) { c.PSKs[0].MaxEarlyData = 9 }}, wire.EncryptedExtensionsType,
			with(wire.ExtEarlyData, ""), alert.IllegalParameter},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSafe("alpha", "beta")
			known := s
			if test.code == alert.IllegalParameter && test.where == wire.EncryptedExtensionsType {
				known = &safe{keys: s.keys[1:]}
			}
			p := newPair(t, clientConfig(append([]func(*Config){s.offered}, test.client...)...), serverConfig(known.alone))
			p.tamper = func(from Role, raw []byte) [][]byte {
				if from == Server && wire.MessageType(raw[0]) == test.where {
					raw = test.edit(slices.Clone(raw))
				}
				return [][]byte{raw}
			}
			if test.code == alert.InternalError {
				if p.run(); p.client.err == nil {
					t.Error("a key that nobody proved was taken")
				}
				return
			}
			p.mustFail(t, Client, test.code)
			s.checkGiven(t)
		})
	}
	p := newPair(t, clientConfig(), serverConfig())
	p.tamper = func(from Role, raw []byte) [][]byte {
		if from == Server && wire.MessageType(raw[0]) == wire.ServerHelloType {
			raw = with(wire.ExtPreSharedKey, "\x00\x00")(slices.Clone(raw))
		}
		return [][]byte{raw}
	}
	p.mustFail(t, Client, alert.UnsupportedExtension)
}

// A second ClientHello may leave keys out, and offers no others.
func TestPSKAfterRetry(t *testing.T) {
	t.Parallel()
	ids := func(list ...string) *wire.PreSharedKeys {
		p := new(wire.PreSharedKeys)
		for _, id := range list {
			p.Identities = append(p.Identities, wire.PSKIdentity{Identity: []byte(id)})
		}
		return p
	}
	for _, test := range []struct {
		first, second *wire.PreSharedKeys
		ok            bool
	}{
		{nil, nil, true}, {ids("a"), nil, true}, {ids("a", "b"), ids("b"), true}, {ids("a", "b"), ids("a", "b"), true},
		{nil, ids("a"), false}, {ids("a"), ids("b"), false}, {ids("a", "b"), ids("b", "a"), false}, {ids("a"), ids("a", "a"), false},
	} {
		if offeredBefore(test.first, test.second) != test.ok {
			t.Errorf("%v, then %v: want %v", test.first, test.second, test.ok)
		}
	}
	// Keys of another hash than the server has chosen are left out.
	s := newSafe("alpha", "beta")
	s.keys[0].Suite = suite.AES256GCM
	p := newPair(t, clientConfig(s.offered, noShare), serverConfig(s.alone, func(c *Config) { c.Suites = []suite.ID{suite.AES128GCM} }))
	hellos := 0
	p.tamper = func(from Role, raw []byte) [][]byte {
		if from == Client && wire.MessageType(raw[0]) == wire.ClientHelloType {
			hello, err := wire.ParseClientHello(raw)
			if hellos++; err != nil || len(hello.PSK.Identities) != 3-hellos {
				t.Errorf("ClientHello %d: %+v, %v", hellos, hello.PSK, err)
			}
		}
		return [][]byte{raw}
	}
	p.mustSucceed(t)
	s.checkGiven(t)
}

func TestEarlyData(t *testing.T) {
	t.Parallel()
	lower := func(c *Config) { c.Groups = []kex.Group{kex.P256} }
	for _, test := range []struct {
		name           string
		client, server []func(*Config)
		sent, accepted bool
	}{
		{"accepted", nil, nil, true, true},
		{"not wanted", []func(*Config){func(c *Config) { c.EarlyData = false }}, nil, false, false},
		{"not allowed", []func(*Config){func(c *Config) { c.PSKs[0].MaxEarlyData = 0 }}, nil, false, false},
		{"a suite that is not offered", []func(*Config){func(c *Config) { c.Suites = []suite.ID{suite.ChaCha20Poly1305} }}, nil, false, false},
		{"a protocol that is not offered", []func(*Config){func(c *Config) { c.PSKs[0].ALPN = "x" }}, nil, false, false},
		{"declined", nil, []func(*Config){func(c *Config) { c.AcceptEarlyData = func(*PSK) bool { return false } }}, true, false},
		{"never", nil, []func(*Config){func(c *Config) { c.AcceptEarlyData = nil }}, true, false},
		{"unknown", nil, []func(*Config){newSafe("beta").found}, true, false},
		{"not resumed", nil, []func(*Config){func(c *Config) { c.JudgePSK = nil }}, true, false},
		{"another suite", nil, []func(*Config){func(c *Config) { c.Suites = []suite.ID{suite.ChaCha20Poly1305} }}, true, false},
		{"another protocol", []func(*Config){func(c *Config) { c.ALPN = []string{"a"} }}, []func(*Config){func(c *Config) { c.ALPN = []string{"a"} }}, true, false},
		{"retry", nil, []func(*Config){lower}, true, false},
		{"the second key", []func(*Config){func(c *Config) { c.PSKs = append(newSafe("beta").edit(early).keys, c.PSKs...) }}, nil, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSafe("alpha").edit(early)
			client := clientConfig(append([]func(*Config){s.offered, sendEarly}, test.client...)...)
			server := serverConfig(append([]func(*Config){s.found, takeEarly}, test.server...)...)
			p := newPair(t, client, server)
			p.mustSucceed(t)
			c, e := p.client.m.Summary(), p.server.m.Summary()
			if c.EarlyData != test.accepted || e.EarlyData != test.accepted {
				t.Errorf("accepted: client %v, server %v", c.EarlyData, e.EarlyData)
			}
			checkEarlyEvents(t, p, test.sent, test.accepted)
		})
	}
}

// checkEarlyEvents checks what the two owners were told to do.
func checkEarlyEvents(t *testing.T, p *pair, sent, accepted bool) {
	t.Helper()
	var writes []Epoch
	var verdicts []EarlyData
	for _, event := range p.client.events {
		switch e := event.(type) {
		case InstallWrite:
			writes = append(writes, e.Epoch)
		case EarlyData:
			verdicts = append(verdicts, e)
		}
	}
	want := []Epoch{EpochHandshake, EpochApplication}
	switch {
	case sent && p.client.m.Summary().HelloRetry:
		want = []Epoch{EpochEarly, 0, EpochHandshake, EpochApplication}
	case sent:
		want = []Epoch{EpochEarly, EpochHandshake, EpochApplication}
	}
	if !slices.Equal(writes, want) {
		t.Errorf("the client writes in epochs %v, want %v", writes, want)
	}
	if sent != (len(verdicts) == 1) || sent && verdicts[0].Accepted != accepted {
		t.Errorf("the client was told %+v", verdicts)
	}
	skips, takes := 0, 0
	for _, event := range p.server.events {
		switch e := event.(type) {
		case SkipEarlyData:
			if e.Max > 0 {
				skips++
			}
		case EarlyData:
			if takes++; !e.Accepted || e.Max != 1000 {
				t.Errorf("the server was told %+v", e)
			}
		}
	}
	if (takes == 1) != accepted || (skips == 1) != (sent && !accepted) {
		t.Errorf("the server takes %d and skips %d times", takes, skips)
	}
}

// givenResumption returns what a Resumption event has given, and the epoch of the keys that
// the endpoint read under when it came. There must be one.
func (e *endpoint) givenResumption(t *testing.T) (secret *schedule.Resumption, epoch Epoch) {
	t.Helper()
	var reading Epoch
	given := 0
	for _, event := range e.events {
		switch ev := event.(type) {
		case InstallRead:
			reading = ev.Epoch
		case Resumption:
			given++
			secret, epoch = ev.Secret, reading
		}
	}
	if given != 1 {
		t.Fatalf("the secret of tickets was given %d times", given)
	}
	return secret, epoch
}

// TestResumptionSecret compares the secrets that both sides make tickets' keys of. A server
// has it before the client's last flight, unless it has asked for a certificate: it has
// predicted that flight then, EndOfEarlyData among it.
func TestResumptionSecret(t *testing.T) {
	t.Parallel()
	retried := func(c *Config) { c.Groups = []kex.Group{kex.P384} }
	known := newSafe("alpha").edit(early)
	for name, test := range map[string]struct {
		client, server []func(*Config)
		epoch          Epoch // of what the server reads when its secret is there
	}{
		"no client authentication": {epoch: EpochHandshake},
		"HelloRetryRequest":        {server: []func(*Config){retried}, epoch: EpochHandshake},
		"a cookie":                 {server: []func(*Config){jarred}, epoch: EpochHandshake},
		"SHA-384":                  {server: []func(*Config){only(suite.AES256GCM)}, epoch: EpochHandshake},
		"a certificate is asked for and shown": {
			client: []func(*Config){mutual}, server: []func(*Config){mutual}, epoch: EpochHandshake,
		},
		"a certificate is asked for and not shown": {
			server: []func(*Config){func(c *Config) { c.RequestPeer = true }}, epoch: EpochHandshake,
		},
		"a pre-shared key":    {client: []func(*Config){known.offered}, server: []func(*Config){known.found, mutual}, epoch: EpochHandshake},
		"accepted early data": {client: []func(*Config){known.offered, sendEarly}, server: []func(*Config){known.found, takeEarly}, epoch: EpochEarly},
	} {
		t.Run(name, func(t *testing.T) {
			for _, wanted := range []bool{true, false} {
				p := newPair(t, clientConfig(test.client...), serverConfig(test.server...))
				p.client.m.cfg.Resume, p.server.m.cfg.Resume = wanted, wanted
				asked := false
				p.tamper = func(from Role, raw []byte) [][]byte {
					asked = asked || wire.MessageType(raw[0]) == wire.CertificateRequestType
					if from == Client && wire.MessageType(raw[0]) == wire.FinishedType && !asked {
						p.server.givenResumption(t) // already
					}
					return [][]byte{raw}
				}
				p.mustSucceed(t)
				c, _ := p.client.givenResumption(t)
				s, epoch := p.server.givenResumption(t)
				if epoch != test.epoch {
					t.Errorf("the server has its secret when it reads %v", epoch)
				}
				if !wanted {
					if c != nil || s != nil {
						t.Error("secrets that Config.Resume does not ask for")
					}
					continue
				}
				if a, b := c.PSK([]byte("n")), s.PSK([]byte("n")); !bytes.Equal(a.Bytes(), b.Bytes()) || a.Len() != 32 && a.Len() != 48 {
					t.Error("different keys")
				}
			}
		})
	}
}

// TestServerJudgesBeforeTickets refuses a client that shows nothing: the first tickets, which
// a client may take as consent, do not come before the refusal.
func TestServerJudgesBeforeTickets(t *testing.T) {
	t.Parallel()
	for _, asks := range []bool{false, true} {
		p := newPair(t, clientConfig(), serverConfig(func(c *Config) {
			c.Resume, c.RequestPeer = true, asks
			c.Verify = func(*credential.Peer) error { return errors.New("no client is welcome") }
		}))
		p.mustFail(t, Server, alert.AccessDenied)
		for _, event := range p.server.events {
			if _, ok := event.(Resumption); ok {
				t.Errorf("asked for a certificate %t: tickets before the refusal", asks)
			}
		}
	}
}

func TestTicketRequest(t *testing.T) {
	t.Parallel()
	client, server := clientConfig(), serverConfig()
	client.TicketRequest = &wire.TicketRequest{New: 3, Resumption: 1}
	server.AnswerTickets = func(r wire.TicketRequest, resumed bool) uint8 {
		if resumed {
			t.Error("nothing was resumed")
		}
		return r.New
	}
	p := newPair(t, client, server)
	var answer []byte
	p.tamper = func(_ Role, raw []byte) [][]byte {
		if wire.MessageType(raw[0]) == wire.EncryptedExtensionsType {
			message, err := wire.ParseEncryptedExtensions(raw)
			if err != nil {
				t.Error(err)
			}
			for _, e := range message.Other {
				if e.Type == wire.ExtTicketRequest {
					answer = e.Data
				}
			}
		}
		return [][]byte{raw}
	}
	p.mustSucceed(t)
	if r := p.server.m.Summary().Tickets; r == nil || *r != *client.TicketRequest || !bytes.Equal(answer, []byte{3}) {
		t.Errorf("asked for %v, answered %v", r, answer)
	}
}

// What a client was given is wiped, whenever its machine ends.
func TestAbandonedPSKs(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *Config){
		"refused": func(t *testing.T, c *Config) {
			c.Verify = nil
			if _, err := NewClient(c); err == nil {
				t.Error("no error")
			}
		},
		"never started": func(t *testing.T, c *Config) {
			m, err := NewClient(c)
			if err != nil {
				t.Fatal(err)
			}
			m.Wipe()
		},
		"started": func(t *testing.T, c *Config) {
			m, err := NewClient(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Start(); err != nil {
				t.Fatal(err)
			}
			m.Wipe()
		},
		"no randomness": func(t *testing.T, c *Config) {
			c.Rand = bytes.NewReader(make([]byte, 70))
			m, err := NewClient(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Start(); err == nil {
				t.Error("no error")
			}
		},
		"not used": func(t *testing.T, c *Config) { newPair(t, c, serverConfig()).mustSucceed(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSafe("alpha", "beta").edit(early)
			end(t, clientConfig(s.offered, sendEarly))
			s.checkGiven(t)
		})
	}
}

func TestPSKMisuse(t *testing.T) {
	t.Parallel()
	for _, wrong := range []func(*PSK){
		func(p *PSK) { p.Secret = nil },
		func(p *PSK) { p.Identity = nil },
		func(p *PSK) { p.Identity = make([]byte, 1<<16) },
		func(p *PSK) { p.Suite = 7 },
	} {
		s := newSafe("alpha")
		client := clientConfig(s.offered)
		wrong(client.PSKs[0])
		if _, err := NewClient(client); err == nil {
			t.Error("a client takes a key that cannot work")
		}
		server := serverConfig(func(c *Config) {
			c.FindPSK = func(Offer) (*PSK, error) {
				p := s.give(s.keys[0])
				wrong(p)
				return p, nil
			}
		})
		newPair(t, clientConfig(s.offered), server).mustFail(t, Server, alert.InternalError)
	}
	failing := serverConfig(func(c *Config) { c.FindPSK = func(Offer) (*PSK, error) { return nil, errors.New("the store is down") } })
	newPair(t, clientConfig(newSafe("alpha").offered), failing).mustFail(t, Server, alert.InternalError)
}

// TestSessionThatDoesNotFit has a client hold a session that leaves no room for the rest of
// a ClientHello. It is not offered, and no early data is announced under it; an external key
// beside it is offered all the same.
func TestSessionThatDoesNotFit(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("s", 60_000)
	for _, test := range []struct {
		name      string
		client    func(*Config)
		server    func(*Config)
		keys      []string
		chosen    any
		before    int // how many keys the first and the last ClientHello offer
		after     int
		announced bool // early data, in the first one
	}{
		{"fits", nil, nil, []string{large}, large, 1, 1, true},
		{"as long as the wire allows", nil, nil, []string{strings.Repeat("s", 1<<16-1)}, nil, 0, 0, false},
		{"long protocols", func(c *Config) { c.ALPN = longProtocols(6000) }, nil, []string{large}, nil, 0, 0, false},
		{"an external key", func(c *Config) { c.ALPN = longProtocols(6000) }, nil, []string{large, "external"}, "external", 1, 1, false},
		{"of two sessions", func(c *Config) { c.ALPN = longProtocols(6000) }, nil, []string{large, "small"}, "small", 1, 1, true},
		{"a large cookie", noShare, func(c *Config) { c.Cookie = paddedJar{4000} }, []string{strings.Repeat("s", 63_000), "external"}, "external", 2, 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSafe(test.keys...).edit(func(p *PSK) {
				if string(p.Identity) != "external" {
					early(p)
				}
			})
			edits := []func(*Config){s.offered, sendEarly, func(c *Config) { c.RequestOCSP = false }}
			if test.client != nil {
				edits = append(edits, test.client)
			}
			servers := []func(*Config){s.found, takeEarly}
			if test.server != nil {
				servers = append(servers, test.server)
			}
			p := newPair(t, clientConfig(edits...), serverConfig(servers...))
			var offered []int
			announced := false
			p.tamper = func(from Role, raw []byte) [][]byte {
				if from == Client && wire.MessageType(raw[0]) == wire.ClientHelloType {
					hello, err := wire.ParseClientHello(raw)
					if err != nil {
						t.Fatal(err)
					}
					n := 0
					if hello.PSK != nil {
						n = len(hello.PSK.Identities)
					}
					offered, announced = append(offered, n), announced || hello.EarlyData
					if len(raw) > 1<<16-1 {
						t.Errorf("a ClientHello of %d bytes", len(raw))
					}
				}
				return [][]byte{raw}
			}
			p.mustSucceed(t)
			if offered[0] != test.before || offered[len(offered)-1] != test.after || announced != test.announced {
				t.Errorf("%v keys were offered, early data announced: %t", offered, announced)
			}
			var chosen any
			if psk := p.client.m.Summary().PSK; psk != nil {
				chosen = psk.Origin
			}
			if chosen != test.chosen {
				t.Errorf("another key was chosen")
			}
			s.checkGiven(t)
		})
	}
}

// longProtocols are protocols of so many bytes together.
func longProtocols(n int) (list []string) {
	for ; n > 0; n -= 200 {
		list = append(list, strings.Repeat("p", 200))
	}
	return list
}

// A paddedJar makes cookies of a length.
type paddedJar struct{ n int }

func (j paddedJar) Seal(state []byte) ([]byte, error) {
	return append(bytes.Repeat([]byte("c"), j.n-len(state)), state...), nil
}

func (j paddedJar) Open(cookie []byte) ([]byte, bool) {
	return bytes.TrimLeft(cookie, "c"), len(cookie) == j.n
}

// TestPSKLeftOut has a client leave the pre-shared key out of its second ClientHello,
// though it goes with the suite.
func TestPSKLeftOut(t *testing.T) {
	t.Parallel()
	s := newSafe("alpha")
	for name, server := range map[string]func(*Config){"alone": s.alone, "found": s.found} {
		p := newPair(t, clientConfig(s.offered, noShare), serverConfig(server))
		hellos := 0
		p.tamper = func(from Role, raw []byte) [][]byte {
			if from == Client && wire.MessageType(raw[0]) == wire.ClientHelloType {
				if hellos++; hellos == 2 {
					raw = lacking(wire.ExtPreSharedKey)(slices.Clone(raw))
				}
			}
			return [][]byte{raw}
		}
		p.run()
		if p.server.err == nil || alert.Of(p.server.err) != alert.MissingExtension {
			t.Errorf("%s: %v", name, p.server.err)
		}
	}
}
